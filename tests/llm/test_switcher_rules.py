"""What the switcher's rules promise: books, times, prompts that are too long, rate limits, trials."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from llm import health
from llm.errors import ContextTooLong, ServerFailed
from llm.registry import language_model
from llm.switcher import Limits, stream
from llm.tokens import prompt_tokens
from llm.types import (
    Account,
    CallReport,
    ChatRequest,
    Chosen,
    FellBack,
    Finished,
    Message,
    ModelId,
    Place,
    Shorter,
    Token,
    Trimmed,
    Usage,
)
from tests.servers import free_port

from .conftest import WORDS, ModelServer
from .switching import EMBEDDED, GUIDED, OLLAMA, OPENAI, PATIENT, SOON_GIVEN_UP, events_of, text_of

pytestmark = pytest.mark.usefixtures("reports")


# --- the books -------------------------------------------------------------------------------


async def test_each_attempt_is_reported(online: ModelServer, ask: ChatRequest, reports: list[CallReport]) -> None:
    online.behaviour = "breaks"
    account = Account(coach="personal", user=7, queue_seconds=0.5)
    await events_of(replace(ask, account=account), OPENAI, GUIDED)
    first, second = reports
    assert (first.model, first.outcome, first.fallback_from, first.usage) == (OPENAI, "broken", "", Usage())
    assert first.first_token_seconds is not None
    assert 0 < first.first_token_seconds <= first.seconds
    assert (second.model, second.outcome) == (GUIDED, "ok")
    assert (second.fallback_from, second.fallback_reason) == ("openai:m", "broken")
    assert first.account == second.account == account
    assert first.place is Place.LOCAL
    assert second.usage.completion_tokens


async def test_usage_is_reported(online: ModelServer, ask: ChatRequest, reports: list[CallReport]) -> None:
    await events_of(ask, EMBEDDED)
    assert [(report.outcome, report.usage.prompt_tokens, report.usage.cached_prompt_tokens) for report in reports] == [
        ("ok", 100, 60)
    ]


async def test_a_call_that_never_began_has_no_first_token(
    online: ModelServer, ask: ChatRequest, reports: list[CallReport]
) -> None:
    online.behaviour = "silent"
    await events_of(ask, OPENAI, GUIDED, limits=SOON_GIVEN_UP)
    assert (reports[0].outcome, reports[0].first_token_seconds) == ("first_token", None)
    assert reports[0].seconds >= 0.29


async def test_who_leaves_is_reported_as_cancelled(
    online: ModelServer, ask: ChatRequest, reports: list[CallReport]
) -> None:
    online.behaviour = "held"
    async with aclosing(stream(ask, [OPENAI, GUIDED], PATIENT)) as events:
        async for event in events:
            if isinstance(event, Token):
                break
    assert [(report.model, report.outcome) for report in reports] == [(OPENAI, "cancelled")]
    assert reports[0].first_token_seconds is not None
    assert health.record(OPENAI).running == 0


async def test_a_cancelled_task_is_reported_as_cancelled(
    online: ModelServer, ask: ChatRequest, reports: list[CallReport]
) -> None:
    online.behaviour = "silent"
    reader = asyncio.create_task(events_of(ask, OPENAI, GUIDED))
    assert await asyncio.to_thread(online.asked.wait, 30)
    assert health.record(OPENAI).running == 1
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert [(report.outcome, report.first_token_seconds) for report in reports] == [("cancelled", None)]
    assert health.record(OPENAI).running == 0


async def test_who_has_the_end_in_hand_and_leaves_was_answered(
    online: ModelServer, ask: ChatRequest, reports: list[CallReport]
) -> None:
    async with aclosing(stream(ask, [OPENAI], PATIENT)) as events:
        async for event in events:
            if isinstance(event, Finished):
                break
    assert [report.outcome for report in reports] == ["ok"]


async def test_a_fault_of_our_own_is_no_cancellation(
    install: Any, ask: ChatRequest, reports: list[CallReport], monkeypatch: Any
) -> None:
    model = install("wrong")

    async def wrong(request: ChatRequest) -> Any:
        yield Token("Half ")
        raise KeyError("a fault in an adapter")

    monkeypatch.setattr(install.fakes[model], "stream", wrong)
    with pytest.raises(KeyError):
        await events_of(ask, model)
    assert [report.outcome for report in reports] == ["error"]
    assert health.record(model).running == 0


# --- within its time -------------------------------------------------------------------------


async def _seconds_to_first_token(request: ChatRequest, *models: ModelId, limits: Limits) -> float:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with aclosing(stream(request, models, limits)) as events:
        async for event in events:
            if isinstance(event, Token):
                return loop.time() - begun
    raise AssertionError("no token")


async def test_a_refused_connection_costs_less_than_two_seconds(settings: Any, ask: ChatRequest) -> None:
    settings.OPENAI_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"
    language_model(OPENAI)  # its libraries are imported when the runner starts
    assert await _seconds_to_first_token(ask, OPENAI, GUIDED, limits=Limits()) < 2
    await language_model(OPENAI).aclose()


async def test_silence_costs_the_limit_of_the_first_token(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour = "silent"
    assert 0.29 < await _seconds_to_first_token(ask, OPENAI, GUIDED, limits=SOON_GIVEN_UP) < 2.3


# --- too long --------------------------------------------------------------------------------


def _long(ask: ChatRequest, *, floor: int = 0) -> ChatRequest:
    """Ten old messages of about 60 tokens each; `shorter` drops the oldest, never to less than `floor` messages."""
    old = [Message("user", f"{number} " + "word " * 60) for number in range(10)]

    def shorter(tokens: int) -> Shorter | None:
        kept = list(old)
        while len(kept) > floor and prompt_tokens([*kept, *ask.messages]) > tokens:
            kept.pop(0)
        if len(kept) == len(old):
            return None
        return Shorter(replace(request, messages=[*kept, *ask.messages], tokens=0), turns=len(old) - len(kept))

    request = replace(ask, messages=[*old, *ask.messages], shorter=shorter)
    return request


@pytest.mark.parametrize("model", [OPENAI, OLLAMA, EMBEDDED])
async def test_what_a_server_finds_too_long_is_cut_to_half_and_asked_once_more(
    model: ModelId, online: ModelServer, ask: ChatRequest, reports: list[CallReport]
) -> None:
    online.context_tokens = 400
    events = await events_of(_long(ask), model, GUIDED)
    assert events[:2] == [Chosen(model, Place.LOCAL), Trimmed(model, sources=0, turns=6)]
    assert text_of(events) == "".join(WORDS)
    assert [report.outcome for report in reports] == ["context", "ok"]
    assert reports[1].fallback_from == "", "it is the same model"
    contents = [message["content"] for message in online.body["messages"]]
    assert contents[0].startswith("6 ")
    assert contents[-1] == "How do I begin?"


async def test_what_is_too_long_by_our_own_count_is_cut_before_anybody_is_asked(install: Any, ask: ChatRequest) -> None:
    small = install("small", context_tokens=400)
    events = await events_of(_long(ask), small)
    assert isinstance(events[1], Trimmed)
    assert len(install.fakes[small].requests) == 1
    assert prompt_tokens(install.fakes[small].requests[0].messages) <= 350


async def test_what_cannot_be_cut_goes_to_a_larger_context(install: Any, ask: ChatRequest) -> None:
    small = install("small", error=ContextTooLong("too long"), context_tokens=1500)
    same, large = install("same", context_tokens=1500), install("large", context_tokens=9000)
    events = await events_of(_long(ask, floor=10), small, same, large)
    assert events[:4] == [
        Chosen(small, Place.LOCAL),
        FellBack(small, "context", discard=False),
        FellBack(same, "capability", discard=False),
        Chosen(large, Place.LOCAL),
    ]
    assert len(install.fakes[large].requests[0].messages) == 12, "the larger one gets the whole"


async def test_a_prompt_cut_in_vain_goes_whole_to_the_larger_one(install: Any, ask: ChatRequest) -> None:
    small = install("small", error=ContextTooLong("too long"), context_tokens=1500)
    large = install("large", context_tokens=9000)
    events = await events_of(_long(ask), small, large)
    assert [type(event) for event in events[:4]] == [Chosen, Trimmed, FellBack, Chosen]
    assert len(install.fakes[small].requests) == 2
    assert len(install.fakes[large].requests[0].messages) == 12


# --- too many requests -----------------------------------------------------------------------


async def test_a_short_wait_is_waited_when_no_other_model_is_left(
    online: ModelServer, ask: ChatRequest, reports: list[CallReport]
) -> None:
    online.behaviour, online.retry_after = "busy once", "0.2"
    events = await events_of(ask, OPENAI, GUIDED)
    assert [type(event) for event in events if not isinstance(event, Token)] == [Chosen, Finished]
    assert text_of(events) == "".join(WORDS)
    assert [report.outcome for report in reports] == ["rate_limited", "ok"]
    assert reports[1].started.timestamp() - reports[0].started.timestamp() >= 0.2


async def test_but_once_only(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour, online.retry_after = "busy", "0.1"
    events = await events_of(ask, OPENAI, GUIDED)
    assert FellBack(OPENAI, "rate_limited", discard=False) in events
    assert len(online.requests) == 2


async def test_another_model_is_quicker_than_a_wait(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour, online.retry_after = "busy once", "1"
    events = await events_of(ask, OPENAI, OLLAMA, GUIDED)
    assert [event.model for event in events if isinstance(event, Chosen)] == [OPENAI, OLLAMA]
    assert not health.may_try(OPENAI), "for the second it asked for"


async def test_a_long_wait_is_not_waited(online: ModelServer, ask: ChatRequest) -> None:
    online.behaviour, online.retry_after = "busy once", "30"
    events = await events_of(ask, OPENAI, GUIDED)
    assert FellBack(OPENAI, "rate_limited", discard=False) in events
    assert len(online.requests) == 1


# --- the one that tries again ----------------------------------------------------------------


def _half_open(model: ModelId) -> None:
    health.record(model).open_until = health.time.monotonic() - 1


async def test_while_one_tries_again_the_others_go_on_to_the_next(install: Any, ask: ChatRequest) -> None:
    held = asyncio.Event()
    first, second = install("first", hold=held), install("second")
    _half_open(first)
    trial = asyncio.create_task(events_of(ask, first, second))
    while not install.fakes[first].requests:
        await asyncio.sleep(0)
    events = await events_of(ask, first, second)
    assert events[:2] == [FellBack(first, "unavailable", discard=False), Chosen(second, Place.LOCAL)]
    held.set()
    assert (await trial)[0] == Chosen(first, Place.LOCAL)
    assert (await events_of(ask, first, second))[0] == Chosen(first, Place.LOCAL)


async def test_a_trial_that_is_cancelled_is_left_to_the_next(install: Any, ask: ChatRequest) -> None:
    first, second = install("first", hold=asyncio.Event()), install("second")
    _half_open(first)
    async with aclosing(stream(ask, [first, second], PATIENT)) as events:
        async for event in events:
            if isinstance(event, Token):
                break
    install.fakes[first].hold = None
    assert (await events_of(ask, first, second))[0] == Chosen(first, Place.LOCAL)


async def test_a_trial_that_fails_opens_the_breaker_again(install: Any, ask: ChatRequest) -> None:
    first = install("first", error=ServerFailed("still ill"))
    _half_open(first)
    await events_of(ask, first, GUIDED)
    assert not health.may_try(first)


@pytest.mark.real_model
async def test_a_real_server_with_less_context_than_we_thought(
    settings: Any, tmp_path: Any, ask: ChatRequest, reports: list[CallReport]
) -> None:
    """The server counts real tokens: 2,048 for a conversation, where 4,096 are believed."""
    from .test_real_model import KEY, _start

    server = _start(tmp_path)
    settings.LLAMACPP_SERVER = {"url": server.url, "key": KEY, "model": str(server.model), "context": 4096}
    long = replace(ask, max_tokens=8, messages=[Message("user", "Tell me of habits. " * 40)] * 18)

    def shorter(tokens: int) -> Shorter | None:
        kept = [message for message in long.messages if message.role == "user"]
        while prompt_tokens(kept) > tokens:
            kept.pop(0)
        return Shorter(replace(long, messages=kept), turns=len(long.messages) - len(kept))

    try:
        events = await events_of(replace(long, shorter=shorter), EMBEDDED, GUIDED)
        assert [type(event) for event in events[:4]] == [Chosen, Trimmed, Trimmed, Token], "by our count, then by its"
        assert isinstance(events[-1], Finished)
        assert [report.outcome for report in reports] == ["context", "ok"]
        assert 0 < (events[-1].usage.prompt_tokens or 0) <= 2048
    finally:
        await language_model(EMBEDDED).aclose()
        server.process.terminate()
        assert server.process.wait(10) == 0
