"""Who sees what at the review desk: nobody, coachee, rater, staff, superuser; consent given, kept out, taken back."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.test import Client
from django.urls import reverse

from accounts.models import User
from coach.errors import NotFound
from coach.models import Conversation, Turn
from tests.training.review_people import agree, person, talk_of, turn_in
from training.models import Review
from training.review import desk, selectors, services
from training.review.errors import MayNotReview

pytestmark = pytest.mark.django_db


@pytest.fixture
def turns(alice: Any, bob: Any, coach: Any) -> dict[str, Turn]:
    """alice agreed, bob did not."""
    agree(alice)
    return {
        "consented": turn_in(talk_of(alice, coach)),
        "flagged, consented": turn_in(talk_of(alice, coach), safety="elevated"),
        "kept out": turn_in(talk_of(alice, coach, kept_out=True)),
        "private": turn_in(talk_of(alice, coach, private=True)),
        "private, flagged": turn_in(talk_of(alice, coach, private=True), safety="acute"),
        "unfinished": turn_in(talk_of(alice, coach), state=Turn.State.RUNNING),
        "no consent": turn_in(talk_of(bob, coach)),
        "flagged, no consent": turn_in(talk_of(bob, coach), safety="acute"),
        "flagged, kept out": turn_in(talk_of(alice, coach, kept_out=True), safety="acute"),
    }


BY_CONSENT = {"consented", "flagged, consented"}
WITH_FLAGS = BY_CONSENT | {"flagged, no consent", "flagged, kept out"}


def seen(user: Any, turns: dict[str, Turn]) -> set[str]:
    found = set(selectors.readable_turns(user).values_list("pk", flat=True))
    return {name for name, turn in turns.items() if turn.pk in found}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("nobody", set()),
        ("coachee", set()),
        ("rater", BY_CONSENT),
        ("inactive rater", set()),
        ("rater with coach.view_turn, not staff", BY_CONSENT),
        ("staff", set()),
        ("staff who watch turns", set()),
        ("staff and rater", BY_CONSENT),
        ("staff and rater who watch turns", WITH_FLAGS),
        ("superuser", WITH_FLAGS),
    ],
)
def test_what_each_role_sees(who: str, expected: set[str], turns: dict[str, Turn], ada: Any, alice: Any) -> None:
    made: dict[str, Any] = {
        "nobody": lambda: AnonymousUser(),
        "coachee": lambda: alice,
        "rater": lambda: person("rae", rater=True),
        "inactive rater": lambda: person("rae", rater=True, is_active=False),
        "rater with coach.view_turn, not staff": lambda: person("rae", "coach.view_turn", rater=True),
        "staff": lambda: person("sten", is_staff=True),
        "staff who watch turns": lambda: person("sten", "coach.view_turn", is_staff=True),
        "staff and rater": lambda: person("sten", rater=True, is_staff=True),
        "staff and rater who watch turns": lambda: person("sten", "coach.view_turn", rater=True, is_staff=True),
        "superuser": lambda: ada,
    }
    user = made[who]()
    assert seen(user, turns) == expected
    for name, turn in turns.items():
        if name not in expected:
            with pytest.raises((MayNotReview, NotFound)):
                services.save_review(user=user, turn_id=turn.pk, rating=3)
    assert Review.objects.count() == 0


def test_the_group_may_review_and_choose_and_nothing_else() -> None:
    rae = person("rae", rater=True)
    assert rae.get_all_permissions() == {
        f"training.{action}_{model}" for action in ("view", "add", "change") for model in ("review", "choice")
    }
    assert Group.objects.filter(name="raters").count() == 1
    person("rob", rater=True)  # the same group once more
    assert Group.objects.get(name="raters").permissions.count() == 6


def test_consent_taken_back_hides_the_turn_at_once(turns: dict[str, Turn], alice: Any) -> None:
    rae = person("rae", rater=True)
    turn = turns["consented"]
    services.save_review(user=rae, turn_id=turn.pk, rating=4)
    User.objects.filter(pk=alice.pk).update(training_consent=None)
    assert seen(rae, turns) == set()
    with pytest.raises(NotFound):
        selectors.turn_to_review(rae, turn.pk)
    agree(alice)
    Conversation.objects.filter(pk=turn.conversation_id).update(kept_out=True)
    assert "consented" not in seen(rae, turns)


def test_a_flagged_turn_without_consent_is_shown_alone(turns: dict[str, Turn], ada: Any, bob: Any) -> None:
    turn = turns["flagged, no consent"]
    later = turn_in(turn.conversation, safety="elevated", question="And then?")
    shown = desk.shown(ada, selectors.turn_to_review(ada, later.pk))
    assert shown.alone and shown.before == [] and shown.prompt is None
    by_consent = desk.shown(ada, selectors.turn_to_review(ada, turns["consented"].pk))
    assert not by_consent.alone and by_consent.prompt is not None


def test_no_name_and_no_id_of_an_owner_reaches_the_page(client: Client, turns: dict[str, Turn], alice: Any) -> None:
    User.objects.filter(pk=alice.pk).update(first_name="Alicia", last_name="Liddell", email="alice@example.org")
    client.force_login(person("rae", rater=True))
    turn = turns["consented"]
    page = client.get(reverse("admin:training_review_changelist"), {"turn": str(turn.pk)}).content.decode()
    told = client.get(f"/api/v1/reviews/{turn.pk}").content.decode()
    queue = client.get("/api/v1/reviews/queue").content.decode()
    for text in (page, told, queue):
        assert turn.question in text
        for secret in ("alice", "Alicia", "Liddell", "example.org", str(turn.conversation_id)):
            assert secret not in text
        assert selectors.pseudonym(turn.conversation_id) in text


PAGES = {
    "training_review_changelist": {"rater", "superuser"},
    "training_agreement": {"rater", "superuser"},
    "training_choose": {"rater", "superuser"},
    "training_leaderboard": {"rater", "superuser"},
    "training_funnel": {"superuser", "watcher"},
    "training_trends": {"superuser", "watcher"},
    "training_pairs_progress": {"superuser"},
    "training_raters": {"superuser"},
}


@pytest.mark.parametrize("page", PAGES)
def test_who_may_open_which_page(page: str, client: Client, ada: Any, alice: Any) -> None:
    url = reverse(f"admin:{page}")
    answer = client.get(url)
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/accounts/login/")
    people = {
        "coachee": alice,
        "rater": person("rae", rater=True),
        "staff": person("sten", is_staff=True),
        "watcher": person("wilma", "coach.view_turn", is_staff=True),
        "watching rater": person("rut", "coach.view_turn"),
        "superuser": ada,
    }
    opened = set()
    for name, user in people.items():
        client.force_login(user)
        status = client.get(url).status_code
        assert status in {200, 403}
        opened |= {name} if status == 200 else set()
    assert opened == PAGES[page]


def test_a_rater_gets_nothing_else_of_the_panel(client: Client) -> None:
    client.force_login(person("rae", rater=True))
    for name in ("index", "coach_turn_changelist", "accounts_user_changelist", "knowledge_document_changelist"):
        assert client.get(reverse(f"admin:{name}")).status_code in {302, 403}, name
    assert client.get("/api/v1/knowledge-bases").status_code == 403
    page = client.get(reverse("admin:training_agreement")).content.decode()
    assert "/admin/accounts/" not in page and "/admin/coach/" not in page


@pytest.mark.parametrize("path", ["/api/v1/reviews/queue", "/api/v1/reviews/{turn}"])
def test_rest_refuses_those_who_are_no_raters(path: str, client: Client, turns: dict[str, Turn], alice: Any) -> None:
    url = path.format(turn=turns["consented"].pk)
    assert client.get(url).status_code == 401
    client.force_login(alice)  # her own turn, but she is no rater
    answer = client.get(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    client.force_login(person("rae", rater=True))
    assert client.get(url).status_code == 200
    hidden = client.get(f"/api/v1/reviews/{turns['no consent'].pk}")
    assert (hidden.status_code, hidden.json()["code"]) == (404, "not_found")


def test_the_administrator_makes_raters(client: Client, ada: Any, alice: Any) -> None:
    url = reverse("admin:training_raters")
    client.force_login(ada)
    Group.objects.filter(name="raters").delete()
    client.post(url, {"add": "alice"})
    assert selectors.may_change(User.objects.get(pk=alice.pk))
    assert User.objects.get(pk=alice.pk).get_all_permissions() == person("rae", rater=True).get_all_permissions()
    assert "Nobody here has the name" in client.post(url, {"add": "nobody"}, follow=True).content.decode()
    client.post(url, {"remove": str(alice.pk)})
    assert not selectors.may_review(User.objects.get(pk=alice.pk))
    client.force_login(person("sten", is_staff=True))
    assert client.post(url, {"add": "sten"}).status_code == 403
