"""Every answer says who wrote it; what was replaced, cut or kept from a cloud is said too; the books know for whom."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from coach import selectors, services
from coach import turn as turn_module
from coach.models import Conversation, Turn
from coach.prompting import NumberedSource, PastTurn
from coach.turn import run_turn, warm
from knowledge.types import SearchResult
from llm import health
from llm.errors import ContextTooLong, RateLimited
from llm.registry import language_model
from llm.types import CallReport, ModelId, Place
from tests.fakes import FakeLanguageModel

from .test_turn import Events, context

GUIDED = ModelId("guided")
A, B, CLOUD = ModelId("fake", "a"), ModelId("fake", "b"), ModelId("fake", "cloud")


@pytest.fixture(autouse=True)
def reports(monkeypatch: pytest.MonkeyPatch) -> list[CallReport]:
    health.forget()
    found: list[CallReport] = []
    monkeypatch.setattr("llm.calls.report", found.append)
    return found


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make these models the ones of the policy, guided mode behind them."""

    async def search(*_args: Any, **_kwargs: Any) -> SearchResult:
        return SearchResult(passages=(), covered=False)

    def use(*models: FakeLanguageModel) -> None:
        by_id: dict[ModelId, Any] = {model.id: model for model in models} | {GUIDED: language_model(GUIDED)}
        monkeypatch.setattr(turn_module.retrieval, "search", search)
        monkeypatch.setattr(turn_module.policy, "resolve", lambda _text, **_asked: list(by_id))
        monkeypatch.setattr("llm.switcher.language_model", by_id.__getitem__)
        monkeypatch.setattr("coach.turn.language_model", by_id.__getitem__)
        monkeypatch.setattr("coach.asking.language_model", by_id.__getitem__)

    return use


class StrictContext(FakeLanguageModel):
    """Refuses prompts of more messages than it likes, whatever its context is said to be."""

    most = 14

    def stream(self, request: Any) -> Any:
        self.error = ContextTooLong("too long") if len(request.messages) > self.most else None
        return super().stream(request)


def _past(turns: int) -> tuple[PastTurn, ...]:
    source = NumberedSource(1, "A book", "A sentence. " * 20)
    return tuple(
        PastTurn(number, f"Question {number}?", "An answer. " * 20, "en", True, (source,) if number == 0 else ())
        for number in range(turns)
    )


async def test_a_prompt_that_a_model_refuses_is_cut_and_the_coachee_is_told(use: Any) -> None:
    model = StrictContext(id=A)
    use(model)
    events = Events()
    outcome = await run_turn(context(past=_past(8), position=8), events)
    assert outcome.model == "fake:a"
    [notice] = outcome.notices
    assert notice["code"] == "context_cut"
    assert notice["sources"] == 1
    assert notice["turns"] >= 5
    assert f"{notice['turns']} oldest questions" in notice["message"]
    assert ("notice", notice) in events
    assert outcome.sources_from > 0, "the next prompt does not bring them back"
    first, second = model.requests
    assert len(second.messages) == len(first.messages) - 2 * notice["turns"]
    assert "How do habits form?" in second.messages[-1].content


async def test_a_larger_model_gets_the_whole_prompt_and_nothing_is_forgotten(use: Any) -> None:
    small = StrictContext(id=A)
    small.most = 0
    large = FakeLanguageModel(id=B, context_tokens=32_000)
    use(small, large)
    outcome = await run_turn(context(past=_past(8), position=8), Events())
    assert [notice["code"] for notice in outcome.notices] == ["context_cut", "fallback"]
    assert "too long for the first language model" in outcome.notices[1]["message"]
    assert len(large.requests[0].messages) == len(small.requests[0].messages)
    assert outcome.sources_from == 0


async def test_a_question_alone_that_is_too_long_says_nothing_about_sources(use: Any) -> None:
    use(FakeLanguageModel(id=A, context_tokens=1200))
    outcome = await run_turn(context("Why? " * 1500), Events())
    assert "context_cut" not in [notice["code"] for notice in outcome.notices]


async def test_a_rate_limit_leads_to_a_notice_with_its_reason(use: Any) -> None:
    use(FakeLanguageModel(id=A, error=RateLimited("slow down", retry_after=30)), FakeLanguageModel(id=B))
    outcome = await run_turn(context(), Events())
    [notice] = outcome.notices
    assert (notice["code"], notice["model"], notice["reason"]) == ("fallback", "fake:a", "rate_limited")
    assert (outcome.model, outcome.place) == ("fake:b", "local")


async def test_the_books_know_for_whom(use: Any, reports: list[CallReport]) -> None:
    use(FakeLanguageModel(id=A))
    asked = context(owner=42, created=timezone.now() - timedelta(seconds=3))
    await run_turn(asked, Events())
    [report] = reports
    assert (report.outcome, report.model) == ("ok", A)
    account = report.account
    assert (account.purpose, account.coach, account.user, account.turn) == ("turn", "personal", 42, asked.turn)
    assert 3 <= account.queue_seconds < 60


# --- private ---------------------------------------------------------------------------------


async def test_a_private_turn_stays_on_this_machine(use: Any) -> None:
    cloud, local = FakeLanguageModel(id=CLOUD, place=Place.CLOUD, context_tokens=1000), FakeLanguageModel(id=B)
    use(cloud, local)
    outcome = await run_turn(context(private=True), Events())
    assert (outcome.model, outcome.place, outcome.notices) == ("fake:b", "local", [])
    assert cloud.requests == []
    assert local.requests[0].private
    assert (await run_turn(context(), Events())).place == "cloud"


async def test_without_a_local_model_guided_mode_answers_and_says_why(use: Any) -> None:
    cloud = FakeLanguageModel(id=CLOUD, place=Place.CLOUD)
    use(cloud)
    outcome = await run_turn(context(private=True), Events())
    assert (outcome.model, cloud.requests) == ("guided", [])
    assert "private conversation never leaves" in outcome.notices[0]["message"]


@pytest.mark.django_db
async def test_a_private_conversation_is_warmed_on_this_machine_only(use: Any) -> None:
    cloud, local = FakeLanguageModel(id=CLOUD, place=Place.CLOUD), FakeLanguageModel(id=B)
    use(cloud, local)
    opened = selectors.OpenedConversation(uuid.uuid4(), "en", "personal", "", "", (), 0, private=True)
    await warm(opened)
    assert cloud.warmed == []
    assert local.warmed[0].private


@pytest.mark.django_db
def test_a_conversation_is_made_private_and_its_turns_are(client: Client, alice: Any, coach: Any) -> None:
    client.force_login(alice)
    made = client.post("/api/v1/conversations", {"coach": coach.slug, "private": True}, "application/json")
    assert made.json()["private"] is True
    conversation = Conversation.objects.get(pk=made.json()["id"])
    assert client.get(f"/api/v1/conversations/{conversation.pk}").json()["private"] is True
    turn = uuid.uuid4()
    services.ask(user_id=alice.pk, turn_id=turn, conversation_id=conversation.pk, text="Hello?", language="en")
    found = selectors.turn_context(turn)
    assert (found.private, found.owner) == (True, alice.pk)
    assert found.created == Turn.objects.get(pk=turn).created
    opened = selectors.opened_conversation(conversation.pk)
    assert opened is not None
    assert opened.private


@pytest.mark.django_db
def test_without_a_word_a_conversation_is_not_private(client: Client, alice: Any, coach: Any) -> None:
    client.force_login(alice)
    made = client.post("/api/v1/conversations", {"coach": coach.slug}, "application/json")
    assert made.json()["private"] is False


@pytest.mark.django_db
def test_no_cloud_is_announced_in_a_private_conversation(client: Client, alice: Any, coach: Any, settings: Any) -> None:
    settings.COACH_MODELS = "openai:gpt-4o-mini"
    client.force_login(alice)
    for private, told in ((True, False), (False, True)):
        talk = services.start_conversation(owner_id=alice.pk, coach=coach.slug, language="en", private=private)
        page = client.get(f"/c/{talk.pk}/")
        assert page.status_code == 200
        assert bool(page.context["cloud"]) is told
