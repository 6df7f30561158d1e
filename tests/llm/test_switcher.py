"""The switcher with real adapters before real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from llm import health, registry
from llm.errors import (
    AuthenticationFailed,
    ContextTooLong,
    LanguageModelError,
    NoModelLeft,
    StreamBroken,
)
from llm.registry import language_model
from llm.switcher import Limits, stream
from llm.types import (
    ChatRequest,
    Chosen,
    FellBack,
    Finished,
    ModelId,
    Place,
    StreamEvent,
    Token,
)
from tests.servers import free_port

from .conftest import WORDS, ModelServer
from .switching import EMBEDDED, GUIDED, OLLAMA, OPENAI, PATIENT, SOON_GIVEN_UP, SOON_STALLED, events_of, text_of

pytestmark = pytest.mark.usefixtures("reports")


async def test_the_plain_case(online: ModelServer, ask: ChatRequest) -> None:
    events = await events_of(ask, OPENAI, GUIDED)
    assert events[0] == Chosen(OPENAI, Place.LOCAL)
    assert "".join(event.text for event in events[1:-1] if isinstance(event, Token)) == "".join(WORDS)
    assert isinstance(events[-1], Finished)
    assert health.record(OPENAI).failures == 0


@pytest.mark.parametrize(
    ("behaviour", "reason", "discard"),
    [
        ("key", "authentication", False),
        ("busy", "rate_limited", False),
        ("missing", "unavailable", False),
        ("context", "context", False),
        ("refuses", "refused", False),
        ("fails", "server", False),
        ("hangs", "first_token", False),
        ("silent", "first_token", False),
        ("empty", "broken", False),
        ("stalls", "stalled", True),
        ("breaks", "broken", True),
        ("nonsense", "broken", True),
        ("error", "server", True),
    ],
)
async def test_the_next_model_takes_over(
    behaviour: str, reason: str, discard: bool, online: ModelServer, ask: ChatRequest
) -> None:
    online.behaviour = behaviour
    limits = {"first_token": SOON_GIVEN_UP, "stalled": SOON_STALLED}.get(reason, PATIENT)
    events = await events_of(ask, OPENAI, GUIDED, limits=limits)
    assert [event for event in events if not isinstance(event, Token | Finished)] == [
        Chosen(OPENAI, Place.LOCAL),
        FellBack(OPENAI, reason, discard),
        Chosen(GUIDED, Place.LOCAL),
    ]
    assert text_of(events).startswith("No language model is running")
    assert isinstance(events[-1], Finished)
    assert health.record(OPENAI).failures == 1


@pytest.mark.parametrize("model", [EMBEDDED, OLLAMA])
async def test_the_other_adapters_stall_in_the_same_way(model: ModelId, online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour = "stalls"
    events = await events_of(ask, model, GUIDED, limits=SOON_STALLED)
    assert FellBack(model, "stalled", discard=True) in events
    assert await asyncio.to_thread(online.left.wait, 5)


async def test_a_model_that_is_not_there_twice_is_passed_over(settings: Any, ask: ChatRequest) -> None:
    settings.OPENAI_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"
    for _ in range(2):
        events = await events_of(ask, OPENAI, GUIDED)
        assert events[:2] == [Chosen(OPENAI, Place.LOCAL), FellBack(OPENAI, "unavailable", discard=False)]
    events = await events_of(ask, OPENAI, GUIDED)
    assert events[:2] == [FellBack(OPENAI, "unavailable", discard=False), Chosen(GUIDED, Place.LOCAL)]
    await language_model(OPENAI).aclose()


async def test_but_it_is_asked_when_no_other_is_left(install: Any, ask: ChatRequest) -> None:
    model = install("resting")
    for _ in range(2):
        health.failed(model, LanguageModelError("x"))
    health.record(model).open_until = health.time.monotonic() + 60
    events = await events_of(ask, model)
    assert events[:2] == [FellBack(model, "unavailable", discard=False), Chosen(model, Place.LOCAL)]
    assert isinstance(events[-1], Finished)
    assert health.may_try(model), "it answered, so it is trusted again"


async def test_no_model_left_names_the_last_reason(install: Any, ask: ChatRequest) -> None:
    first = install("first", error=AuthenticationFailed("wrong key"))
    second = install("second", error=ContextTooLong("too long"), error_after=2)
    events: list[StreamEvent] = []

    async def collect() -> None:
        async for event in stream(ask, [first, second]):
            events.append(event)

    with pytest.raises(NoModelLeft, match="too long") as caught:
        await collect()
    assert isinstance(caught.value.__cause__, ContextTooLong)
    assert [event for event in events if isinstance(event, FellBack)] == [
        FellBack(first, "authentication", discard=False),
        FellBack(second, "context", discard=True),
    ]


async def test_an_empty_list_is_no_model_left(ask: ChatRequest) -> None:
    with pytest.raises(NoModelLeft, match="COACH_MODELS"):
        await events_of(ask)


async def test_a_private_request_never_reaches_a_cloud(install: Any, ask: ChatRequest) -> None:
    cloud, local = install("cloud", place=Place.CLOUD), install("local")
    events = await events_of(replace(ask, private=True), cloud, local)
    assert events[0] == Chosen(local, Place.LOCAL)
    assert install.fakes[cloud].requests == []
    with pytest.raises(NoModelLeft):
        await events_of(replace(ask, private=True), cloud)
    assert (await events_of(ask, cloud, local))[0] == Chosen(cloud, Place.CLOUD)


async def test_an_unknown_provider_is_a_failure_like_any_other(ask: ChatRequest) -> None:
    events = await events_of(ask, ModelId("nowhere", "x"), GUIDED)
    assert events[0] == FellBack(ModelId("nowhere", "x"), "unknown_model", discard=False)
    assert isinstance(events[-1], Finished)


async def test_a_stream_that_never_finishes_is_broken(install: Any, ask: ChatRequest, monkeypatch: Any) -> None:
    model = install("endless")

    async def endless(request: ChatRequest) -> AsyncIterator[Token]:
        yield Token("Half an ")

    monkeypatch.setattr(install.fakes[model], "stream", endless)
    events = await events_of(ask, model, GUIDED)
    assert events[2] == FellBack(model, "broken", discard=True)


async def test_leaving_closes_the_model_at_once(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour = "held"
    async with aclosing(stream(ask, [OPENAI, GUIDED], Limits())) as events:
        async for event in events:
            if isinstance(event, Token):
                break
    assert await asyncio.to_thread(online.left.wait, 5)
    assert health.record(OPENAI).failures == 0, "the coachee left, the model did not fail"


async def test_a_cancelled_reader_closes_the_model_too(install: Any, ask: ChatRequest) -> None:
    model = install("held", hold=asyncio.Event())
    reader = asyncio.create_task(events_of(ask, model, limits=Limits()))
    while not install.fakes[model].requests:
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert install.fakes[model].closed == 1


async def test_the_time_the_reader_takes_is_not_the_models(install: Any, ask: ChatRequest) -> None:
    model = install("quick")
    texts = []
    async for event in stream(ask, [model], Limits(first_token=0.2, stall=0.05)):
        await asyncio.sleep(0.1)
        texts.append(event)
    assert isinstance(texts[-1], Finished)


async def test_an_adapter_may_ask_for_more_patience(online: ModelServer, ask: ChatRequest, monkeypatch: Any) -> None:
    """The embedded model says itself how long it may need to read a prompt."""
    monkeypatch.setattr(type(language_model(EMBEDDED)), "first_token_seconds", lambda self, request: 0.2)
    online.behaviour = "silent"
    events = await events_of(ask, EMBEDDED, GUIDED, limits=Limits(first_token=60))
    assert events[1] == FellBack(EMBEDDED, "first_token", discard=False)


async def test_measured_speeds_are_remembered(online: ModelServer, ask: ChatRequest) -> None:
    await events_of(ask, EMBEDDED)
    assert health.prompt_speed(EMBEDDED) == 80.0
    assert health.record(EMBEDDED).completion_speed == 20.0


def test_the_codes_of_the_error_tree_are_unique() -> None:
    found = [kind.code for kind in _all(LanguageModelError)]
    assert len(found) == len(set(found))
    assert StreamBroken.code == "broken"


def _all(kind: type[LanguageModelError]) -> list[type[LanguageModelError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _all(child))]


def test_the_registry_knows_nothing_of_fakes() -> None:
    assert "fake" not in registry.PROVIDERS
