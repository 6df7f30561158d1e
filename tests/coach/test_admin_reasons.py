"""The reasons for ratings in the admin panel."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.models import User
from coach import services
from coach.models import Conversation, RatingReason, Turn

pytestmark = pytest.mark.django_db
LIST = "/admin/coach/ratingreason/"


@pytest.fixture
def desk(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def test_they_are_listed_and_changed_in_four_languages(desk: Client) -> None:
    assert "Too long" in desk.get(LIST).content.decode()
    reason = RatingReason.objects.get(slug="too-long")
    page = f"{LIST}{reason.pk}/change/"
    assert "너무 길어요" in desk.get(page).content.decode()
    sent = {"shown_for": "any", "active": "on", "position": "2", "text_en": " Far too long ", "text_sv": "Långt"}
    assert desk.post(page, sent).status_code == 302
    reason.refresh_from_db()
    assert (reason.texts, reason.shown_for) == ({"en": "Far too long", "sv": "Långt"}, "any")


def test_a_new_one_needs_english(desk: Client) -> None:
    sent = {"slug": "kind", "shown_for": "high", "active": "on", "position": "9", "text_ko": "친절해요"}
    assert desk.post(f"{LIST}add/", sent).status_code == 200
    assert desk.post(f"{LIST}add/", {**sent, "text_en": "Kind"}).status_code == 302
    assert RatingReason.objects.get(slug="kind").texts == {"en": "Kind", "ko": "친절해요"}


def test_one_that_was_given_is_not_deleted(desk: Client, talk: Conversation, alice: User) -> None:
    turn = Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=0, question="Q?", answer="A", state="done")
    services.rate(user_id=alice.pk, turn_id=turn.pk, rating=1, helpful=None, comment="", reasons=["wrong"])
    services.take_rating_back(user_id=alice.pk, turn_id=turn.pk)
    for slug, status in (("wrong", 403), ("too-long", 302)):
        reason = RatingReason.objects.get(slug=slug)
        assert desk.post(f"{LIST}{reason.pk}/delete/", {"post": "yes"}).status_code == status
    assert RatingReason.objects.filter(slug="wrong").exists()
    assert not RatingReason.objects.filter(slug="too-long").exists()


def test_they_stand_with_the_rating_of_a_turn(desk: Client, talk: Conversation, alice: User) -> None:
    turn = Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=0, question="Q?", answer="A", state="done")
    services.rate(user_id=alice.pk, turn_id=turn.pk, rating=1, helpful=None, comment="", reasons=["wrong"])
    page = desk.get(f"/admin/coach/turn/{turn.pk}/change/", headers={"Accept-Language": "sv"}).content.decode()
    assert "Fel eller påhittat" in page
