"""The optional answers from before: what may be kept, for whom, and that it is always said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from coach import answer_cache
from coach.events import redis_client
from coach.models import Turn
from coach.selectors import TurnContext
from coach.turn import run_turn
from knowledge.types import LiveIndex
from tests.fakes import FakeLanguageModel

from .test_turn import Events, context, found, use

__all__ = ["found", "use"]  # fixtures

ANSWER = "A cue starts it [1]. What is your cue?"


@pytest.fixture
def generation(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The live index generation; a test may change it."""
    now = {"id": 1}

    def live(bases: tuple[int, ...]) -> list[LiveIndex]:
        return [LiveIndex(base, now["id"], 1, "e5-small", "kb") for base in bases]

    monkeypatch.setattr(answer_cache, "live_indexes", live)
    return now


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    answer_cache._threads.shutdown()


@pytest.fixture
async def cache(broker: str, settings: Any, generation: Any) -> AsyncIterator[None]:
    settings.ANSWER_CACHE_SECONDS = 60
    yield
    for key in await redis_client().keys("answer:*"):
        await redis_client().delete(key)


async def _ask(model: FakeLanguageModel, **changes: Any) -> tuple[Any, Events, int]:
    """The outcome, its events, and how often the model was asked for it."""
    before, events = len(model.requests), Events()
    asked: TurnContext = replace(context(), **changes)
    return await run_turn(asked, events), events, len(model.requests) - before


@pytest.mark.usefixtures("cache", "found")
async def test_the_same_prompt_gets_the_same_answer_and_it_is_said(use: Any) -> None:
    model = FakeLanguageModel(text=ANSWER)
    use(model)
    first, _, asked = await _ask(model)
    assert (asked, first.notices) == (1, [])
    again, events, asked = await _ask(model)
    assert asked == 0
    assert (again.state, again.answer, again.citations) == (Turn.State.DONE, first.answer, [1])
    assert (again.model, again.place) == (first.model, first.place)
    assert [told["code"] for told in again.notices] == ["answer_kept"]
    assert events.text() == first.answer
    [key] = await redis_client().keys("answer:*")
    assert b"habit" not in (await redis_client().get(key) or b"")  # the question and the sources are not kept
    assert 0 < await redis_client().ttl(key) <= 60


@pytest.mark.usefixtures("cache", "found")
@pytest.mark.parametrize("changes", [{"private": True}, {"regenerates": True}, {"question": "Another one?"}])
async def test_not_for_private_new_or_other_questions(use: Any, changes: dict[str, Any]) -> None:
    model = FakeLanguageModel(text=ANSWER)
    use(model)
    await _ask(model)
    outcome, _, asked = await _ask(model, **changes)
    assert (asked, outcome.notices) == (1, [])


@pytest.mark.usefixtures("cache", "found")
async def test_a_private_answer_is_not_kept(use: Any) -> None:
    model = FakeLanguageModel(text=ANSWER)
    use(model)
    await _ask(model, private=True)
    assert await redis_client().keys("answer:*") == []


@pytest.mark.usefixtures("cache", "found")
async def test_another_index_generation_asks_again(use: Any, generation: dict[str, int]) -> None:
    model = FakeLanguageModel(text=ANSWER)
    use(model)
    await _ask(model)
    generation["id"] = 2
    assert (await _ask(model))[2] == 1


@pytest.mark.usefixtures("broker", "found", "generation")
async def test_off_unless_it_is_switched_on(use: Any) -> None:
    model = FakeLanguageModel(text=ANSWER)
    use(model)
    await _ask(model)
    assert (await _ask(model))[2] == 1
    assert await redis_client().keys("answer:*") == []


@pytest.mark.usefixtures("cache", "found")
async def test_without_the_broker_the_model_is_asked(use: Any, settings: Any, broker: str) -> None:
    from llm.loops import close_clients

    await close_clients()
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    model = FakeLanguageModel(text=ANSWER)
    use(model)
    outcome, _, asked = await _ask(model)
    assert (asked, outcome.state) == (1, Turn.State.DONE)
    await close_clients()
    settings.REDIS_URL = broker
