"""A small model server that speaks the protocols of OpenAI, llama.cpp and Ollama, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llm import embedded, health, live_order, policy
from llm.registry import language_model, parse_models
from llm.types import CallReport, ChatRequest, LanguageModel, Message, ModelId
from tests.fakes import FakeLanguageModel
from tests.servers import free_port

from .local_fixtures import hub, ollama_server, small_catalogue  # noqa: F401 - fixtures

WORDS = ("Small ", "steps ", "count ", "[1].")
ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "key": (401, {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error"}}),
    "forbidden": (403, {"error": {"message": "Not for you."}}),
    "missing": (404, {"error": {"message": "The model does not exist."}}),
    "busy": (429, {"error": {"message": "Rate limit reached."}}),
    "context": (
        400,
        {"error": {"message": "This model's maximum context length is 10 tokens.", "code": "context_length_exceeded"}},
    ),
    "llamacpp context": (
        400,
        {
            "error": {
                "type": "exceed_context_size_error",
                "message": "the request exceeds the available context size",
                "code": 400,
            }
        },
    ),
    "refuses": (422, {"error": {"message": "Unknown field."}}),
    "fails": (500, {"error": {"message": "Out of memory."}}),
    "loading": (503, {"error": {"message": "Loading model", "code": 503}}),
}


class ModelServer:
    """Answers every chat with WORDS unless `behaviour` says otherwise.

    hangs       takes the request and never answers            silent     answers with headers, never a token
    stalls      three words, then silence                      breaks     three words, then the connection drops
    ends        three words, then a clean end without a finish nonsense   three words, then something unreadable
    error       three words, then an error event               empty      a finish without a word
    held        one word, then waits until `release` is set    busy once  429 with Retry-After, then an answer
    or a key of ERRORS

    With `context_tokens` a prompt of more tokens (counted: words and signs) is refused in the words of the server
    whose protocol is spoken. `answers` are the texts of the next answers, instead of WORDS.

    `requests` holds (path, headers, body) of each request; `asked` is set when an answer that
    will not end is on its way, `left` when its client has gone.
    """

    def __init__(self) -> None:
        self.behaviour = ""
        self.retry_after = "7"
        self.context_tokens = 0
        self.answers: list[str] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.asked, self.left = threading.Event(), threading.Event()
        self.tags: list[dict[str, Any]] = []
        self.port = 0
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def body(self) -> dict[str, Any]:
        return self.requests[-1][2]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                path = head[0].split()[1]
                body = json.loads(raw) if raw else {}
                self.requests.append((path, headers, body))
                await Answer(self, reader, writer, path, body).send()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


class Answer:
    """One answer on the wire."""

    def __init__(
        self,
        server: ModelServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        path: str,
        body: dict[str, Any],
    ) -> None:
        self.server, self.reader, self.writer, self.path, self.body = server, reader, writer, path, body
        self.ollama = path.startswith("/api/")

    async def send(self) -> None:
        behaviour = self.server.behaviour
        if behaviour == "hangs":
            await self._wait_for_leaving()
        elif behaviour == "busy once":
            self.server.behaviour = ""
            await self._whole(*ERRORS["busy"])
        elif self.server.context_tokens and self._prompt_tokens() > self.server.context_tokens:
            await self._too_long()
        elif behaviour in ERRORS:
            status, content = ERRORS[behaviour]
            if self.ollama:
                content = {"error": content["error"]["message"]}
            await self._whole(status, content)
        elif self.path == "/api/tags":
            await self._whole(200, {"models": self.server.tags})
        elif self.path in ("/v1/models", "/health", "/api/show"):
            await self._whole(200, {"object": "list", "data": [], "status": "ok"})
        else:
            await self._stream(behaviour)

    def _prompt_tokens(self) -> int:
        texts = [message["content"] for message in self.body.get("messages", [])]
        return sum(len(re.findall(r"\w+|[^\w\s]", text)) for text in texts)

    async def _too_long(self) -> None:
        limit = self.server.context_tokens
        if self.ollama:
            return await self._whole(400, {"error": f"input length exceeds the context length ({limit})"})
        if self.body.get("return_progress"):
            return await self._whole(*ERRORS["llamacpp context"])
        message = f"This model's maximum context length is {limit} tokens, you sent {self._prompt_tokens()}."
        await self._whole(400, {"error": {"message": message, "code": "context_length_exceeded"}})

    async def _stream(self, behaviour: str) -> None:
        kind = "application/x-ndjson" if self.ollama else "text/event-stream"
        self.writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        await self.writer.drain()
        if behaviour == "silent":
            return await self._wait_for_leaving()
        if self.body.get("return_progress"):
            progress = {"total": 100, "cache": 60, "processed": 100, "time_ms": 5}
            delta = {"role": "assistant", "content": None}
            await self._chunk(self._event({"choices": [{"index": 0, "delta": delta}], "prompt_progress": progress}))
        if behaviour != "empty":
            words = _pieces(self.server.answers.pop(0)) if self.server.answers else WORDS
            for word in words[:1] if behaviour == "held" else words[: 3 if behaviour else None]:
                await self._chunk(self._word(word))
        if behaviour in ("stalls", "held"):
            return await self._wait_for_leaving()
        if behaviour == "breaks":
            self.writer.transport.abort()
            raise ConnectionResetError
        if behaviour == "nonsense":
            await self._chunk(b"data: {not json\n\n" if not self.ollama else b"{not json\n")
        elif behaviour == "error":
            error = {"error": "it broke"} if self.ollama else {"error": {"message": "it broke", "code": 500}}
            await self._chunk((json.dumps(error) + "\n").encode() if self.ollama else self._event(error))
        elif behaviour != "ends":
            await self._end()
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def _end(self) -> None:
        if self.ollama:
            counts = {"prompt_eval_count": 40, "prompt_eval_duration": 500_000_000, "eval_count": 20}
            end = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
            return await self._chunk((json.dumps({**end, **counts, "eval_duration": 1_000_000_000}) + "\n").encode())
        await self._chunk(self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        usage["prompt_tokens_details"] = {"cached_tokens": 60}  # type: ignore[assignment]
        timings = {"cache_n": 60, "prompt_n": 40, "prompt_per_second": 80.0, "predicted_per_second": 20.0}
        await self._chunk(self._event({"choices": [], "usage": usage, "timings": timings}))
        await self._chunk(b"data: [DONE]\n\n")

    def _word(self, word: str) -> bytes:
        if self.ollama:
            line = {"model": "m", "created_at": "", "message": {"role": "assistant", "content": word}, "done": False}
            return (json.dumps(line) + "\n").encode()
        return self._event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})

    def _event(self, content: dict[str, Any]) -> bytes:
        # A comment line first: servers send them to keep the connection open.
        return b": ping\n\ndata: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"

    async def _chunk(self, data: bytes) -> None:
        # In two pieces: an event or a character may be cut anywhere on the wire.
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await self.writer.drain()

    async def _whole(self, status: int, content: dict[str, Any]) -> None:
        raw = json.dumps(content).encode()
        retry = f"Retry-After: {self.server.retry_after}\r\n" if status == 429 else ""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{retry}Content-Length: {len(raw)}\r\n\r\n"
        self.writer.write(head.encode() + raw)
        await self.writer.drain()

    async def _wait_for_leaving(self) -> None:
        self.server.asked.set()
        with suppress(ConnectionError):  # who leaves with something unread resets the connection
            await self.reader.read(1)
        self.server.left.set()
        raise ConnectionResetError


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _fresh(settings: Any, tmp_path: Path) -> Iterator[None]:
    """No adapter, record or remembered server of another test; nothing of this machine is found by chance."""
    settings.DATA_DIR = tmp_path / "data"
    settings.LLAMACPP_SERVER = {}
    settings.OLLAMA_BASE_URL = f"http://127.0.0.1:{free_port()}"
    settings.OPENAI_BASE_URL = settings.OPENAI_API_KEY = settings.COACH_MODELS = ""
    health.forget()
    policy.forget()
    live_order._seen = (live_order.Orders(), float("inf"))  # no order in use, and no look into the database
    embedded._seen = None
    language_model.cache_clear()
    yield
    live_order.forget()
    language_model.cache_clear()


@pytest.fixture
async def closing() -> AsyncIterator[list[LanguageModel]]:
    """Adapters put in here are closed in the loop that used them."""
    models: list[LanguageModel] = []
    yield models
    for model in models:
        await model.aclose()


@pytest.fixture
def ask() -> ChatRequest:
    return ChatRequest(
        [Message("system", "You are a coach."), Message("user", "How do I begin?")], max_tokens=50, temperature=0.2
    )


@pytest.fixture
async def online(model_server: ModelServer, settings: Any) -> AsyncIterator[ModelServer]:
    """Every provider points to `model_server`."""
    settings.OPENAI_BASE_URL, settings.OLLAMA_BASE_URL = f"{model_server.url}/v1", model_server.url
    settings.LLAMACPP_SERVER = {"url": model_server.url, "key": "k", "model": "m"}
    yield model_server
    for model in parse_models("openai:m,ollama:m,llamacpp"):
        await language_model(model).aclose()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelId]:
    """Puts a fake adapter where the registry finds it."""
    fakes: dict[ModelId, LanguageModel] = {}

    def put(name: str, **values: Any) -> ModelId:
        model_id = ModelId("fake", name)
        fakes[model_id] = FakeLanguageModel(id=model_id, **values)
        return model_id

    monkeypatch.setattr("llm.switcher.language_model", lambda model_id: fakes.get(model_id) or language_model(model_id))
    put.fakes = fakes  # type: ignore[attr-defined]
    return put


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[CallReport]:
    """What goes into the books, instead of the books themselves (tests/llm/test_calls.py)."""
    found: list[CallReport] = []
    monkeypatch.setattr("llm.calls.report", found.append)
    return found
