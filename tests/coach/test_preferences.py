"""Preference pairs: the same prompt on both sides, and a preference that somebody really showed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from coach import services
from coach.models import AnswerEdit, Conversation, PromptMessage, Rating, Turn
from coach.preferences import Pair, pairs
from coach.provenance import message_hash, prompt_hash
from llm.types import Message

pytestmark = pytest.mark.django_db
PROMPT = (Message("system", "Be kind."), Message("user", "Question: How?"))


def answered(
    talk: Conversation, answer: str, again: Turn | None = None, stars: int | None = None, **values: Any
) -> Turn:
    """A turn with PROMPT; its position is the next one, or that of the turn it answers again."""
    prompt = values.pop("prompt", PROMPT)
    hashes = [message_hash(message) for message in prompt]
    for sha256, message in zip(hashes, prompt, strict=True):
        PromptMessage.objects.get_or_create(
            conversation=talk, sha256=sha256, defaults={"role": message.role, "text": message.content}
        )
    provenance = {"messages": hashes, "sha256": prompt_hash(hashes), "opening": 1, "history": values.pop("history", [])}
    position = again.position if again else talk.turns.count()
    turn = Turn.objects.create(
        pk=uuid.uuid4(),
        conversation=talk,
        position=position,
        regenerates=again,
        question="How?",
        answer=answer,
        provenance=provenance,
        **{"state": "done", **values},
    )
    if stars:
        Rating.objects.create(turn=turn, rating=stars)
    return turn


def found() -> list[tuple[str, str, str]]:
    return [(pair.chosen, pair.rejected, pair.why) for pair in pairs(Turn.objects.all())]


def test_the_later_one_is_chosen_when_the_conversation_went_on_from_it(talk: Conversation) -> None:
    first = answered(talk, "Hm.")
    second = answered(talk, "Small steps.", again=first)
    assert found() == []  # nobody has said anything yet
    answered(talk, "Then go on.", history=[str(second.pk)])
    [pair] = pairs(Turn.objects.all())
    assert pair == Pair(PROMPT, "Small steps.", "Hm.", second.pk, first.pk, "regenerated")


def test_words_that_were_put_before_the_answer_are_no_part_of_it(talk: Conversation) -> None:
    before = "My knowledge base has nothing about this, so what follows is not backed by a source.\n\n"
    first = answered(talk, before + "Hm.")
    answered(talk, before + "Small steps.", again=first, stars=5)
    assert found() == [("Small steps.", "Hm.", "regenerated")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (2, 5, ("second", "first", "rated")),
        (5, 2, ("first", "second", "rated")),
        (None, 4, ("second", "first", "regenerated")),
        (2, 4, ("second", "first", "rated")),
        (4, None, None),
        (None, 2, None),
        (None, 3, None),
        (3, 3, None),
        (5, 5, None),
    ],
)
def test_ratings_decide(talk: Conversation, before: int | None, after: int | None, expected: Any) -> None:
    first = answered(talk, "first", stars=before)
    answered(talk, "second", again=first, stars=after)
    assert found() == ([expected] if expected else [])


def test_a_first_answer_that_was_gone_on_from_is_not_the_worse_one(talk: Conversation) -> None:
    first = answered(talk, "first")
    later = answered(talk, "later", history=[str(first.pk)])
    answered(talk, "second", again=first, stars=4)
    assert found() == []
    assert later.position == 1


def test_different_prompts_are_never_compared(talk: Conversation) -> None:
    first = answered(talk, "first", stars=1)
    answered(talk, "second", again=first, stars=5, prompt=(*PROMPT[:1], Message("user", "Question: Why?")))
    old = answered(talk, "old", stars=1)
    Turn.objects.filter(pk=old.pk).update(provenance={})
    again = answered(talk, "new", again=old, stars=5)
    Turn.objects.filter(pk=again.pk).update(provenance={})
    assert found() == []


@pytest.mark.parametrize("values", [{"safety": "moderated"}, {"state": "stopped"}, {"answer": "second"}])
def test_an_answer_that_may_not_be_used_is_in_no_pair(talk: Conversation, values: dict[str, str]) -> None:
    first = answered(talk, "first", stars=1)
    second = answered(talk, "second", again=first, stars=5)
    Turn.objects.filter(pk=first.pk).update(**values)
    assert second.regenerates_id == first.pk
    assert found() == []


def test_the_rejected_one_need_not_pass_the_filter(talk: Conversation) -> None:
    first = answered(talk, "first", stars=1)
    answered(talk, "second", again=first, stars=5)
    assert [pair.rejected for pair in pairs(Turn.objects.filter(rating__rating__gte=3))] == ["first"]


def test_each_pair_comes_once_though_there_are_many(
    talk: Conversation, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coach.preferences.CONVERSATIONS_AT_ONCE", 2)
    for number in range(5):
        one = services.start_conversation(owner_id=alice.pk, coach="personal", language="en")
        first = answered(one, f"first {number}", stars=2)
        second = answered(one, f"second {number}", again=first, stars=4)
        answered(one, f"third {number}", again=second, stars=5)
    written = [(pair.chosen, pair.rejected) for pair in pairs(Turn.objects.all())]
    assert len(written) == len(set(written)) == 15


def test_a_damaged_prompt_makes_no_pair(talk: Conversation) -> None:
    first = answered(talk, "first", stars=1)
    answered(talk, "second", again=first, stars=5)
    PromptMessage.objects.update(text="!")
    assert found() == []


def test_an_edit_makes_a_pair_without_another_answer(talk: Conversation) -> None:
    turn = answered(talk, "Hm.")
    AnswerEdit.objects.create(turn=turn, text="Small steps, two minutes.")
    [pair] = pairs(Turn.objects.all())
    assert pair == Pair(PROMPT, "Small steps, two minutes.", "Hm.", turn.pk, turn.pk, "edited")


def test_an_edit_is_without_the_words_that_were_put_before_the_answer(talk: Conversation) -> None:
    before = "My knowledge base has nothing about this, so what follows is not backed by a source.\n\n"
    AnswerEdit.objects.create(turn=answered(talk, before + "Hm."), text=before + "Small steps.")
    AnswerEdit.objects.create(turn=answered(talk, before + "Same."), text="Same.")
    assert found() == [("Small steps.", "Hm.", "edited")]


def test_an_edit_comes_beside_what_was_said_by_regenerating(talk: Conversation) -> None:
    first = answered(talk, "first", stars=1)
    second = answered(talk, "second", again=first, stars=5)
    AnswerEdit.objects.create(turn=second, text="third")
    assert found() == [("third", "second", "edited"), ("second", "first", "rated")]


@pytest.mark.parametrize("values", [{"safety": "moderated"}, {"state": "stopped"}])
def test_an_edit_of_what_may_not_be_used_makes_no_pair(talk: Conversation, values: dict[str, str]) -> None:
    turn = answered(talk, "Hm.", **values)
    AnswerEdit.objects.create(turn=turn, text="Small steps.")
    assert found() == []


def test_an_edit_makes_no_pair_without_its_prompt(talk: Conversation) -> None:
    AnswerEdit.objects.create(turn=answered(talk, "Hm."), text="Small steps.")
    PromptMessage.objects.filter(role="user").delete()
    assert found() == []


def test_edits_of_turns_that_were_not_given_stay_out(talk: Conversation) -> None:
    for name in "ab":
        AnswerEdit.objects.create(turn=answered(talk, name), text=f"{name} improved")
    assert [pair.chosen for pair in pairs(Turn.objects.filter(answer="b"))] == ["b improved"]


def test_the_answers_of_some_conversations_are_not_found_by_their_state(talk: Conversation) -> None:
    """Nearly all turns are done: by that index each batch would read all of them."""
    if connection.vendor != "sqlite":
        pytest.skip("the plan of SQLite")
    talks = [Conversation.objects.create(owner=talk.owner, coach=talk.coach) for _ in range(30)]
    again = [answered(talk, "B", again=answered(talk, "A")) for talk in talks]
    with CaptureQueriesContext(connection) as said:
        list(pairs(again))
    with connection.cursor() as cursor:
        plans = [cursor.execute("EXPLAIN QUERY PLAN " + query["sql"]).fetchall() for query in said.captured_queries]
    steps = [row[3] for plan in plans for row in plan]
    assert any("coach_turn" in step for step in steps)
    assert not any("turn_claimable" in step for step in steps)
