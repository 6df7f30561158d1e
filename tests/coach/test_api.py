"""REST over the test client: what goes in, what is stored, what somebody else gets."""

import uuid

import pytest
from django.test import Client

from accounts.models import User
from accounts.services import create_token
from coach.models import Conversation, Rating, Turn

pytestmark = pytest.mark.django_db
JSON = "application/json"


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {create_token(user=user)}"}


def make(client: Client, user: User) -> str:
    made = client.post("/api/v1/conversations", {"coach": "personal", "language": "sv"}, JSON, headers=bearer(user))
    assert made.status_code == 201
    return str(made.json()["id"])


def finished_turn(conversation: str) -> Turn:
    return Turn.objects.create(
        conversation_id=conversation, position=0, question="Hur?", answer="Så här.", state=Turn.State.DONE
    )


def test_a_conversation_is_made_listed_read_and_deleted(client: Client, alice: User, coach) -> None:
    conversation = make(client, alice)
    turn = finished_turn(conversation)
    headers = bearer(alice)
    listed = client.get("/api/v1/conversations", headers=headers).json()
    assert [(entry["id"], entry["coach"], entry["language"]) for entry in listed] == [(conversation, "personal", "sv")]
    read = client.get(f"/api/v1/conversations/{conversation}", headers=headers).json()
    assert [(entry["id"], entry["answer"], entry["rating"]) for entry in read["turns"]] == [
        (str(turn.pk), "Så här.", None)
    ]
    assert client.delete(f"/api/v1/conversations/{conversation}", headers=headers).status_code == 204
    assert not Conversation.objects.exists()


def test_a_rating_is_stored_and_can_be_changed(client: Client, alice: User, coach) -> None:
    turn = finished_turn(make(client, alice))
    address, headers = f"/api/v1/turns/{turn.pk}/rating", bearer(alice)
    client.put(address, {"rating": 2}, JSON, headers=headers)
    answer = client.put(address, {"rating": 4, "helpful": True, "comment": "bra"}, JSON, headers=headers)
    assert answer.json() == {"rating": 4, "helpful": True, "reasons": [], "comment": "bra"}
    stored = Rating.objects.get()
    assert (stored.rating, stored.helpful, stored.comment) == (4, True, "bra")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"rating": 3', b"\xff\xfe", b"null"])
def test_what_is_no_json_stores_nothing(client: Client, alice: User, coach, body: bytes) -> None:
    turn = finished_turn(make(client, alice))
    answer = client.put(f"/api/v1/turns/{turn.pk}/rating", body, content_type=JSON, headers=bearer(alice))
    assert answer.status_code in (400, 422) and answer.json()["code"]
    assert not Rating.objects.exists()


def test_half_a_surrogate_pair_is_stored_as_text(client: Client, alice: User, coach) -> None:
    turn = finished_turn(make(client, alice))
    body = b'{"rating": 3, "comment": "a\\ud800"}'
    answer = client.put(f"/api/v1/turns/{turn.pk}/rating", body, content_type=JSON, headers=bearer(alice))
    assert (answer.status_code, answer.json()["comment"]) == (200, "a?")
    assert Rating.objects.get().comment == "a?"


@pytest.mark.parametrize(
    "body", [{"rating": 0}, {"rating": 6}, {}, {"rating": "x"}, {"rating": 3, "comment": "x" * 2001}]
)
def test_a_rating_out_of_bounds_stores_nothing(client: Client, alice: User, coach, body: dict) -> None:
    turn = finished_turn(make(client, alice))
    answer = client.put(f"/api/v1/turns/{turn.pk}/rating", body, JSON, headers=bearer(alice))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert not Rating.objects.exists()


def test_what_belongs_to_alice_does_not_exist_for_bob(client: Client, alice: User, bob: User, coach) -> None:
    conversation = make(client, alice)
    turn, headers = finished_turn(conversation), bearer(bob)
    answers = [
        client.get(f"/api/v1/conversations/{conversation}", headers=headers),
        client.delete(f"/api/v1/conversations/{conversation}", headers=headers),
        client.get(f"/api/v1/conversations/{conversation}/sources/1", headers=headers),
        client.get(f"/api/v1/turns/{turn.pk}", headers=headers),
        client.put(f"/api/v1/turns/{turn.pk}/rating", {"rating": 1}, JSON, headers=headers),
        client.get(f"/api/v1/turns/{uuid.uuid4()}", headers=headers),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "not_found")}
    assert client.get("/api/v1/conversations", headers=headers).json() == []


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic abc", ""])
def test_without_a_valid_token_there_is_one_answer(client: Client, header: str) -> None:
    answer = client.get("/api/v1/conversations", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_revoked_token_opens_nothing(client: Client, alice: User) -> None:
    headers = bearer(alice)
    assert client.get("/api/v1/conversations", headers=headers).status_code == 200
    from django.utils import timezone

    alice.api_tokens.update(revoked=timezone.now())
    assert client.get("/api/v1/conversations", headers=headers).status_code == 401


def test_a_session_needs_the_csrf_token(alice: User, coach) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/api/v1/conversations", {"coach": "personal"}, JSON)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not Conversation.objects.exists()


def test_an_unknown_coach_is_not_found(client: Client, alice: User, coach) -> None:
    answer = client.post("/api/v1/conversations", {"coach": "nobody"}, JSON, headers=bearer(alice))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_guests_can_be_turned_off(client: Client, coach, settings) -> None:
    settings.COACH_GUESTS = False
    assert client.post("/api/v1/conversations", {"coach": "personal"}, JSON).status_code == 401
    assert not User.objects.exists()
