"""Preference pairs: the same prompt on both sides, and a preference that somebody really showed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.models import User
from coach import services
from coach.models import Conversation, PromptMessage, Rating, Turn
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
