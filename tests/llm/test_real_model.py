"""The embedded server with the small real model."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from llm.catalogue import entries, models_dir
from llm.registry import language_model
from llm.switcher import stream
from llm.types import ChatRequest, Finished, Message, ModelId, Place, Token
from tests.servers import ROOT, free_port

pytestmark = pytest.mark.real_model
KEY = "a-key-for-tests"
LONG = "Tell the coachee about goals, habits, feedback, values and recovery in your own words. " * 4


def _gguf() -> Path:
    given = os.environ.get("COACH_TEST_GGUF")
    path = Path(given) if given else models_dir() / entries()["smollm2-135m"].file
    if not path.is_file():
        pytest.skip(f"no model file at {path}; fetch it with `manage.py fetchmodels smollm2-135m`")
    return path


@dataclass
class RealServer:
    process: subprocess.Popen[bytes]
    url: str
    model: Path
    log: Path

    def slots(self) -> list[dict[str, Any]]:
        found = httpx.get(f"{self.url}/slots", headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
        return list(found.json())

    def wait_idle(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while any(slot["is_processing"] for slot in self.slots()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def _start(folder: Path) -> RealServer:
    model, port = _gguf(), free_port()
    key_file, log = folder / "key", folder / "log"
    key_file.write_text(KEY)
    command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(model), "--port", str(port)]
    command += ["--api-key-file", str(key_file), "--parallel", "2", "--ctx", "2048"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    server = RealServer(process, f"http://127.0.0.1:{port}", model, log)
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{server.url}/health", timeout=5).status_code == 200:
                return server
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log.read_text())
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    found = _start(tmp_path_factory.mktemp("model"))
    yield found
    found.process.terminate()
    assert found.process.wait(5) == 0


@pytest.fixture
async def model(server: RealServer, settings: Any) -> AsyncIterator[Any]:
    settings.LLAMACPP_SERVER = {"url": server.url, "key": KEY, "model": str(server.model)}
    found = language_model(ModelId("llamacpp"))
    yield found
    await found.aclose()


async def _ask(model: Any, request: ChatRequest) -> tuple[str, Finished]:
    events = [event async for event in model.stream(request)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    return "".join(event.text for event in events if isinstance(event, Token)), finished


def _request(text: str, **values: Any) -> ChatRequest:
    messages = [Message("system", f"You are a kind coach. {LONG}"), Message("user", text)]
    return ChatRequest(messages, **{"max_tokens": 12, "temperature": 0.0, **values})


async def test_a_real_answer_through_the_switcher(model: Any, server: RealServer) -> None:
    events = [event async for event in stream(_request("Say hello."), [ModelId("llamacpp"), ModelId("guided")])]
    assert events[0].place is Place.LOCAL  # type: ignore[union-attr]
    assert "".join(event.text for event in events if isinstance(event, Token)).strip()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason in ("stop", "length")
    usage = finished.usage
    assert usage.prompt_tokens
    assert usage.completion_tokens
    assert usage.prompt_tokens_per_second
    assert usage.completion_tokens_per_second


async def test_conversations_in_turn_all_keep_their_prompts(model: Any) -> None:
    """More conversations than slots; each second turn reads only what is new."""
    talks = [_request(f"Question number {n}: {LONG}") for n in range(4)]
    answers = [await _ask(model, talk) for talk in talks]
    for talk, (text, first) in zip(talks, answers, strict=True):
        later = replace(talk, messages=[*talk.messages, Message("assistant", text), Message("user", "And then?")])
        _text, finished = await _ask(model, later)
        assert finished.usage.cached_prompt_tokens is not None
        assert finished.usage.prompt_tokens is not None
        assert finished.usage.cached_prompt_tokens >= (first.usage.prompt_tokens or 0) - 2
        assert finished.usage.prompt_tokens - finished.usage.cached_prompt_tokens < 40


async def test_warming_reads_the_prompt_ahead(model: Any) -> None:
    request = _request(f"A question about something else entirely. {LONG[::-1]}")
    await model.warm(request)
    _text, finished = await _ask(model, request)
    assert finished.usage.prompt_tokens is not None
    assert finished.usage.cached_prompt_tokens == finished.usage.prompt_tokens - 1


async def test_leaving_stops_the_generation_itself(model: Any, server: RealServer) -> None:
    events = model.stream(_request("Count from one to a thousand.", max_tokens=1500))
    assert isinstance(await anext(events), Token)
    assert any(slot["is_processing"] for slot in await asyncio.to_thread(server.slots))
    await events.aclose()
    # 1,500 tokens take ten seconds or more here.
    assert await asyncio.to_thread(server.wait_idle, 5.0)


async def test_leaving_stops_the_reading_of_a_long_prompt(model: Any, server: RealServer) -> None:
    request = _request(f"{LONG[::-1]} {LONG[:600]} " * 2)
    reading = asyncio.create_task(_ask(model, request))
    while not any(slot["is_processing"] for slot in await asyncio.to_thread(server.slots)):
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await asyncio.to_thread(server.wait_idle, 30.0)
    _text, finished = await _ask(model, request)
    assert finished.usage.prompt_tokens is not None
    assert finished.usage.cached_prompt_tokens is not None
    assert finished.usage.cached_prompt_tokens < finished.usage.prompt_tokens - 100, "it had read on to the end"


async def test_a_prompt_that_does_not_fit_is_told_apart(model: Any) -> None:
    from llm.errors import ContextTooLong

    with pytest.raises(ContextTooLong, match="start a new one"):
        await _ask(model, _request(LONG * 60))


async def test_it_answers_nobody_without_the_key_and_no_other_page(server: RealServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 401
        origin = {"Origin": "http://evil.example", "Authorization": f"Bearer {KEY}"}
        answer = await client.post("/v1/chat/completions", json=body, headers=origin)
        assert answer.headers.get("access-control-allow-origin", "") == ""
        assert (await client.get("/")).status_code in (401, 404)


def test_it_ends_promptly_even_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    server = _start(tmp_path)
    body = {"messages": [{"role": "user", "content": "Count to a thousand."}], "max_tokens": 1500, "stream": True}
    with (
        httpx.Client(timeout=30, headers={"Authorization": f"Bearer {KEY}"}) as client,
        client.stream("POST", f"{server.url}/v1/chat/completions", json=body) as response,
    ):
        next(response.iter_bytes())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
