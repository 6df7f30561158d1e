"""Every prompt can be had again, byte for byte: what the model that answered was shown, whatever happened."""

from __future__ import annotations

import tomllib
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from coach import selectors, services
from coach import turn as turn_module
from coach.models import Coach, Conversation, PromptMessage, Turn
from coach.provenance import APP, PromptDamaged, prompt_of, stored_prompt, stored_prompts
from coach.turn import run_turn
from knowledge.models import Chunk, Document, KnowledgeBase, Splitting
from knowledge.types import Passage, SearchResult
from llm.errors import ContextTooLong, ServerFailed
from llm.types import ModelId
from tests.fakes import FakeLanguageModel

pytestmark = pytest.mark.django_db

TEXTS = (
    "A habit needs a cue, a routine and a reward. Lally found that it takes about two months. It is a loop.",
    "An if-then plan names the moment and the act. Gollwitzer showed that it doubles the chance to do it.",
    "Small steps win. A step that is too easy to refuse is done on bad days as well, and those decide.",
)


@pytest.fixture
def talk(base: KnowledgeBase, coach: Coach, alice: User) -> Conversation:
    return services.start_conversation(owner_id=alice.pk, coach=coach.slug, language="en")


@pytest.fixture
def passages(base: KnowledgeBase) -> list[Passage]:
    document = Document.objects.create(base=base, title="Habits", filename="habits.md", sha256="1")
    splitting = Splitting.objects.create(base=base, splitter="s")
    chunks = [
        Chunk.objects.create(document=document, splitting=splitting, position=n, start=0, end=9, text=text)
        for n, text in enumerate(TEXTS)
    ]
    return [Passage(chunk.pk, str(document.pk), "Habits", "p. 1", chunk.text, 0.9) for chunk in chunks]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, passages: list[Passage]) -> Any:
    """`house.ask(talk, question, found=[…])` answers a turn as a runner does."""

    class House:
        def use(self, *models: FakeLanguageModel) -> None:
            by_id = {model.id: model for model in models}
            monkeypatch.setattr(turn_module.policy, "resolve", lambda *_a, **_k: [model.id for model in models])
            for place in ("llm.switcher", "coach.turn", "coach.asking"):
                monkeypatch.setattr(f"{place}.language_model", by_id.__getitem__)

        def ask(self, talk: Conversation, question: str, found: list[Passage], again: Turn | None = None) -> Turn:
            async def search(*_args: Any, **_values: Any) -> SearchResult:
                return SearchResult(tuple(found), covered=bool(found), generations=(7,))

            monkeypatch.setattr(turn_module.retrieval, "search", search)
            turn = uuid.uuid4()
            if again is None:
                services.ask(user_id=talk.owner_id, turn_id=turn, conversation_id=talk.pk, text=question)
            else:
                services.regenerate(user_id=talk.owner_id, turn_id=again.pk, new_turn_id=turn)
            assert services.claim(turn_id=turn, runner="r")
            outcome = async_to_sync(run_turn)(selectors.turn_context(turn), _nothing)
            assert services.finish_turn(turn_id=turn, runner="r", outcome=outcome)
            return Turn.objects.get(pk=turn)

    return House()


async def _nothing(_type: str, _data: dict[str, Any]) -> None:
    return None


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == APP


def test_each_prompt_of_a_conversation_comes_back_byte_for_byte(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    model = FakeLanguageModel(text="Börja smått [1]. 무엇이 도움이 될까요?")
    house.use(model)
    found = [passages[:1], passages[:2], [], passages[1:]]
    questions = ["How do habits form?", "What is an if-then plan?", "Thank you!", "Why do small steps win?"]
    turns, rows = [], [0]
    for question, now in zip(questions, found, strict=True):
        model.text += " 한"
        turns.append(house.ask(talk, question, now))
        rows.append(PromptMessage.objects.count())
    assert [prompt_of(turn) for turn in turns] == [request.messages for request in model.requests]
    assert [later - earlier for earlier, later in pairwise(rows[1:])] == [2, 2, 2]
    assert len(prompt_of(turns[3])) == 3 + 2 * 3 + 1
    everything = stored_prompts(list(Turn.objects.select_related("conversation__coach")))
    assert {turn.pk: prompt_of(turn) for turn in turns} == {pk: one.messages for pk, one in everything.items()}
    assert all(one.exact for one in everything.values())


def test_what_is_said_about_the_answer(house: Any, talk: Conversation, passages: list[Passage]) -> None:
    model = FakeLanguageModel()
    model.repeat_penalty = 1.1  # type: ignore[attr-defined]
    house.use(model)
    first = house.ask(talk, "How do habits form?", passages[:1])
    second = house.ask(talk, "What is an if-then plan?", passages[1:2])
    stored = second.provenance
    assert stored["sampling"] == {"max_tokens": 400, "temperature": 0.3, "repeat_penalty": 1.1}
    assert (stored["generations"], stored["chunks"]) == ([7], [passages[1].chunk])
    assert (stored["history"], stored["opening"], stored["app"]) == ([str(first.pk)], 3, APP)
    assert len(stored["messages"]) == 6
    assert first.provenance["history"] == []


def test_the_opening_is_stored_once_for_all_conversations(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    house.use(FakeLanguageModel())
    house.ask(talk, "How do habits form?", passages)
    other = services.start_conversation(owner_id=talk.owner_id, coach="personal", language="en")
    house.ask(other, "How do habits form?", passages)
    assert PromptMessage.objects.filter(conversation=None).count() == 3
    assert PromptMessage.objects.filter(conversation=talk).count() == 1
    assert PromptMessage.objects.filter(conversation=other).count() == 1


def test_a_deleted_conversation_leaves_nothing_that_was_said(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    house.use(FakeLanguageModel(text="A secret answer."))
    house.ask(talk, "What about my secret?", passages)
    house.ask(talk, "And another secret?", passages)
    services.delete_conversation(owner_id=talk.owner_id, conversation_id=talk.pk)
    left = PromptMessage.objects.all()
    assert [message.conversation_id for message in left] == [None] * 3
    assert not any("secret" in message.text or text in message.text for message in left for text in TEXTS)


def test_the_prompt_is_the_one_of_the_model_that_took_over(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    """The second one has a small context: it was shown less, and that is what is kept."""
    big = FakeLanguageModel(text="Long. " * 60, context_tokens=8000)
    house.use(big)
    for number in range(4):
        house.ask(talk, f"How do habits form in week {number}?", passages[:1])
    broken = FakeLanguageModel(id=ModelId("fake", "broken"), error=ServerFailed("500"), context_tokens=8000)
    small = FakeLanguageModel(id=ModelId("fake", "small"), context_tokens=900)
    house.use(broken, small)
    turn = house.ask(talk, "What is an if-then plan?", passages[1:2])
    assert turn.model == "fake:small"
    assert prompt_of(turn) == small.requests[-1].messages != broken.requests[-1].messages
    assert len(prompt_of(turn)) < len(broken.requests[-1].messages)
    kept = len(prompt_of(turn)) - 4
    path = [str(pk) for pk in Turn.objects.filter(position__lt=4).order_by("position").values_list("pk", flat=True)]
    assert turn.provenance["history"] == path[len(path) - kept // 2 :]


def test_a_model_that_takes_over_is_shown_the_whole_prompt_again(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    house.use(FakeLanguageModel(text="Long. " * 60))
    for number in range(3):
        house.ask(talk, f"How do habits form in week {number}?", passages[:1])
    strict = FakeLanguageModel(id=ModelId("fake", "strict"), error=ContextTooLong("too long"))
    other = FakeLanguageModel(id=ModelId("fake", "other"), context_tokens=9000)
    house.use(strict, other)
    turn = house.ask(talk, "What is an if-then plan?", passages[1:2])
    assert len(strict.requests) == 2
    assert prompt_of(turn) == other.requests[0].messages == strict.requests[0].messages


@pytest.mark.parametrize("tokens", [90, 400])
def test_an_answer_that_is_written_again_has_the_same_prompt(
    house: Any, talk: Conversation, passages: list[Passage], monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    """Also when the budget leaves passages out the first time, and after an answer of two was gone on from."""
    monkeypatch.setattr("coach.turn.fresh_tokens", lambda *_args: tokens)
    model = FakeLanguageModel()
    house.use(model)
    house.ask(talk, "How do habits form?", passages[:1])
    first = house.ask(talk, "Why do small steps win?", passages)
    again = house.ask(talk, "", passages, again=first)
    assert again.provenance["sha256"] == first.provenance["sha256"]
    assert again.sources == first.sources
    assert prompt_of(again) == prompt_of(first) == model.requests[-1].messages
    before = PromptMessage.objects.count()
    later = house.ask(talk, "And an if-then plan?", passages[1:2])
    assert prompt_of(later)[: len(prompt_of(again))] == prompt_of(again)
    assert PromptMessage.objects.count() <= before + 2


def test_another_passage_in_front_is_not_kept_out_of_a_second_answer(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    house.use(FakeLanguageModel())
    first = house.ask(talk, "Why do small steps win?", passages[:2])
    again = house.ask(talk, "", [passages[2], *passages[:2]], again=first)
    assert again.provenance["chunks"] == [passages[n].chunk for n in (2, 0, 1)]
    assert again.provenance["sha256"] != first.provenance["sha256"]


def test_where_no_model_was_asked_nothing_is_kept(house: Any, talk: Conversation) -> None:
    house.use(FakeLanguageModel())
    turn = house.ask(talk, "I want to kill myself tonight.", [])
    assert (turn.safety, turn.provenance) == ("acute", {})
    assert not PromptMessage.objects.exists()
    assert not stored_prompt(turn).exact


def test_a_turn_from_before_is_put_together_and_says_so(
    house: Any, talk: Conversation, passages: list[Passage]
) -> None:
    model = FakeLanguageModel()
    house.use(model)
    house.ask(talk, "How do habits form?", passages[:2])
    turn = house.ask(talk, "Why do small steps win?", passages)
    PromptMessage.objects.all().delete()
    Turn.objects.update(provenance={})
    turn.refresh_from_db()
    prompt = stored_prompt(turn)
    assert (prompt.exact, prompt.opening) == (False, 3)
    assert prompt.messages == model.requests[-1].messages


def test_a_changed_message_is_noticed(house: Any, talk: Conversation, passages: list[Passage]) -> None:
    house.use(FakeLanguageModel())
    turn = house.ask(talk, "How do habits form?", passages)
    PromptMessage.objects.filter(conversation=talk).update(text="Something else?")
    with pytest.raises(PromptDamaged):
        prompt_of(turn)
    PromptMessage.objects.filter(conversation=talk).delete()
    with pytest.raises(PromptDamaged):
        prompt_of(turn)


def test_it_costs_one_statement_a_turn(house: Any, talk: Conversation, passages: list[Passage]) -> None:
    house.use(FakeLanguageModel())
    house.ask(talk, "How do habits form?", passages[:1])
    with CaptureQueriesContext(connection) as queries:
        house.ask(talk, "Why do small steps win?", passages[:1])
    statements = [query["sql"].lstrip().split()[0] for query in queries if "coach_promptmessage" in query["sql"]]
    assert statements == ["INSERT"]
