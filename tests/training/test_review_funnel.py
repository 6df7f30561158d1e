"""The funnel and the trends, against turns that are counted by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from coach.models import Rating, RatingReason, Turn
from tests.training.review_people import agree, talk_of, turn_in
from training import tasks_review, wake
from training.filters import TurnFilter
from training.models import DataSet, Example, FunnelCount
from training.review import funnel_counts, trends
from training.review.funnel import Among, funnel

pytestmark = pytest.mark.django_db


@pytest.fixture
def turns(alice: Any, bob: Any, coach: Any) -> list[Turn]:
    agree(alice)
    talk = talk_of(alice, coach)
    turn_in(talk, state=Turn.State.FAILED, rating=5)
    turn_in(talk_of(bob, coach), rating=5)
    turn_in(talk_of(alice, coach, kept_out=True), rating=5)
    turn_in(talk_of(alice, coach, private=True), rating=5)
    turn_in(talk, safety="elevated", rating=5)
    turn_in(talk)
    turn_in(talk, rating=2)
    turn_in(talk, question="Why?", rating=4)
    turn_in(talk, answer="Because.", rating=4)
    return [turn_in(talk, rating=rating) for rating in (3, 4, 5)]


def test_each_step_counts_what_is_left(turns: list[Turn]) -> None:
    one, other, third = turns
    frozen = DataSet.objects.create(name="frozen", state=DataSet.State.FROZEN)
    building = DataSet.objects.create(name="building", state=DataSet.State.REVIEW)
    made_up = DataSet.objects.create(name="made up", state=DataSet.State.FROZEN, synthetic=True)
    State = Example.State
    for dataset, turn, state in (
        (frozen, one, State.APPROVED),
        (building, one, State.APPROVED),  # counted once
        (building, other, State.APPROVED),
        (frozen, third, State.REJECTED),
        (made_up, None, State.APPROVED),
    ):
        Example.objects.create(dataset=dataset, turn=turn, state=state, answer="x")
    found = {step.key: step for step in funnel()}
    assert {key: step.left for key, step in found.items()} == {
        "all": 12,
        "answered": 11,
        "rated": 10,
        "liked": 9,
        "consented": 6,
        "long": 4,
        "unflagged": 3,
        "in_set": 3,
        "approved": 2,
        "frozen": 1,
    }
    assert [n for _why, n in found["consented"].lost] == [1, 1, 1]
    assert [n for _why, n in found["long"].lost] == [1, 1]
    assert found["unflagged"].percent == 25.0
    assert found["unflagged"].left == TurnFilter(ideal=False).queryset().count()


def test_the_funnel_is_narrowed_and_empty(turns: list[Turn], alice: Any, coach: Any, ada: Any, client: Client) -> None:
    turn_in(talk_of(alice, coach, language="sv"), rating=5)
    old = turn_in(talk_of(alice, coach), rating=5, minutes_ago=60 * 24 * 40)
    swedish = {step.key: step.left for step in funnel(Among(language="sv", coach=coach.slug))}
    assert (swedish["all"], swedish["unflagged"], swedish["in_set"]) == (1, 1, 0)
    since = timezone.now() - timedelta(days=30)
    assert {step.key: step.left for step in funnel(Among(since=since))}["all"] == 13
    client.force_login(ada)
    page = client.get(reverse("admin:training_funnel"), {"days": "30", "language": "en", "coach": "nobody"})
    assert (page.status_code, b'data-step="frozen"' in page.content) == (200, True)
    Turn.objects.all().delete()
    assert old.pk
    assert {step.left for step in funnel()} == {0}
    assert {step.percent for step in funnel()[1:]} == {0.0}
    assert client.get(reverse("admin:training_funnel")).status_code == 200


def rated(turn: Turn, rating: int, weeks_ago: int, reasons: tuple[str, ...] = ()) -> None:
    Rating.objects.update_or_create(turn=turn, defaults={"rating": rating, "reasons": list(reasons)})
    Rating.objects.filter(turn=turn).update(updated=timezone.now() - timedelta(weeks=weeks_ago))


def test_ratings_by_week_with_their_number(alice: Any, coach: Any, ada: Any, client: Client) -> None:
    RatingReason.objects.update_or_create(slug="clear", defaults={"texts": {"en": "Clear"}})
    english, swedish = talk_of(alice, coach), talk_of(alice, coach, language="sv")
    for talk, rating, weeks_ago in (
        (english, 2, 1),
        (english, 4, 1),
        (english, 5, 0),
        (swedish, 1, 3),
        (swedish, 1, 60),
    ):
        rated(turn_in(talk, model="m"), rating, weeks_ago, ("clear", "gone") if rating > 3 else ())
    found = trends.trends(13)["language"]
    assert len(found.weeks) == 13 and all(week.weekday() == 0 for week in found.weeks)
    first, second = found.lines
    assert (first.name, first.means[-2:], first.counts[-2:]) == ("English", [3.0, 5.0], [2, 1])
    assert (second.name, second.means[-4], second.total) == ("Svenska", 1.0, 1)
    assert first.means[0] is None
    assert [(line.name, line.total) for line in trends.trends(13)["coach"].lines] == [(coach.name, 4)]
    assert [(line.name, line.total) for line in trends.trends(52)["model"].lines] == [("m", 4)]
    reasons = trends.reasons_by_month()
    assert len(reasons.months) == 12
    assert {text: sum(counts) for text, counts in reasons.counts.items()} == {"Clear": 2, "gone": 2}
    client.force_login(ada)
    page = client.get(reverse("admin:training_trends"), {"weeks": "26"}).content.decode()
    assert "English (3)" in page and "Clear" in page


def test_many_models_and_reasons_are_cut_to_what_a_chart_can_hold(
    alice: Any, coach: Any, ada: Any, client: Client
) -> None:
    talk = talk_of(alice, coach)
    for n in range(8):
        rated(turn_in(talk, model=f"m{n}"), 3, 0, tuple(f"r{m}" for m in range(n + 1)))
    found = trends.trends(13)["model"]
    assert (len(found.lines), found.left_out) == (5, 3)
    client.force_login(ada)
    page = client.get(reverse("admin:training_trends")).content.decode()
    assert "3 with fewer ratings are not shown" in page and "others" in page


def test_pages_without_any_rating(ada: Any, client: Client) -> None:
    client.force_login(ada)
    for name in ("training_trends", "training_funnel", "training_leaderboard", "training_agreement"):
        assert client.get(reverse(f"admin:{name}")).status_code == 200


# --- many turns: counted by a worker -------------------------------------------------------------


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """More turns than are counted at once; gives what is sent to workers."""
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(funnel_counts, "FEW", 2)
    monkeypatch.setattr("training.wake.send_soon", lambda task, _queue, *arguments: sent.append((task, arguments)))
    return sent


def seen(client: Client, **wanted: str) -> str:
    return client.get(reverse("admin:training_funnel"), wanted).content.decode()


def test_few_turns_are_counted_while_the_page_is_loaded(turns: list[Turn], ada: Any, client: Client) -> None:
    client.force_login(ada)
    page = seen(client)
    assert 'data-step="frozen"' in page and "Counted " in page and "data-over" in page and "data-live-page" not in page
    assert not FunnelCount.objects.exists()


def test_many_turns_are_counted_by_a_worker_and_the_page_has_the_last_count(
    turns: list[Turn], many: list[tuple[str, Any]], ada: Any, client: Client
) -> None:
    client.force_login(ada)
    page = seen(client, language="en")
    assert "data-step" not in page and "Counting" in page and 'data-live-page="/admin/' in page
    assert many == [(wake.COUNT, (0, "", "en"))]
    seen(client, language="en")
    assert len(many) == 1  # one worker is enough

    tasks_review.count_funnel(*many[0][1])
    page = seen(client, language="en")
    assert 'data-step="frozen"' in page and "Counting" not in page and "data-over" in page and len(many) == 1
    row = FunnelCount.objects.get()
    fresh = funnel(Among(language="en"))
    assert funnel_counts.steps_of(row.steps) == fresh
    assert [step[:2] for step in row.steps] == [[step.key, step.left] for step in fresh]
    assert row.steps[1] == ["answered", 11, [["state", 1]]]  # reasons as codes: each reader has their own language

    Turn.objects.filter(pk=turns[0].pk).update(safety="elevated")
    FunnelCount.objects.update(counted=timezone.now() - timedelta(minutes=6))
    page = seen(client, language="en")
    assert 'data-step="frozen"' in page and "Counting" in page and "data-over" not in page and len(many) == 2
    tasks_review.count_funnel(*many[1][1])
    kept = funnel_counts.kept(days=0, coach="", language="en")
    assert (kept.old, kept.due) == (False, False)
    assert {step.key: step.left for step in kept.steps}["unflagged"] == 2


def test_a_lost_worker_is_followed_by_another(turns: list[Turn], many: list[tuple[str, Any]]) -> None:
    choice: dict[str, Any] = {"days": 30, "coach": "personal", "language": ""}
    assert [funnel_counts.kept(**choice).due for _look in range(2)] == [True, False]
    FunnelCount.objects.update(asked=timezone.now() - timedelta(minutes=3))
    kept = funnel_counts.kept(**choice)
    assert (kept.due, kept.counted, list(kept.steps)) == (True, None, [])
