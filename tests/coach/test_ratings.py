"""Ratings with their reasons: what is stored, what is refused, and that nothing that was said before is lost."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services import create_token
from coach import services
from coach.errors import NotFound, UnknownReason
from coach.models import Conversation, Rating, RatingChange, RatingReason, Turn

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def turn(talk: Conversation) -> Turn:
    return Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=0, question="Q?", answer="A.", state="done")


def rate(turn: Turn, rating: int, *reasons: str, **values: Any) -> Rating:
    given = {"helpful": None, "comment": "", **values}
    return services.rate(user_id=turn.conversation.owner_id, turn_id=turn.pk, rating=rating, reasons=reasons, **given)


def test_reasons_are_there_in_every_language() -> None:
    found = list(RatingReason.objects.all())
    assert len(found) == 9
    assert {reason.shown_for for reason in found} == {"low", "high"}
    for reason in found:
        assert set(reason.texts) == {"en", "sv", "nb", "ko"}
        assert all(0 < len(text) <= 30 for text in reason.texts.values())


def test_each_change_is_kept_with_who_made_it(turn: Turn) -> None:
    rate(turn, 2, "too-long", "wrong", comment="Lång.")
    rate(turn, 2, "too-long", "wrong", comment=" Lång. ")  # the same again is no change
    rate(turn, 5, "clear", helpful=True)
    services.take_rating_back(user_id=turn.conversation.owner_id, turn_id=turn.pk)
    assert not Rating.objects.exists()
    rows = RatingChange.objects.values_list("rating", "helpful", "reasons", "comment", "changed_by__username")
    assert list(rows) == [
        (2, None, ["too-long", "wrong"], "Lång.", "alice"),
        (5, True, ["clear"], "", "alice"),
        (None, None, [], "", "alice"),
    ]


def test_an_unknown_reason_changes_nothing(turn: Turn) -> None:
    rate(turn, 3)
    with pytest.raises(UnknownReason):
        rate(turn, 1, "too-long", "rude")
    assert Rating.objects.get().rating == 3
    assert RatingChange.objects.count() == 1


def test_a_reason_that_was_switched_off_stays_where_it_was_given(turn: Turn, talk: Conversation) -> None:
    rate(turn, 2, "too-long")
    RatingReason.objects.filter(slug="too-long").update(active=False)
    assert rate(turn, 1, "too-long").rating == 1
    other = Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=1, question="Q?", state="done")
    with pytest.raises(UnknownReason):
        rate(other, 2, "too-long")


def test_nobody_takes_back_the_rating_of_somebody_else(turn: Turn, bob: User) -> None:
    rate(turn, 4)
    with pytest.raises(NotFound):
        services.take_rating_back(user_id=bob.pk, turn_id=turn.pk)
    assert Rating.objects.get().rating == 4


def test_the_wire(client: Client, turn: Turn, alice: User) -> None:
    headers = {"Authorization": f"Bearer {create_token(user=alice)}"}
    address = f"/api/v1/turns/{turn.pk}/rating"
    sent = {"rating": 1, "helpful": False, "reasons": ["not-asked", "not-asked"], "comment": "nej"}
    answer = client.put(address, sent, JSON, headers=headers)
    assert answer.json() == {"rating": 1, "helpful": False, "reasons": ["not-asked"], "comment": "nej"}
    assert client.get(f"/api/v1/turns/{turn.pk}", headers=headers).json()["rating"] == answer.json()
    wrong = client.put(address, {"rating": 1, "reasons": ["rude"]}, JSON, headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_reason")
    assert client.delete(address, headers=headers).status_code == 204
    assert client.delete(address, headers=headers).status_code == 404
    assert client.get(f"/api/v1/turns/{turn.pk}", headers=headers).json()["rating"] is None


def test_the_reasons_over_the_wire(client: Client, alice: User) -> None:
    assert client.get("/api/v1/rating-reasons").status_code == 401
    RatingReason.objects.filter(slug="wrong").update(active=False)
    RatingReason.objects.create(slug="own", texts={"en": "Own words"}, position=99)
    headers = {"Authorization": f"Bearer {create_token(user=alice)}"}
    found = client.get("/api/v1/rating-reasons?language=sv", headers=headers).json()
    assert found[0] == {"slug": "not-asked", "text": "Inte det jag frågade om", "shown_for": "low"}
    assert found[-1] == {"slug": "own", "text": "Own words", "shown_for": "any"}
    assert "wrong" not in {reason["slug"] for reason in found}
