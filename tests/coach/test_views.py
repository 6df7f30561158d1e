"""The pages: who gets where on a first visit, and who may read what."""

import pytest
from django.test import Client

from accounts.models import User
from coach.models import Conversation
from knowledge.models import KnowledgeBase
from knowledge.services import live_generation

pytestmark = pytest.mark.django_db


def test_with_no_administrator_the_browser_is_led_to_make_one(client: Client) -> None:
    assert client.get("/")["Location"] == "/welcome/"
    made = client.post("/welcome/", {"username": "ada", "password1": "a-Long-secret-9", "password2": "a-Long-secret-9"})
    assert made["Location"] == "/"
    admin = User.objects.get()
    assert (admin.username, admin.is_superuser, admin.is_staff) == ("ada", True, True)
    assert client.get("/").status_code == 200
    assert client.get("/welcome/").status_code == 404
    assert Client().post("/welcome/", {"username": "eve", "password1": "x", "password2": "x"}).status_code == 404
    assert User.objects.count() == 1


def test_a_guest_may_try_first(client: Client) -> None:
    assert client.get("/?try=1").status_code == 200
    assert client.get("/").status_code == 200
    assert User.objects.count() == 0


def test_without_guests_one_signs_in(client: Client, ada: User, settings) -> None:
    settings.COACH_GUESTS = False
    assert client.get("/")["Location"].startswith("/accounts/login/")


def test_a_guest_is_made_with_the_first_conversation_only(client: Client, ada: User, coach) -> None:
    client.get("/")
    assert not User.objects.filter(is_guest=True).exists()
    made = client.post("/api/v1/conversations", {"coach": "personal"}, content_type="application/json")
    assert made.status_code == 201
    conversation = Conversation.objects.get()
    assert conversation.owner.is_guest
    assert client.get(f"/c/{conversation.pk}/").status_code == 200
    assert Client().get(f"/c/{conversation.pk}/").status_code == 404


def test_a_guest_who_signs_in_takes_the_conversations_along(client: Client, ada: User, alice: User, coach) -> None:
    client.post("/api/v1/conversations", {"coach": "personal"}, content_type="application/json")
    signed_in = client.post("/accounts/login/", {"username": "alice", "password": "alice-secret-1"})
    assert signed_in.status_code == 302
    assert Conversation.objects.get().owner == alice


def test_signing_in_takes_nothing_from_another_account(client: Client, alice: User, bob: User, coach) -> None:
    client.force_login(alice)
    client.post("/api/v1/conversations", {"coach": "personal"}, content_type="application/json")
    client.post("/accounts/login/", {"username": "bob", "password": "bob-secret-1"})
    assert Conversation.objects.get().owner == alice


def test_the_styleguide_is_for_staff(client: Client, alice: User, ada: User) -> None:
    client.force_login(alice)
    assert client.get("/styleguide/").status_code == 302
    client.force_login(ada)
    assert client.get("/styleguide/").status_code == 200


@pytest.mark.parametrize("mode", ["closed", "invite", "open"])
def test_sign_up_follows_its_setting(client: Client, ada: User, settings, mode: str) -> None:
    settings.COACH_SIGNUP = mode
    form = {"username": "nora", "password1": "a-Long-secret-9", "password2": "a-Long-secret-9"}
    status = client.post("/accounts/signup/", form).status_code
    assert status == {"closed": 404, "invite": 403, "open": 302}[mode]
    assert User.objects.filter(username="nora").exists() is (mode == "open")


def test_an_invitation_opens_sign_up(client: Client, ada: User, settings) -> None:
    from accounts.services import create_invitation

    settings.COACH_SIGNUP = "invite"
    form = {"username": "nora", "password1": "a-Long-secret-9", "password2": "a-Long-secret-9"}
    assert client.post(f"/accounts/signup/?invite={create_invitation()}x", form).status_code == 403
    assert client.post(f"/accounts/signup/?invite={create_invitation()}", form).status_code == 302
    assert User.objects.get(username="nora").is_guest is False


def test_people_are_told_before_they_write_that_a_cloud_may_read_it(client: Client, ada: User, coach, settings) -> None:
    settings.COACH_MODELS, settings.OPENAI_BASE_URL = "openai:gpt-4o-mini", ""
    page = client.get("/").content.decode()
    assert "cloud service (openai:gpt-4o-mini)" in page
    assert 'id="keep-here"' in page
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    page = client.get("/").content.decode()
    assert "cloud service" not in page
    assert 'id="keep-here"' not in page


@pytest.mark.parametrize("judge", ["openai", "guard:openai:llama-guard3"])
def test_people_are_told_that_a_judge_in_a_cloud_reads_it(
    judge: str, client: Client, ada: User, coach, settings
) -> None:
    settings.COACH_MODELS, settings.COACH_MODERATION = "guided", judge
    client.force_login(ada)
    assert "cloud service (openai:" in client.get("/").content.decode()


def test_people_are_told_of_an_embedder_in_a_cloud(client: Client, ada: User, coach, settings) -> None:
    settings.COACH_MODELS, settings.OPENAI_BASE_URL = "guided", ""
    base = KnowledgeBase.objects.create(slug="far", name="Far")
    live_generation(base=base, embedder="openai:text-embedding-3-small", dimensions=3)
    client.force_login(ada)
    assert "cloud service" not in client.get("/").content.decode()
    coach.knowledge_bases.add(base)
    assert "cloud service (openai:text-embedding-3-small)" in client.get("/").content.decode()
