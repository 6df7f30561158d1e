from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from coach.models import Conversation, Turn
from training.filters import REASONS, TurnFilter, WrongFilter
from training.models import Review

from .turns import make_turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(talk, alice) -> Conversation:
    User.objects.filter(pk=alice.pk).update(training_consent=timezone.now())
    return talk


def test_a_good_turn_passes_everywhere(conversation):
    turn = make_turn(conversation)
    wanted = TurnFilter()
    assert list(wanted.queryset()) == [turn]
    assert wanted.why_not(turn) == ""
    assert wanted.counts() == {"": 1}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"state": Turn.State.STOPPED}, "state"),
        ({"safety": "crisis"}, "safety"),
        ({"language": "ko"}, "language"),
        ({"rating": None}, "unrated"),
        ({"rating": 2}, "rating"),
        ({"rating": 2, "safety": "crisis"}, "safety"),
        ({"question": "0123456789"}, "question"),
        ({"question": "0123456789a"}, ""),
        ({"answer": "가" * 20}, "answer"),
        ({"answer": "가" * 21}, ""),
        ({"helpful": False}, "helpful"),
        ({"helpful": True}, ""),
    ],
)
def test_each_reason(conversation, values, reason):
    turn = make_turn(conversation, **values)
    wanted = TurnFilter(languages=("en",), helpful=True if "helpful" in values else None)
    assert wanted.why_not(turn) == reason
    assert list(wanted.queryset()) == ([] if reason else [turn])
    assert wanted.counts() == ({"": 0, reason: 1} if reason else {"": 1})


@pytest.mark.parametrize("field", ["private", "kept_out"])
def test_what_is_private_or_kept_out_never_passes(conversation, field):
    turn = make_turn(conversation)
    Conversation.objects.update(**{field: True})
    assert TurnFilter(consented=False, no_safety=False).why_not(turn) == field


def test_without_consent_nothing_passes_and_consent_can_be_looked_past(conversation):
    turn = make_turn(conversation)
    User.objects.update(training_consent=None)
    assert TurnFilter().why_not(turn) == "consent"
    assert not TurnFilter().queryset().exists()
    assert TurnFilter(consented=False).why_not(turn) == ""


def test_dates_and_coaches(conversation):
    turn = make_turn(conversation)
    Turn.objects.update(created=datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    passes = TurnFilter.from_json({"since": "2026-03-31", "until": "2026-03-31", "coaches": ["personal"]})
    assert passes.why_not(turn) == ""
    assert TurnFilter.from_json({"since": "2026-04-01"}).why_not(turn) == "date"
    assert TurnFilter.from_json({"until": "2026-03-30"}).why_not(turn) == "date"
    assert TurnFilter.from_json({"coaches": "university"}).why_not(turn) == "coach"


def test_an_ideal_answer_makes_any_rating_good(conversation, ada):
    bad, unrated = make_turn(conversation, rating=1), make_turn(conversation, rating=None, answer="No.")
    other = make_turn(conversation, rating=1)
    for turn in (bad, unrated):
        Review.objects.create(turn=turn, reviewer=ada, ideal_answer="This is what it should have said.")
    Review.objects.create(turn=other, reviewer=ada, ideal_answer="")
    assert list(TurnFilter().queryset()) == [bad, unrated]
    assert TurnFilter().counts() == {"": 2, "rating": 1}
    assert not TurnFilter(ideal=False).queryset().exists()


def test_siblings_and_conversations_stay_together(conversation, alice):
    other = Conversation.objects.create(owner=alice, coach=conversation.coach)
    for place in (conversation, other, conversation, other, conversation):
        make_turn(place)
    found = list(TurnFilter().queryset().values_list("conversation", "position"))
    assert found == sorted(found) and len(found) == 5


def test_no_rating_asked_for_lets_unrated_pass(conversation):
    turn = make_turn(conversation, rating=None)
    assert TurnFilter(min_rating=0).why_not(turn) == ""


def test_json_there_and_back():
    wanted = TurnFilter(
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=3),
        coaches=("personal",),
        languages=("sv", "ko"),
        min_rating=4,
        helpful=False,
        min_question=0,
        min_answer=5,
    )
    assert TurnFilter.from_json(wanted.to_json()) == wanted
    assert TurnFilter.from_json({}) == TurnFilter.from_json(None) == TurnFilter()
    assert TurnFilter.from_json(replace(wanted, helpful=None).to_json()).helpful is None


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"rating": 3}, "rating"),
        ({"min_rating": 6}, "min_rating"),
        ({"min_rating": "3"}, "min_rating"),
        ({"min_rating": True}, "min_rating"),
        ({"min_question": -1}, "min_question"),
        ({"helpful": "yes"}, "helpful"),
        ({"since": "yesterday"}, "since"),
        ({"since": 5}, "since"),
        ({"until": "9999-12-31"}, "until"),
        ({"languages": ["en", "xx"]}, "xx"),
        ({"coaches": [1]}, "coaches"),
        ({"consented": 0}, "consented"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "since"),
    ],
)
def test_wrong_filters_are_named(data, word):
    with pytest.raises(WrongFilter, match=word) as refused:
        TurnFilter.from_json(data)
    assert refused.value.status == 422


def test_every_reason_has_words():
    for code, words in REASONS.items():
        assert str(words), code


def test_only_people_who_agreed_to_openai(consented, alice):
    turn = make_turn(consented)
    found = TurnFilter(cloud=True)
    assert (found.why_not(turn), found.counts()) == ("cloud", {"": 0, "cloud": 1})
    User.objects.filter(pk=alice.pk).update(training_consent_cloud=True)
    assert found.why_not(turn) == ""
    assert TurnFilter.from_json({"cloud": True}) == found
