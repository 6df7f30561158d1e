"""Blind choice, the leaderboard, and asking two models for pairs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from coach.errors import NotFound
from llm.errors import ModelBusy, ModelUnavailable
from llm.types import ModelId, Place
from tests.fakes import FakeLanguageModel
from tests.training.review_people import agree, person, talk_of, turn_in
from training import tasks_review
from training.models import AnswerPair, Choice
from training.review import asking, choosing
from training.review.errors import MayNotReview, WrongReview

pytestmark = pytest.mark.django_db

ONE, OTHER = "ollama:one", "ollama:other"


@pytest.fixture
def rae() -> Any:
    return person("rae", rater=True)


def pair(**values: Any) -> AnswerPair:
    given = {
        "question": "Why?",
        "first": ONE,
        "second": OTHER,
        "first_answer": "Because of this.",
        "second_answer": "Because of that.",
    }
    return AnswerPair.objects.create(**(given | values))


# --- choosing ------------------------------------------------------------------------------------


def test_the_order_is_fixed_for_a_person_and_random_over_pairs_and_people(rae: Any) -> None:
    pairs = [pair(swapped=n % 2 == 0) for n in range(60)]
    rob = person("rob", rater=True)
    orders = {user.pk: [choosing.second_is_left(one, user.pk) for one in pairs] for user in (rae, rob)}
    assert orders[rae.pk] == [choosing.second_is_left(one, rae.pk) for one in pairs]
    assert orders[rae.pk] != orders[rob.pk]
    assert all(12 < sum(order) < 48 for order in orders.values())
    turned = AnswerPair(pk=pairs[0].pk, swapped=not pairs[0].swapped)
    assert choosing.second_is_left(turned, rae.pk) != orders[rae.pk][0]


@pytest.mark.parametrize("side", ["left", "right", "tie"])
def test_a_choice_is_stored_as_of_the_models_and_told_as_it_was_seen(side: str, rae: Any) -> None:
    for one in [pair() for _ in range(6)]:
        left, right = choosing.sides(one, rae.pk)
        told = choosing.choose(user=rae, pair_id=one.pk, side=side)
        names = {one.first_answer: one.first, one.second_answer: one.second}
        assert (told.left, told.right, told.chosen) == (names[left], names[right], side)
        [choice] = Choice.objects.filter(pair=one, person=rae)
        picked = {"left": left, "right": right}.get(side)
        expected = "tie" if picked is None else "first" if picked == one.first_answer else "second"
        assert (choice.chosen, choice.judge) == (expected, "")


def test_a_choice_is_never_changed(rae: Any) -> None:
    one = pair()
    told = choosing.choose(user=rae, pair_id=one.pk, side="left")
    assert choosing.choose(user=rae, pair_id=one.pk, side="right") == told
    assert Choice.objects.count() == 1
    assert choosing.pairs_for(rae).count() == 0
    with pytest.raises(WrongReview):
        choosing.choose(user=rae, pair_id=one.pk, side="up")


def test_who_may_choose_and_of_what(rae: Any, alice: Any, coach: Any) -> None:
    agree(alice)
    turn = turn_in(talk_of(alice, coach))
    of_turn, of_suite = pair(turn=turn, figures={"batch": "b"}), pair()
    pair(first_answer="")  # not answered yet
    pair(figures={"batch": "b"})  # its conversation was deleted
    assert {one.pk for one in choosing.pairs_for(rae)} == {of_turn.pk, of_suite.pk}
    with pytest.raises(MayNotReview):
        choosing.choose(user=alice, pair_id=of_turn.pk, side="left")
    User.objects.filter(pk=alice.pk).update(training_consent=None)
    assert {one.pk for one in choosing.pairs_for(rae)} == {of_suite.pk}
    with pytest.raises(NotFound):
        choosing.choose(user=rae, pair_id=of_turn.pk, side="left")
    assert Choice.objects.count() == 0


def test_the_page_names_no_model_before_the_choice(rae: Any, client: Client) -> None:
    one = pair(language="sv")
    pair(language="en")
    client.force_login(rae)
    page = client.get(reverse("admin:training_choose"), {"language": "sv"}).content.decode()
    assert one.first_answer in page and one.second_answer in page
    assert ONE not in page and OTHER not in page
    url = reverse("admin:training_choose_save")
    body = json.dumps({"pair": one.pk, "side": "tie"})
    told = client.post(url, body, content_type="application/json").json()
    assert {told["left"], told["right"]} == {ONE, OTHER}
    assert b"nothing to choose from" in client.get(reverse("admin:training_choose"), {"language": "sv"}).content
    for wrong in ("", "[]", '{"pair": "x"}', '{"pair": 99999, "side": "left"}'):
        assert client.post(url, wrong, content_type="application/json").status_code in {404, 422}
    assert client.get(url).status_code == 405


def test_wilson_against_published_values() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    for wins, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert choosing.wilson(wins / n, n) == pytest.approx((low, high), abs=0.0001)
    assert choosing.wilson(0, 0) == (0.0, 1.0)


def test_the_leaderboard_counts_people_by_language(rae: Any, client: Client) -> None:
    for language, chosen in (("en", "first"), ("en", "first"), ("en", "tie"), ("sv", "second")):
        Choice.objects.create(pair=pair(language=language), person=rae, chosen=chosen)
    Choice.objects.create(pair=pair(), judge="openai:judge", chosen="second")
    found = choosing.leaderboard()
    assert list(found) == ["", "en", "sv"]
    assert [(one.model, one.wins, one.ties, one.losses, one.share) for one in found[""]] == [
        (ONE, 2, 1, 1, 0.625),
        (OTHER, 1, 1, 2, 0.375),
    ]
    assert [(one.model, one.share) for one in found["sv"]] == [(OTHER, 1.0), (ONE, 0.0)]
    client.force_login(rae)
    page = client.get(reverse("admin:training_leaderboard")).content.decode()
    assert ONE in page and "Svenska" in page and "training/review/pairs" not in page


# --- asking --------------------------------------------------------------------------------------


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeLanguageModel]:
    """By name, in the place of the adapters."""
    made = {
        name: FakeLanguageModel(text=f"Says {name}.", id=ModelId("ollama", name.partition(":")[2]))
        for name in (ONE, OTHER)
    }
    monkeypatch.setattr("llm.switcher.language_model", lambda model: made[str(model)])
    return made


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """What would go to the broker."""
    found: list[tuple[str, float]] = []
    monkeypatch.setattr("llm.wake.send", lambda _task, _queue, batch, seconds: found.append((batch, seconds)))
    return found


@pytest.fixture
def questions(alice: Any, bob: Any, coach: Any) -> list[Any]:
    agree(alice)
    english, swedish = talk_of(alice, coach), talk_of(alice, coach, language="sv")
    turn_in(talk_of(bob, coach))  # no consent
    turn_in(english, question="hello")  # too short
    turn_in(english, safety="elevated")
    return [turn_in(english), turn_in(english), turn_in(swedish, question="Hur håller jag i en vana?")]


def start(user: Any, **values: Any) -> str:
    return asking.start(**({"user": user, "first": ONE, "second": OTHER, "count": 10} | values))


def test_a_batch_holds_what_people_agreed_to(ada: Any, questions: list[Any], coach: Any) -> None:
    batch = start(ada)
    made = AnswerPair.objects.filter(figures__batch=batch)
    assert {one.turn_id for one in made} == {turn.pk for turn in questions}
    assert all(one.comparison is None and one.prompt[-1]["role"] == "user" for one in made)
    swedish = AnswerPair.objects.filter(figures__batch=start(ada, language="sv", coach=coach.slug))
    assert [one.question for one in swedish] == ["Hur håller jag i en vana?"]
    assert AnswerPair.objects.filter(figures__batch=start(ada, count=2)).count() == 2
    for wrong in (
        {"count": 0},
        {"count": 201},
        {"second": ONE},
        {"first": ""},
        {"first": "guided"},
        {"first": "nobody:x"},
        {"first": f"{ONE},{OTHER}"},
        {"language": "ko"},
    ):
        with pytest.raises(WrongReview):
            start(ada, **wrong)


def test_both_models_are_asked_the_stored_prompt_and_a_cloud_is_not_by_itself(
    ada: Any, questions: list[Any], models: dict[str, FakeLanguageModel]
) -> None:
    batch = start(ada)
    assert [asking.ask_next(batch=batch) for _ in range(3)] == [True, True, False]
    assert asking.ask_next(batch=batch) is False
    for one in AnswerPair.objects.filter(figures__batch=batch):
        assert (one.first_answer, one.second_answer) == (f"Says {ONE}.", f"Says {OTHER}.")
        assert "until" not in one.figures
    for model in models.values():
        asked = [[(message.role, message.content) for message in request.messages] for request in model.requests]
        stored = AnswerPair.objects.filter(figures__batch=batch).order_by("pk")
        assert asked == [[(message["role"], message["content"]) for message in one.prompt] for one in stored]
        assert all(request.private for request in model.requests)
    [shown] = asking.batches()
    assert (shown.id, shown.total, shown.waiting, shown.failed, shown.done) == (batch, 3, 0, 0, 3)
    models[OTHER].place = Place.CLOUD
    refused = start(ada)
    while asking.ask_next(batch=refused):
        pass
    assert asking.batches()[0].failed == 3
    allowed = start(ada, cloud=True)
    while asking.ask_next(batch=allowed):
        pass
    assert asking.batches()[0].failed == 0


def test_a_model_that_is_gone_ends_the_batch_with_a_sentence(
    ada: Any, questions: list[Any], models: dict[str, FakeLanguageModel], coach: Any, alice: Any
) -> None:
    for _ in range(3):
        turn_in(talk_of(alice, coach))
    models[ONE].error = ModelUnavailable("ollama:one does not answer; start it.")
    batch = start(ada)
    asked = 1
    while asking.ask_next(batch=batch):
        asked += 1
    assert asked == asking.GIVE_UP
    [shown] = asking.batches()
    assert (shown.total, shown.failed, shown.waiting) == (6, 6, 0)
    assert "does not answer" in shown.error
    assert choosing.readable_pairs().count() == 0


def test_a_busy_model_is_asked_again_later(
    ada: Any,
    questions: list[Any],
    models: dict[str, FakeLanguageModel],
    sent: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    batch = start(ada, count=1)
    models[ONE].error = ModelBusy("Too many wait.")
    with django_capture_on_commit_callbacks(execute=True):
        tasks_review.ask_pair(batch)
    assert sent == [(batch, asking.BUSY_SECONDS)]
    models[ONE].error = None
    tasks_review.ask_pair(batch)
    assert asking.batches()[0].waiting == 0
    assert len(sent) == 1


def test_what_waits_can_be_cancelled_and_what_a_worker_lost_is_found(
    ada: Any, questions: list[Any], models: dict[str, FakeLanguageModel]
) -> None:
    batch = start(ada)
    assert asking.forgotten() == [batch]
    held = asking._claim(batch)
    assert held is not None
    assert asking.forgotten() == []  # a worker has one of it
    assert asking._claim(batch).pk != held.pk
    assert asking.ask_next(batch=batch) is True  # the third; two are held by others
    assert asking.ask_next(batch=batch) is False
    AnswerPair.objects.filter(pk=held.pk).update(figures=held.figures | {"until": "2020-01-01"})
    assert asking.cancel(batch=batch) == 2
    assert AnswerPair.objects.filter(figures__batch=batch).count() == 1
    assert asking.forgotten() == []


def test_consent_taken_back_meanwhile_removes_the_pair(
    ada: Any, alice: Any, questions: list[Any], models: dict[str, FakeLanguageModel]
) -> None:
    batch = start(ada)
    User.objects.filter(pk=alice.pk).update(training_consent=None)
    while asking.ask_next(batch=batch):
        pass
    assert not AnswerPair.objects.exists()
    assert models[ONE].requests == []


def test_a_deleted_conversation_takes_its_pairs_along(
    ada: Any, questions: list[Any], models: dict[str, FakeLanguageModel], sent: list[Any]
) -> None:
    batch = start(ada)
    while asking.ask_next(batch=batch):
        pass
    of_suite = pair()
    questions[0].conversation.delete()
    tasks_review.sweep_pairs()
    assert set(AnswerPair.objects.values_list("question", flat=True)) == {questions[2].question, of_suite.question}


def test_the_administrator_asks_and_cancels_on_the_page(
    ada: Any, questions: list[Any], client: Client, sent: list[Any], django_capture_on_commit_callbacks: Any, rae: Any
) -> None:
    url = reverse("admin:training_pairs_start")
    client.force_login(rae)
    assert client.post(url, {"first": ONE, "second": OTHER, "count": "5"}).status_code == 403
    client.force_login(ada)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(url, {"first": ONE, "second": OTHER, "count": "5"}, follow=True)
    [(batch, _seconds)] = sent
    page = answer.content.decode()
    assert f'data-job="{batch}"' in page
    [job] = client.get(reverse("admin:training_pairs_progress")).json()["jobs"]
    assert (job["id"], job["done"], job["total"], job["over"]) == (batch, 0, 3, False)
    assert (
        "3 questions were not asked"
        in client.post(reverse("admin:training_pairs_cancel"), {"batch": batch}, follow=True).content.decode()
    )
    assert (
        "Name two different"
        in client.post(url, {"first": ONE, "second": ONE, "count": "5"}, follow=True).content.decode()
    )


def test_two_models_of_a_real_server_through_the_tasks(
    ada: Any, questions: list[Any], settings: Any, sent: list[Any], django_capture_on_commit_callbacks: Any, rae: Any
) -> None:
    """From the click to the choice with real adapters over a socket; only the broker is left out."""
    from bench.application import FakeModel

    server = FakeModel()
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = server.url, "a key"
    try:
        with django_capture_on_commit_callbacks(execute=True):
            batch = start(ada, first="openai:pace-1-0-12", second="openai:break-1-0-12", count=1)
            tasks_review.sweep_pairs()
        [(found, _seconds)] = sent
        assert found == batch
        tasks_review.ask_pair(batch)
        [cut] = asking.batches()
        assert (cut.waiting, cut.failed) == (0, 1)  # one of them broke off: no half pairs
        batch = start(ada, first="openai:pace-1-0-12", second="openai:pace-1-0-30")
        while asking.ask_next(batch=batch):
            pass
    finally:
        server.close()
    pairs = choosing.pairs_for(rae)
    assert pairs.count() == 3
    assert all(len(one.second_answer.split()) > len(one.first_answer.split()) > 5 for one in pairs)
