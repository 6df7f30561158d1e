"""The inference API of the hub: what goes over the wire, what comes back, and every way to fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from llm.errors import (
    AuthenticationFailed,
    ContextTooLong,
    LanguageModelError,
    ModelUnavailable,
    RateLimited,
    RequestRefused,
    ServerFailed,
    StreamBroken,
)
from llm.registry import language_model, parse_models
from llm.types import ChatRequest, Finished, LanguageModel, Place, Token, Usage
from tests.servers import free_port

from .conftest import WORDS, ModelServer

NAME = "huggingface-endpoint:org/model"


@pytest.fixture
def adapter(model_server: ModelServer, settings: Any, closing: list[LanguageModel]) -> LanguageModel:
    settings.HF_BASE_URL, settings.HF_TOKEN = f"{model_server.url}/v1", "hf_mine"
    model = language_model(parse_models(NAME)[0])
    closing.append(model)
    return model


async def answer(model: LanguageModel, request: ChatRequest) -> tuple[str, Finished]:
    events = [event async for event in model.stream(request)]
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Token)), events[-1]


async def test_an_answer_streams_with_its_usage(adapter: LanguageModel, ask: ChatRequest) -> None:
    text, finished = await answer(adapter, ask)
    assert text == "".join(WORDS)
    assert finished == Finished(Usage(100, 60, 20), "stop")


async def test_the_question_its_bounds_and_the_token_go_over_the_wire(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    await answer(adapter, ask)
    [(path, headers, body)] = model_server.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer hf_mine"
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "You are a coach."),
        ("user", "How do I begin?"),
    ]
    assert (body["model"], body["stream"], body["max_tokens"], body["temperature"]) == ("org/model", True, 50, 0.2)
    assert body["stream_options"] == {"include_usage": True}


async def test_a_server_of_ones_own_never_sees_a_token_that_lies_about(
    adapter: LanguageModel,
    model_server: ModelServer,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    ask: ChatRequest,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_somebody")
    settings.HF_TOKEN = ""
    language_model.cache_clear()
    await answer(language_model(parse_models(NAME)[0]), ask)
    assert model_server.requests[0][1]["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("key", AuthenticationFailed, "check its API key"),
        ("forbidden", AuthenticationFailed, "check its API key"),
        ("missing", ModelUnavailable, "does not exist"),
        ("busy", RateLimited, "wait a little"),
        ("context", ContextTooLong, "start a new one"),
        ("refuses", RequestRefused, "Unknown field."),
        ("fails", ServerFailed, "Out of memory."),
        ("loading", ModelUnavailable, "still being loaded"),
        ("breaks", StreamBroken, "broke off"),
        ("nonsense", StreamBroken, "broke off"),
        ("error", ServerFailed, "it broke"),
    ],
)
async def test_every_failure_is_one_of_ours(
    behaviour: str,
    error: type[LanguageModelError],
    words: str,
    adapter: LanguageModel,
    model_server: ModelServer,
    ask: ChatRequest,
) -> None:
    model_server.behaviour = behaviour
    with pytest.raises(error) as caught:
        await answer(adapter, ask)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert NAME in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == 7.0


async def test_an_answer_without_an_end_is_told_apart(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    model_server.behaviour = "ends"
    _text, finished = await answer(adapter, ask)
    assert finished.reason == "unknown"


async def test_a_refused_connection_is_said_so_at_once(settings: Any, ask: ChatRequest) -> None:
    settings.HF_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"
    model = language_model(parse_models(NAME)[0])
    with pytest.raises(ModelUnavailable, match="cannot be reached at"):
        await answer(model, ask)
    found = await model.check()
    assert not found.ok
    assert "cannot be reached" in found.detail


async def test_leaving_in_mid_answer_stops_the_server(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    model_server.behaviour = "held"
    events = adapter.stream(ask)
    assert await anext(events) == Token(WORDS[0])
    await events.aclose()  # type: ignore[attr-defined]
    assert await asyncio.to_thread(model_server.left.wait, 5)


@pytest.mark.parametrize("behaviour", ["hangs", "silent", "stalls"])
async def test_a_cancelled_task_stops_the_server(
    behaviour: str, adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    model_server.behaviour = behaviour
    task = asyncio.create_task(answer(adapter, ask))
    assert await asyncio.to_thread(model_server.asked.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(model_server.left.wait, 5)


async def test_many_at_once(adapter: LanguageModel, ask: ChatRequest) -> None:
    answers = await asyncio.gather(*(answer(adapter, ask) for _ in range(10)))
    assert {text for text, _finished in answers} == {"".join(WORDS)}


async def test_a_server_on_this_network_is_asked_without_a_proxy(
    adapter: LanguageModel, monkeypatch: pytest.MonkeyPatch, ask: ChatRequest
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert (await answer(adapter, ask))[0] == "".join(WORDS)


async def test_a_schema_goes_over_the_wire(adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    await answer(adapter, replace(ask, schema=schema))
    form = model_server.body["response_format"]
    assert schema in (form.get("value"), form.get("json_schema", {}).get("schema"))


async def test_check(adapter: LanguageModel, model_server: ModelServer) -> None:
    assert (await adapter.check()).ok
    model_server.behaviour = "key"
    assert "check its API key" in (await adapter.check()).detail


async def test_the_hub_itself_is_a_cloud_and_wants_a_token(settings: Any, ask: ChatRequest) -> None:
    settings.HF_BASE_URL = settings.HF_TOKEN = ""
    model = language_model(parse_models(NAME)[0])
    assert model.place is Place.CLOUD
    with pytest.raises(AuthenticationFailed, match="set HF_TOKEN"):
        await answer(model, ask)
    assert "set HF_TOKEN" in (await model.check()).detail


def test_a_private_server_is_local(settings: Any) -> None:
    settings.HF_BASE_URL = "http://tgi:8080/v1"
    assert language_model(parse_models(NAME)[0]).place is Place.LOCAL
