"""What an admin allows, and what a judge of texts says, as a coachee meets them."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from coach import errors, selectors, services
from coach import turn as turn_module
from coach.models import Coach, Conversation, Turn
from coach.selectors import OpenedConversation
from coach.turn import run_turn, warm
from knowledge.types import SearchResult
from llm import limits, moderation
from llm.limits import Allowance
from llm.models import Limit, ModelCall
from llm.registry import language_model
from llm.types import ModelId, Place
from tests.fakes import FakeLanguageModel

from .test_turn import Events, context

GUIDED, HERE, CLOUD = ModelId("guided"), ModelId("fake", "here"), ModelId("fake", "cloud")


@pytest.fixture
def talk(alice: Any) -> Conversation:
    coach = Coach.objects.create(slug="limited", name="C", mode="personal")
    return Conversation.objects.create(owner=alice, coach=coach, language="sv")


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    limits.forget()
    yield
    limits.forget()


def _called(talk: Conversation, place: str) -> None:
    ModelCall.objects.create(
        started=timezone.now(), model="fake:m", place=place, coach="limited", user=talk.owner, turn=uuid.uuid4()
    )


def _ask(talk: Conversation) -> uuid.UUID:
    turn = uuid.uuid4()
    services.ask(user_id=talk.owner_id, turn_id=turn, conversation_id=talk.pk, text="Hur börjar jag?")
    return turn


@pytest.mark.django_db
def test_a_reached_limit_is_a_kind_refusal_and_stores_nothing(talk: Conversation) -> None:
    Limit.objects.create(per_user=True, turns=1, period="day", cloud_only=False)
    first = _ask(talk)
    _called(talk, "local")
    with pytest.raises(errors.LimitReached, match="You can go on from") as caught:
        _ask(talk)
    assert (caught.value.code, caught.value.status) == ("limit", 429)
    assert list(Turn.objects.values_list("pk", flat=True)) == [first]
    Turn.objects.update(state="done")
    with pytest.raises(errors.LimitReached):
        services.regenerate(user_id=talk.owner_id, turn_id=first, new_turn_id=uuid.uuid4())


@pytest.mark.django_db
def test_a_cloud_limit_travels_with_the_turn_in_the_coachees_language(talk: Conversation) -> None:
    Limit.objects.create(per_user=True, turns=1, period="day")
    _called(talk, "cloud")
    found = selectors.turn_context(_ask(talk)).allowance
    assert (found.local, found.cloud) == (True, False)
    assert "UTC" in found.message


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[FakeLanguageModel]:
    """A cloud model, preferred, and one on this machine."""
    found = [FakeLanguageModel(id=CLOUD, place=Place.CLOUD), FakeLanguageModel(id=HERE)]
    by_id: dict[ModelId, Any] = {model.id: model for model in found} | {GUIDED: language_model(GUIDED)}

    async def search(*_args: Any, **_kwargs: Any) -> SearchResult:
        return SearchResult(passages=(), covered=False)

    monkeypatch.setattr(turn_module.retrieval, "search", search)
    monkeypatch.setattr(turn_module.policy, "resolve", lambda _text, **_asked: list(by_id))
    monkeypatch.setattr("llm.switcher.language_model", by_id.__getitem__)
    monkeypatch.setattr("coach.turn.language_model", by_id.__getitem__)
    monkeypatch.setattr("coach.asking.language_model", by_id.__getitem__)
    monkeypatch.setattr("llm.calls.report", lambda _call: None)
    return found


async def test_beyond_a_cloud_limit_the_model_here_answers_and_it_is_said(models: list[FakeLanguageModel]) -> None:
    outcome = await run_turn(context(allowance=Allowance(cloud=False, message="Until tomorrow.")), Events())
    assert outcome.model == "fake:here"
    assert outcome.notices == [{"code": "limit", "message": "Until tomorrow."}]


async def test_nothing_is_said_about_a_limit_that_changes_nothing(models: list[FakeLanguageModel]) -> None:
    outcome = await run_turn(context(), Events())
    assert (outcome.model, outcome.notices) == ("fake:cloud", [])


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A judge that worries about everybody; what it was asked."""
    asked: list[dict[str, Any]] = []

    async def moderate(text: str, language: str, *, private: bool = False) -> moderation.Verdict:
        asked.append({"text": text, "language": language, "private": private})
        return moderation.Verdict(True, ("self_harm",), "ollama:guard")

    monkeypatch.setattr(turn_module.moderation, "moderate", moderate)
    return asked


async def test_a_judge_that_worries_brings_the_helplines_before_the_answer(
    models: list[FakeLanguageModel], judge: list[dict[str, Any]]
) -> None:
    events = Events()
    outcome = await run_turn(context(), events)
    assert outcome.safety == "elevated"
    assert outcome.notices[0]["code"] == "safety"
    assert len(outcome.notices[0]["card"]["helplines"]) >= 2
    kinds = events.types()
    assert kinds.index("notice") < kinds.index("sources") < kinds.index("token")


async def test_what_is_private_is_judged_on_this_machine(
    models: list[FakeLanguageModel], judge: list[dict[str, Any]]
) -> None:
    await run_turn(context(private=True), Events())
    assert judge[0]["private"] is True


async def test_a_phrase_of_the_word_list_is_noted_without_a_card(models: list[FakeLanguageModel]) -> None:
    outcome = await run_turn(context(question="How do I make a bomb?"), Events())
    assert (outcome.safety, outcome.notices) == ("moderated", [])


@pytest.mark.django_db
def test_a_limit_says_nothing_about_the_conversation_of_somebody_else(talk: Conversation, bob: Any) -> None:
    Limit.objects.create(per_user=True, turns=1, period="day", cloud_only=False)
    ModelCall.objects.create(
        started=timezone.now(), model="fake:m", place="local", coach="limited", user=bob, turn=uuid.uuid4()
    )
    with pytest.raises(errors.NotFound):
        services.ask(user_id=bob.pk, turn_id=uuid.uuid4(), conversation_id=talk.pk, text="Hi?")


async def test_opening_a_conversation_sends_nothing_to_a_cloud(models: list[FakeLanguageModel]) -> None:
    opened = OpenedConversation(uuid.uuid4(), "en", "personal", "", "", past=(), sources_from=0)
    await warm(opened)
    assert models[0].warmed == []
    await warm(replace(opened, private=True))
    assert len(models[1].warmed) == 1


async def test_the_search_is_told_that_a_question_is_private(
    models: list[FakeLanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    async def search(*_args: Any, private: bool, **_kwargs: Any) -> SearchResult:
        asked.append(private)
        return SearchResult(passages=(), covered=False, degraded="dense_private" if private else "")

    monkeypatch.setattr(turn_module.retrieval, "search", search)
    outcome = await run_turn(context(private=True), Events())
    await run_turn(context(), Events())
    assert asked == [True, False]
    assert outcome.notices[0]["code"] == "dense_private"
    assert "words only" in outcome.notices[0]["message"]
