"""The panel's part about people: who comes in, tokens shown once, invitations, deleting a person."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import ApiToken, User
from accounts.selectors import user_for_token
from accounts.services import check_invitation, create_guest, create_token
from coach.services import ask

TURN = "6a1f0f9e-55a8-4c8e-9d0e-0f6f6a4b9c11"


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def test_a_coachee_is_led_to_the_login(client: Client, alice: Any) -> None:
    client.force_login(alice)
    answer = client.get("/admin/")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/")


def test_staff_without_rights_see_the_frame_and_no_lists(client: Client, alice: Any) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=alice.pk))
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/accounts/user/").status_code == 403


def test_groups_are_left_out() -> None:
    assert not admin.site.is_registered(Group)


def test_guests_can_be_listed_alone(panel: Client, alice: Any) -> None:
    guest = create_guest()
    text = panel.get("/admin/accounts/user/", {"is_guest__exact": 1}).content.decode()
    assert guest.username in text
    assert "alice" not in text


def test_a_new_token_is_shown_once_and_only_its_digest_is_stored(panel: Client, ada: Any, alice: Any) -> None:
    answer = panel.post("/admin/accounts/apitoken/add/", {"user": alice.pk, "name": "nightly export"})
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    [token] = set(re.findall(r"coach_[\w-]{20,}", answer.content.decode()))
    assert user_for_token(token) == alice
    stored = ApiToken.objects.get()
    assert (stored.name, stored.user) == ("nightly export", alice)
    assert token not in str(stored.__dict__)
    for page in ("/admin/accounts/apitoken/", f"/admin/accounts/apitoken/{stored.pk}/change/", "/admin/"):
        assert token not in panel.get(page).content.decode()
    assert token not in str(panel.cookies) + str(dict(panel.session))


def test_revoking_stops_a_token_at_once(panel: Client, alice: Any) -> None:
    token = create_token(user=alice)
    chosen = ApiToken.objects.values_list("pk", flat=True)
    panel.post("/admin/accounts/apitoken/", {"action": "revoke_chosen", "_selected_action": list(chosen)})
    assert ApiToken.objects.get().revoked is not None
    assert user_for_token(token) is None


def test_a_digest_cannot_be_searched(panel: Client, alice: Any) -> None:
    create_token(user=alice)
    answer = panel.get("/admin/accounts/apitoken/", {"digest__startswith": "a"})
    assert answer.status_code == 400


def test_an_invitation_link_lets_people_sign_up(panel: Client, settings: Any) -> None:
    settings.COACH_SIGNUP = "invite"
    assert "/admin/accounts/user/invite/" in panel.get("/admin/accounts/user/").content.decode()
    answer = panel.post("/admin/accounts/user/invite/")
    [invitation] = re.findall(r"/accounts/signup/\?invite=([\w:-]+)", answer.content.decode())
    check_invitation(invitation=invitation)


@pytest.mark.parametrize("signup", ["open", "closed"])
def test_no_invitations_where_nobody_needs_one(panel: Client, settings: Any, signup: str) -> None:
    settings.COACH_SIGNUP = signup
    assert "/admin/accounts/user/invite/" not in panel.get("/admin/accounts/user/").content.decode()
    assert panel.post("/admin/accounts/user/invite/").status_code == 404


def test_inviting_needs_the_right_to_add_people(client: Client, alice: Any, settings: Any) -> None:
    settings.COACH_SIGNUP = "invite"
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    alice.user_permissions.add(Permission.objects.get(codename="view_user"))
    client.force_login(User.objects.get(pk=alice.pk))
    assert client.post("/admin/accounts/user/invite/").status_code == 403


def test_deleting_a_person_takes_everything_and_shows_none_of_it(panel: Client, alice: Any, talk: Any) -> None:
    ask(user_id=alice.pk, turn_id=TURN, conversation_id=talk.pk, text="My very private question")
    page = panel.get(f"/admin/accounts/user/{alice.pk}/delete/").content.decode()
    assert "Conversations: 1" in page
    assert "private question" not in page
    panel.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=alice.pk).exists()
    assert type(talk).objects.count() == 0


def test_a_person_can_be_made_and_changed(panel: Client) -> None:
    made = {
        "username": "astrid",
        "usable_password": "true",
        "password1": "lantern-walk-9",
        "password2": "lantern-walk-9",
    }
    assert panel.post("/admin/accounts/user/add/", made).status_code == 302
    astrid = User.objects.get(username="astrid")
    changed = {"username": "astrid", "language": "sv", "is_active": "on"}
    assert panel.post(f"/admin/accounts/user/{astrid.pk}/change/", changed).status_code == 302
    astrid.refresh_from_db()
    assert astrid.language == "sv"
    assert astrid.check_password("lantern-walk-9")
