"""Improved answers: what is stored, what is refused, and that the answer stays what the model wrote."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.services import create_token
from coach import edits, selectors, services
from coach.errors import Empty, NoAnswer, NotFinished, NotFound, Refusal, TooLong, Unchanged
from coach.models import AnswerEdit, Conversation, Turn
from coach.prompting import not_covered

pytestmark = pytest.mark.django_db
JSON = "application/json"


def make_turn(talk: Conversation, **values: Any) -> Turn:
    given = {"question": "Q?", "answer": "Begin **small** [1].", "state": "done", **values}
    return Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=talk.turns.count(), **given)


@pytest.fixture
def turn(talk: Conversation) -> Turn:
    return make_turn(talk)


def improve(turn: Turn, text: str) -> AnswerEdit:
    return edits.improve(user_id=turn.conversation.owner_id, turn_id=turn.pk, text=text)


def test_it_is_stored_beside_the_answer_and_can_be_changed(turn: Turn) -> None:
    first = improve(turn, "  Begin with two minutes [1].\r\n\r\nThen rest.\x00 ")
    again = improve(turn, "Begin with one minute.")
    stored = AnswerEdit.objects.get()
    assert first.text == "Begin with two minutes [1].\n\nThen rest."
    assert (stored.pk, stored.text, stored.created) == (again.pk, "Begin with one minute.", first.created)
    assert stored.updated > first.updated
    turn.refresh_from_db()
    assert turn.answer == "Begin **small** [1]."


def test_the_next_prompt_has_the_answer_and_not_the_edit(turn: Turn, talk: Conversation) -> None:
    improve(turn, "Begin with one minute.")
    following = uuid.uuid4()
    services.ask(user_id=talk.owner_id, turn_id=following, conversation_id=talk.pk, text="And then?")
    assert [past.answer for past in selectors.turn_context(following).past] == ["Begin **small** [1]."]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", Empty),
        (" \n\x00", Empty),
        ("x" * 8001, TooLong),
        (" Begin **small** [1].\n", Unchanged),
    ],
)
def test_what_is_refused_stores_nothing(turn: Turn, text: str, error: type[Refusal]) -> None:
    with pytest.raises(error):
        improve(turn, text)
    assert not AnswerEdit.objects.exists()


@pytest.mark.parametrize("text", ["Hm.", "{before}Hm.", "{before}"])
def test_the_words_before_an_answer_make_no_difference(talk: Conversation, text: str) -> None:
    before = not_covered("sv")
    turn = make_turn(talk, answer=before + "Hm.", language="sv")
    with pytest.raises(Unchanged):
        improve(turn, text.format(before=before))
    assert improve(turn, f"{before}Hm, tja.").text == f"{before}Hm, tja."


@pytest.mark.parametrize(
    ("state", "answer", "error"),
    [
        ("pending", "", NotFinished),
        ("running", "", NotFinished),
        ("stopped", "Beg", NoAnswer),
        ("failed", "", NoAnswer),
        ("done", "", NoAnswer),
    ],
)
def test_only_a_finished_answer(talk: Conversation, state: str, answer: str, error: type[Refusal]) -> None:
    with pytest.raises(error):
        improve(make_turn(talk, state=state, answer=answer), "Better.")
    assert not AnswerEdit.objects.exists()


def test_it_goes_with_its_conversation(turn: Turn, talk: Conversation) -> None:
    improve(turn, "Better.")
    services.delete_conversation(owner_id=talk.owner_id, conversation_id=talk.pk)
    assert not AnswerEdit.objects.exists()


def test_nobody_touches_what_is_somebody_elses(turn: Turn, bob: User) -> None:
    improve(turn, "Better.")
    for service, values in ((edits.improve, {"text": "Mine."}), (edits.take_back, {})):
        with pytest.raises(NotFound):
            service(user_id=bob.pk, turn_id=turn.pk, **values)
    assert AnswerEdit.objects.get().text == "Better."


def test_the_wire(client: Client, turn: Turn, alice: User, bob: User) -> None:
    mine, his = ({"Authorization": f"Bearer {create_token(user=user)}"} for user in (alice, bob))
    address = f"/api/v1/turns/{turn.pk}/edit"
    assert client.get(f"/api/v1/turns/{turn.pk}", headers=mine).json()["edit"] is None

    given = client.put(address, {"text": "Better [1]."}, content_type=JSON, headers=mine)
    assert given.status_code == 200
    assert set(given.json()) == {"text", "created", "updated"}
    assert given.json()["text"] == "Better [1]."
    assert client.get(f"/api/v1/turns/{turn.pk}", headers=mine).json()["edit"] == given.json()
    [shown] = client.get(f"/api/v1/conversations/{turn.conversation_id}", headers=mine).json()["turns"]
    assert (shown["answer"], shown["edit"]) == (turn.answer, given.json())

    for body, status, code in [
        ({"text": " "}, 422, "empty"),
        ({"text": "x" * 8001}, 422, "too_long"),
        ({"text": turn.answer}, 422, "unchanged"),
    ]:
        refused = client.put(address, body, content_type=JSON, headers=mine)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert refused.json()["message"].endswith(".")
    assert client.put(address, {}, content_type=JSON, headers=mine).status_code == 422
    for method in (client.put, client.delete):
        refused = method(address, {"text": "His."}, content_type=JSON, headers=his)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert AnswerEdit.objects.get().text == "Better [1]."

    assert client.delete(address, headers=mine).status_code == 204
    assert client.delete(address, headers=mine).json()["code"] == "not_found"
    assert client.get(f"/api/v1/turns/{turn.pk}", headers=mine).json()["edit"] is None


def test_half_a_character_is_stored_as_a_question_mark(client: Client, turn: Turn, alice: User) -> None:
    headers = {"Authorization": f"Bearer {create_token(user=alice)}"}
    answer = client.put(f"/api/v1/turns/{turn.pk}/edit", b'{"text": "a\\ud800"}', content_type=JSON, headers=headers)
    assert (answer.status_code, answer.json()["text"]) == (200, "a?")


def test_a_conversation_is_read_with_as_many_queries_with_edits(
    turn: Turn, talk: Conversation, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        improve(make_turn(talk), "Better.")
    with django_assert_max_num_queries(1):
        assert sum(hasattr(one, "edit") for one in selectors.turns_of(talk)) == 3
