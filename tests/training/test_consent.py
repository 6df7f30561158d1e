"""Consent: off until somebody says yes, kept with what was read, and followed by sets and models when taken back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import ConsentChange, User
from accounts.services import create_guest, create_token
from coach.models import Coach, Conversation, Turn
from training import consent
from training.finetune.checks import check_cloud
from training.finetune.errors import HereOnly
from training.models import AnswerPair, DataSet, Example, FineTune, TunedModel

pytestmark = pytest.mark.django_db
JSON = "application/json"


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {create_token(user=user)}"}


def put(client: Client, user: User, training: bool) -> Any:
    return client.put("/api/v1/me/consent", {"training": training}, JSON, headers=bearer(user))


def test_it_is_off_and_asks_who_is_there(client: Client, alice: User) -> None:
    assert client.get("/api/v1/me/consent").status_code == 401
    found = client.get("/api/v1/me/consent", headers=bearer(alice)).json()
    assert (found["training"], found["since"], found["asked"], found["may"]) == (False, None, False, True)
    assert any("Nothing is sent to OpenAI" in text for text in found["wording"])


def test_each_change_keeps_what_was_read(client: Client, alice: User, settings: Any) -> None:
    assert put(client, alice, True).json()["training"] is True
    put(client, alice, True)  # nothing changes
    settings.COACH_OPENAI_TRAINING = True
    headers = {**bearer(alice), "Accept-Language": "en"}
    answer = client.put("/api/v1/me/consent", {"training": False}, JSON, headers=headers).json()
    assert (answer["training"], answer["since"], answer["asked"]) == (False, None, True)
    given, taken = ConsentChange.objects.order_by("pk")
    assert (given.given, taken.given) == (True, False)
    assert "Nothing is sent to OpenAI" in given.wording
    assert "sent there only if you agree to that, too" in taken.wording
    alice.refresh_from_db()
    assert alice.training_consent is None


def test_a_first_no_is_kept_so_that_nobody_is_asked_twice(client: Client, alice: User) -> None:
    assert put(client, alice, False).json()["asked"] is True
    put(client, alice, False)
    assert list(ConsentChange.objects.values_list("given", flat=True)) == [False]


def test_guests_may_not(client: Client) -> None:
    guest = create_guest()
    answer = put(client, guest, True)
    assert (answer.status_code, answer.json()["code"]) == (403, "guest")
    guest.refresh_from_db()
    assert guest.training_consent is None
    assert client.get("/api/v1/me/consent", headers=bearer(guest)).json()["may"] is False


# --- what follows ---------------------------------------------------------------------------------


@pytest.fixture
def used(talk: Conversation) -> dict[str, Any]:
    """A turn of alice in a frozen set with a model, and in one that waits for approval."""
    turn = Turn.objects.create(pk=uuid.uuid4(), conversation=talk, position=0, question="Q", answer="A", state="done")
    frozen = DataSet.objects.create(name="frozen", state=DataSet.State.FROZEN)
    waiting = DataSet.objects.create(name="waiting", state=DataSet.State.REVIEW)
    others = DataSet.objects.create(name="others", state=DataSet.State.FROZEN)
    for dataset in (frozen, waiting):
        Example.objects.create(
            dataset=dataset, turn=turn, conversation=talk.pk, answer="A", state=Example.State.APPROVED
        )
    Example.objects.create(dataset=others, conversation=uuid.uuid4(), answer="B", state=Example.State.APPROVED)
    Example.objects.create(dataset=others, turn=turn, answer="A", state=Example.State.REJECTED)
    models = {}
    for dataset in (frozen, others):
        job = FineTune.objects.create(where="local", dataset=dataset, base="m", name=dataset.name)
        models[dataset.name] = TunedModel.objects.create(name=dataset.name, model="m", base="m", finetune=job)
    return {"frozen": frozen, "waiting": waiting, "others": others, "models": models}


def check_marked(used: dict[str, Any]) -> None:
    for name, marked in (("frozen", True), ("waiting", False), ("others", False)):
        used[name].refresh_from_db()
        assert (used[name].stale is not None) == marked, name
    for name, marked in (("frozen", True), ("others", False)):
        used["models"][name].refresh_from_db()
        assert (used["models"][name].stale is not None) == marked, name
    assert list(used["waiting"].examples.values_list("state", flat=True)) == ["rejected"]
    assert list(used["frozen"].examples.values_list("state", flat=True)) == ["approved"]


def test_taking_it_back_marks_sets_and_models(client: Client, alice: User, used: dict[str, Any]) -> None:
    put(client, alice, True)
    put(client, alice, False)
    check_marked(used)
    stale = used["frozen"].stale
    assert consent.withdrawn(alice.pk) == consent.Marked()  # once is enough
    used["frozen"].refresh_from_db()
    assert used["frozen"].stale == stale


def test_what_bob_takes_back_is_not_about_alice(client: Client, bob: User, used: dict[str, Any]) -> None:
    put(client, bob, True)
    put(client, bob, False)
    assert not DataSet.objects.exclude(stale=None).exists()


def test_an_example_whose_turn_is_gone_is_still_theirs(alice: User, used: dict[str, Any]) -> None:
    Turn.objects.all().delete()
    assert consent.withdrawn(alice.pk) == consent.Marked(datasets=1, models=1, examples=1)


def test_a_conversation_is_kept_out(
    client: Client, alice: User, bob: User, talk: Conversation, used: dict[str, Any]
) -> None:
    address = f"/api/v1/conversations/{talk.pk}/training"
    assert client.put(address, {"kept_out": True}, JSON, headers=bearer(bob)).status_code == 404
    answer = client.put(address, {"kept_out": True}, JSON, headers=bearer(alice))
    assert answer.json()["kept_out"] is True
    talk.refresh_from_db()
    assert talk.kept_out
    check_marked(used)
    assert client.put(address, {"kept_out": False}, JSON, headers=bearer(alice)).json()["kept_out"] is False


# --- the cloud is a choice of its own --------------------------------------------------------------


def test_what_was_not_offered_is_not_agreed_to(client: Client, alice: User) -> None:
    answer = client.put("/api/v1/me/consent", {"training": True, "cloud": True}, JSON, headers=bearer(alice)).json()
    assert (answer["training"], answer["cloud"], answer["cloud_offered"]) == (True, False, False)
    alice.refresh_from_db()
    assert not alice.training_consent_cloud


def test_training_here_is_no_consent_to_openai(client: Client, alice: User, settings: Any) -> None:
    settings.COACH_OPENAI_TRAINING = True
    assert put(client, alice, True).json()["cloud"] is False
    both = {"training": True, "cloud": True}
    assert client.put("/api/v1/me/consent", both, JSON, headers=bearer(alice)).json()["cloud"] is True
    assert put(client, alice, False).json()["cloud"] is False
    changes = ConsentChange.objects.order_by("pk").values_list("given", "cloud")
    assert list(changes) == [(True, False), (True, True), (False, False)]


@pytest.fixture
def talk(alice: User) -> Conversation:
    coach = Coach.objects.create(slug="c", name="C", mode="personal")
    return Conversation.objects.create(owner=alice, coach=coach)


def test_a_set_of_people_who_agreed_to_training_here_stays_here(alice: User, talk: Conversation, settings: Any) -> None:
    settings.COACH_OPENAI_TRAINING, settings.OPENAI_API_KEY, settings.OFFLINE = True, "sk-1", False
    turn = Turn.objects.create(conversation=talk, position=0, question="Q?")
    dataset = DataSet.objects.create(name="d", state=DataSet.State.FROZEN)
    Example.objects.create(dataset=dataset, turn=turn, answer="A", state=Example.State.APPROVED)
    with pytest.raises(HereOnly, match="1 example is of somebody who agreed to training on this machine only"):
        check_cloud(dataset)
    User.objects.filter(pk=alice.pk).update(training_consent_cloud=True)
    check_cloud(dataset)


def test_a_deleted_conversation_marks_what_was_made_of_it(talk: Conversation) -> None:
    turn = Turn.objects.create(conversation=talk, position=0, question="Q?")
    frozen, waiting, made_up = (
        DataSet.objects.create(name=name, state=state, synthetic=name == "c")
        for name, state in (("a", DataSet.State.FROZEN), ("b", DataSet.State.REVIEW), ("c", DataSet.State.FROZEN))
    )
    for dataset in (frozen, waiting, made_up):
        Example.objects.create(dataset=dataset, turn=turn, answer="A")
    AnswerPair.objects.create(turn=turn, question="Q?", first="a", second="b")
    assert consent.deleted() == consent.Marked()
    talk.delete()
    assert consent.deleted() == consent.Marked(datasets=1, models=0, examples=1)
    frozen.refresh_from_db()
    made_up.refresh_from_db()
    assert frozen.stale is not None and made_up.stale is None
    assert not AnswerPair.objects.exists()
