"""The three adapters that talk to a server: what goes over the wire, what comes back, and every way to fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from config.services import services_file
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
from llm.providers.faults import from_status
from llm.providers.places import place_of
from llm.registry import language_model, parse_models
from llm.types import ChatRequest, Finished, LanguageModel, Place, Token, Usage
from tests.servers import free_port

from .conftest import WORDS, ModelServer

Adapter = Callable[[], LanguageModel]


@pytest.fixture(params=["llamacpp", "openai:gpt-4o-mini", "ollama:llama3.1"])
def adapter(
    request: pytest.FixtureRequest, model_server: ModelServer, settings: Any, closing: list[LanguageModel]
) -> LanguageModel:
    return _adapter(request.param, model_server.url, settings, closing)


def _adapter(name: str, url: str, settings: Any, closing: list[LanguageModel]) -> LanguageModel:
    settings.OPENAI_BASE_URL, settings.OLLAMA_BASE_URL = f"{url}/v1", url
    settings.LLAMACPP_SERVER = {"url": url, "key": "the-key", "model": "any.gguf"}
    model = language_model(parse_models(name)[0])
    closing.append(model)
    return model


async def _answer(model: LanguageModel, request: ChatRequest) -> tuple[str, Finished | None]:
    text, finished = "", None
    async for event in model.stream(request):
        if isinstance(event, Token):
            text += event.text
        else:
            finished = event
    return text, finished


async def test_an_answer_streams_in_order(adapter: LanguageModel, ask: ChatRequest) -> None:
    events = [event async for event in adapter.stream(ask)]
    assert "".join(event.text for event in events if isinstance(event, Token)) == "".join(WORDS)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stop"


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("llamacpp", Usage(100, 60, 20, 80.0, 20.0)),
        ("openai:gpt-4o-mini", Usage(100, 60, 20)),
        ("ollama:llama3.1", Usage(40, None, 20, 80.0, 20.0)),
    ],
)
async def test_usage_and_speed_are_reported_where_the_server_tells_them(
    name: str, usage: Usage, model_server: ModelServer, settings: Any, closing: list[LanguageModel], ask: ChatRequest
) -> None:
    model = _adapter(name, model_server.url, settings, closing)
    _text, finished = await _answer(model, ask)
    assert finished is not None
    assert finished.usage == usage


async def test_the_messages_and_bounds_go_over_the_wire(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    await _answer(adapter, ask)
    [(path, headers, body)] = model_server.requests
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "You are a coach."),
        ("user", "How do I begin?"),
    ]
    assert body["stream"] is True
    if adapter.id.provider == "ollama":
        assert path == "/api/chat"
        assert body["options"] == {"num_ctx": 8192, "num_predict": 50, "temperature": 0.2}
        assert body["keep_alive"] == "30m"
        assert body["model"] == "llama3.1"
        return
    assert path == "/v1/chat/completions"
    assert (body["max_tokens"], body["temperature"]) == (50, 0.2)
    assert body["stream_options"] == {"include_usage": True}
    assert headers["authorization"] == ("Bearer the-key" if adapter.id.provider == "llamacpp" else "Bearer none")
    if adapter.id.provider == "llamacpp":
        assert (body["cache_prompt"], body["return_progress"]) == (True, True)
    else:
        assert body["model"] == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("key", AuthenticationFailed, "check its API key"),
        ("forbidden", AuthenticationFailed, "check its API key"),
        ("missing", ModelUnavailable, ""),
        ("busy", RateLimited, "wait a little"),
        ("context", ContextTooLong, "start a new one"),
        ("llamacpp context", ContextTooLong, "start a new one"),
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
        await _answer(adapter, ask)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert str(adapter.id) in str(caught.value)


async def test_a_rate_limit_says_how_long_to_wait(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    model_server.behaviour = "busy"
    with pytest.raises(RateLimited) as caught:
        await _answer(adapter, ask)
    # The ollama package drops the headers of an error.
    assert caught.value.retry_after == (None if adapter.id.provider == "ollama" else 7.0)


@pytest.mark.parametrize("name", ["llamacpp", "openai:m", "ollama:m"])
async def test_a_refused_connection_is_said_so_at_once(
    name: str, settings: Any, closing: list[LanguageModel], ask: ChatRequest
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    model = _adapter(name, url, settings, closing)
    with pytest.raises(ModelUnavailable, match=f"{name} cannot be reached at {url}"):
        await _answer(model, ask)
    health = await model.check()
    assert not health.ok
    assert "cannot be reached" in health.detail


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
    answer = asyncio.create_task(_answer(adapter, ask))
    assert await asyncio.to_thread(model_server.asked.wait, 30)
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert await asyncio.to_thread(model_server.left.wait, 5)


async def test_an_adapter_serves_many_at_once(adapter: LanguageModel, ask: ChatRequest) -> None:
    answers = await asyncio.gather(*(_answer(adapter, ask) for _ in range(20)))
    assert {text for text, _finished in answers} == {"".join(WORDS)}


async def test_check_is_content_with_a_server_that_answers(adapter: LanguageModel) -> None:
    assert (await adapter.check()).ok


async def test_check_reports_a_server_that_fails(adapter: LanguageModel, model_server: ModelServer) -> None:
    model_server.behaviour = "fails"
    found = await adapter.check()
    assert not found.ok
    assert "Out of memory." in found.detail


async def test_warm_reads_the_prompt_and_generates_nothing(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    await adapter.warm(ask)
    if adapter.id.provider == "openai":
        assert model_server.requests == []
    elif adapter.id.provider == "ollama":
        assert model_server.body["options"]["num_predict"] == 1
    else:
        assert (model_server.body["max_tokens"], model_server.body["cache_prompt"]) == (1, True)


async def test_warm_reports_its_failure_as_ours(
    adapter: LanguageModel, model_server: ModelServer, ask: ChatRequest
) -> None:
    model_server.behaviour = "fails"
    if adapter.id.provider == "openai":
        await adapter.warm(ask)
        return
    with pytest.raises(ServerFailed):
        await adapter.warm(ask)


def test_one_adapter_works_in_one_event_loop_after_another(
    model_server: ModelServer, settings: Any, ask: ChatRequest
) -> None:
    for name in ("llamacpp", "openai:m", "ollama:m"):
        model = _adapter(name, model_server.url, settings, [])

        async def once(model: LanguageModel = model) -> str:
            text, _finished = await _answer(model, ask)
            await model.aclose()
            return text

        assert [asyncio.run(once()) for _ in range(2)] == ["".join(WORDS)] * 2


# --- llamacpp ------------------------------------------------------------------------------------


async def test_the_embedded_server_is_followed_when_it_moves(
    model_server: ModelServer, settings: Any, closing: list[LanguageModel], ask: ChatRequest
) -> None:
    path = services_file(settings.DATA_DIR)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"llamacpp": {"url": f"http://127.0.0.1:{free_port()}", "key": "a", "model": "m"}}))
    model = language_model(parse_models("llamacpp")[0])
    closing.append(model)
    with pytest.raises(ModelUnavailable):
        await _answer(model, ask)
    path.write_text(json.dumps({"llamacpp": {"url": model_server.url, "key": "b2", "model": "m", "context": 2048}}))
    assert (await _answer(model, ask))[0] == "".join(WORDS)
    assert model_server.requests[-1][1]["authorization"] == "Bearer b2"
    assert model.context_tokens == 2048


async def test_without_an_embedded_server_the_sentence_says_how_to_start_it(ask: ChatRequest) -> None:
    model = language_model(parse_models("llamacpp")[0])
    with pytest.raises(ModelUnavailable, match=r"start it with `manage\.py up`"):
        await _answer(model, ask)
    assert "manage.py up" in (await model.check()).detail


@pytest.mark.parametrize(
    ("asked", "loaded", "same"),
    [
        ("llamacpp:smollm2-135m", "smollm2-135m", True),
        ("llamacpp:smollm2-135m", "/cache/models/SmolLM2-135M-Instruct.Q4_1.gguf", True),
        ("llamacpp:/a/My.gguf", "/a/My.gguf", True),
        ("llamacpp:smollm2-135m", "qwen2.5-coder-1.5b", False),
        ("llamacpp:/a/My.gguf", "/a/Other.gguf", False),
    ],
)
async def test_another_model_than_the_loaded_one_is_not_pretended(
    asked: str,
    loaded: str,
    same: bool,
    model_server: ModelServer,
    settings: Any,
    closing: list[LanguageModel],
    ask: ChatRequest,
) -> None:
    settings.LLAMACPP_SERVER = {"url": model_server.url, "key": "k", "model": loaded}
    model = language_model(parse_models(asked)[0])
    closing.append(model)
    if same:
        assert (await _answer(model, ask))[0] == "".join(WORDS)
    else:
        with pytest.raises(ModelUnavailable, match=r"runs .*, not .*; name it in COACH_MODELS"):
            await _answer(model, ask)


async def test_an_answer_cut_without_an_end_is_broken_not_finished(
    model_server: ModelServer, settings: Any, closing: list[LanguageModel], ask: ChatRequest
) -> None:
    model_server.behaviour = "ends"
    for name in ("llamacpp", "ollama:m"):
        with pytest.raises(StreamBroken):
            await _answer(_adapter(name, model_server.url, settings, closing), ask)
    # Some compatible servers never say why they ended.
    _text, finished = await _answer(_adapter("openai:m", model_server.url, settings, closing), ask)
    assert finished is not None
    assert finished.reason == "unknown"


# --- openai --------------------------------------------------------------------------------------


async def test_the_key_is_sent_and_a_fixed_temperature_is_not(
    model_server: ModelServer, settings: Any, closing: list[LanguageModel], ask: ChatRequest
) -> None:
    settings.OPENAI_API_KEY = "sk-mine"
    await _answer(_adapter("openai:o3-mini", model_server.url, settings, closing), ask)
    _path, headers, body = model_server.requests[-1]
    assert headers["authorization"] == "Bearer sk-mine"
    assert "temperature" not in body


def test_openai_itself_is_a_cloud_and_a_server_of_ones_own_is_not(settings: Any) -> None:
    model = parse_models("openai:gpt-4o-mini")[0]
    assert language_model(model).place is Place.CLOUD
    language_model.cache_clear()
    settings.OPENAI_BASE_URL = "http://10.0.0.5:8000/v1"
    assert language_model(model).place is Place.LOCAL


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:11434", Place.LOCAL),
        ("http://localhost:1234/v1", Place.LOCAL),
        ("http://[::1]:8080", Place.LOCAL),
        ("http://192.168.1.20:8000/v1", Place.LOCAL),
        ("http://ollama:11434", Place.LOCAL),
        ("http://gpu.lab.internal/v1", Place.LOCAL),
        ("http://10.0.0.1", Place.LOCAL),
        ("https://api.openai.com/v1", Place.CLOUD),
        ("https://llm.example.org/v1", Place.CLOUD),
        ("http://8.8.8.8/v1", Place.CLOUD),
        ("", Place.CLOUD),
    ],
)
def test_places(url: str, place: Place) -> None:
    assert place_of(url) is place


# --- ollama --------------------------------------------------------------------------------------


async def test_a_model_that_is_not_installed_comes_with_the_command_that_installs_it(
    model_server: ModelServer, settings: Any, closing: list[LanguageModel], ask: ChatRequest
) -> None:
    model_server.behaviour = "missing"
    model = _adapter("ollama:llama3.1:8b", model_server.url, settings, closing)
    with pytest.raises(ModelUnavailable, match=r"`ollama pull llama3.1:8b`"):
        await _answer(model, ask)
    assert "`ollama pull llama3.1:8b`" in (await model.check()).detail


def test_a_model_that_ollama_passes_on_runs_in_a_cloud() -> None:
    assert language_model(parse_models("ollama:gpt-oss:120b-cloud")[0]).place is Place.CLOUD
    assert language_model(parse_models("ollama:llama3.1")[0]).place is Place.LOCAL


# --- sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"error": {"message": "Bad."}}', "Bad."),
        ('{"error": "Bad."}', "Bad."),
        ('{"detail": "Bad."}', "Bad."),
        ("<html>\n Bad.\n</html>", "<html> Bad. </html>"),
        ("", "500"),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_the_servers_own_words_are_kept_short(text: str, detail: str) -> None:
    error = from_status(parse_models("openai:m")[0], 500, text)
    assert str(error) == f"The server of openai:m failed: {detail}"


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("", None)]
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    error = from_status(parse_models("openai:m")[0], 429, "", {"Retry-After": header})
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_longer_prompt_may_take_longer_to_read(settings: Any, ask: ChatRequest) -> None:
    from llm import health

    model = language_model(parse_models("llamacpp")[0])
    long = replace(ask, messages=[replace(ask.messages[0], content="x" * 3000), *ask.messages[1:]])
    assert model.first_token_seconds(ask) == 8.0  # type: ignore[attr-defined]
    unmeasured = model.first_token_seconds(long)  # type: ignore[attr-defined]
    assert unmeasured == pytest.approx(1005 / 40 * 2 + 2, abs=0.5)
    health.succeeded(model.id, Usage(prompt_tokens=1000, cached_prompt_tokens=0, prompt_tokens_per_second=100.0))
    assert model.first_token_seconds(long) == pytest.approx(1005 / 100 * 2 + 2, abs=0.5)  # type: ignore[attr-defined]
