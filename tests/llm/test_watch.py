"""Sums, retention, the figures drawn from them, and the live state of models."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from llm import health, live, rollup
from llm.errors import ModelUnavailable
from llm.models import CallDay, Limit, ModelCall
from llm.types import ModelId, Usage
from llm.watch import Figures, measured, percentile, watch
from tests.llm.books import LOCAL, days_ago, stored_call
from tests.llm.conftest import ModelServer
from tests.servers import free_port


@pytest.fixture(autouse=True)
def _looked_at_anew() -> None:
    live.forget()


# --- sums and retention ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_day_is_summed_by_model_and_coach() -> None:
    stored_call(started=days_ago(0, 0), first_token_seconds=0.1)
    stored_call(started=days_ago(0, 0), first_token_seconds=0.2, fallback_from="llamacpp")
    stored_call(started=days_ago(0, 0), first_token_seconds=20.0, outcome="cancelled")
    stored_call(started=days_ago(0, 0), first_token_seconds=None, outcome="first_token", cost=None, prompt_tokens=None)
    stored_call(started=days_ago(0, 0), coach="university")
    stored_call(started=days_ago(0, 0), model="llamacpp", place="local", cost=0)
    assert rollup.roll_up() == 3
    day = CallDay.objects.get(model="openai:gpt-4o-mini", coach="personal")
    assert (day.place, day.calls, day.errors, day.fallbacks) == ("cloud", 4, 1, 1)
    assert (day.prompt_tokens, day.cached_prompt_tokens, day.completion_tokens) == (3000, 1600, 400)
    assert (day.seconds, day.cost) == (8.0, Decimal("0.000540"))
    counts = {bucket: n for bucket, n in day.histogram.items() if n}
    assert counts == {"100": 1, "250": 1, "+": 1, "sum_ms": 20300.0}


@pytest.mark.django_db
def test_rolling_up_again_changes_nothing_and_takes_in_what_came_late() -> None:
    stored_call(started=days_ago(1))
    rollup.roll_up()
    first = CallDay.objects.values().get()
    rollup.roll_up()
    assert CallDay.objects.values().get() == first
    stored_call(started=days_ago(1, 23))
    rollup.roll_up()
    assert CallDay.objects.get().calls == 2


@pytest.mark.django_db
def test_days_that_were_missed_are_rolled_up_too() -> None:
    for days in (9, 5, 0):
        stored_call(started=days_ago(days, 0))
    rollup.roll_up()
    assert CallDay.objects.count() == 3


@pytest.mark.django_db
def test_old_calls_are_forgotten_after_they_were_summed(settings: Any) -> None:
    settings.LLM_CALL_DAYS = 3
    for days in (40, 4, 3, 1, 0):
        stored_call(started=days_ago(days, 0))
    assert rollup.forget() == 2
    assert ModelCall.objects.count() == 3
    assert CallDay.objects.count() == 2
    assert rollup.forget() == 0
    rollup.roll_up()
    assert watch(30).total.calls == 4
    assert CallDay.objects.count() == 5


@pytest.mark.django_db
def test_while_a_limit_counts_by_the_month_its_calls_stay(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LLM_CALL_DAYS = 1
    monkeypatch.setattr(rollup, "today", lambda: days_ago(0).date().replace(day=20))
    month = rollup.start_of(rollup.today().replace(day=1))
    stored_call(started=month + timedelta(hours=1))
    stored_call(started=month - timedelta(hours=1))
    Limit.objects.create(period="month", turns=10)
    assert rollup.forget() == 1
    Limit.objects.all().delete()
    assert rollup.forget() == 1


# --- figures ---------------------------------------------------------------------------------------


def test_percentiles_are_interpolated_in_their_bucket() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({"500": 10}, 0.5) == pytest.approx(0.375)  # the middle of 250–500 ms
    assert percentile({"100": 50, "1000": 50}, 0.5) == pytest.approx(0.1)
    assert percentile({"100": 90, "8000": 10}, 0.95) == pytest.approx(6.0)
    assert percentile({"+": 3}, 0.5) == 16.0


@pytest.mark.django_db
def test_a_period_is_taken_from_stored_days_and_from_the_calls_of_open_ones() -> None:
    for days in (0, 1, 3, 6, 7):
        stored_call(started=days_ago(days, 0))
    before = watch(7)
    rollup.roll_up()
    ModelCall.objects.filter(started__lt=days_ago(1, 0)).delete()
    after = watch(7)
    for seen in (before, after):
        assert [step.calls for step in seen.series] == [1, 0, 0, 1, 0, 1, 1]
        assert seen.total.calls == 4
        assert seen.models[0].total.cost == Decimal("0.000720")


@pytest.mark.django_db
def test_the_last_day_goes_by_hours() -> None:
    now = timezone.now()
    stored_call(started=now, outcome="server", first_token_seconds=None)
    stored_call(started=now - timedelta(hours=5))
    stored_call(started=now - timedelta(hours=30))
    seen = watch(1)
    assert len(seen.steps) == 24
    assert (seen.series[-1].calls, seen.series[-6].calls, seen.total.calls) == (1, 1, 2)
    assert (seen.total.error_rate, seen.series[-1].p50) == (0.5, None)
    assert seen.total.speed == pytest.approx(200 / 4)


@pytest.mark.django_db
def test_models_and_coaches_have_their_own_figures() -> None:
    stored_call(started=days_ago(0, 0), coach="university", cost="0.5")
    stored_call(started=days_ago(0, 0), model="llamacpp", place="local", cost=0)
    stored_call(started=days_ago(0, 0), model="llamacpp", place="local", cost=0)
    seen = watch(30)
    assert [(item.model, item.place, item.total.calls) for item in seen.models] == [
        ("llamacpp", "local", 2),
        ("openai:gpt-4o-mini", "cloud", 1),
    ]
    assert [(item.coach, item.total.cost) for item in seen.coaches] == [("university", Decimal("0.5")), ("personal", 0)]


@pytest.mark.django_db
def test_without_calls_there_are_no_figures() -> None:
    for days in (1, 7, 30):
        assert watch(days).total == Figures()
    assert measured().turns is None


@pytest.mark.django_db
def test_what_a_turn_is_like_is_measured(alice: Any, bob: Any) -> None:
    from uuid import uuid4

    for user in (alice, alice, alice, bob):
        stored_call(started=days_ago(0, 0), user=user, turn=uuid4())
    stored_call(started=days_ago(0, 0), user=alice, turn=uuid4(), outcome="server", prompt_tokens=9)
    here = measured()
    assert (here.turns, here.prompt_tokens, here.cached_share, here.answer_tokens) == (2.0, 1000, 0.4, 100)
    assert here.prompt_speed is None


@pytest.mark.django_db
def test_a_month_of_many_calls_is_read_in_few_statements(django_assert_max_num_queries: Any) -> None:
    rows = [
        ModelCall(started=days_ago(n % 30, 0), model=f"m{n % 5}", place="local", coach="c", first_token_seconds=0.3)
        for n in range(3000)
    ]
    ModelCall.objects.bulk_create(rows, batch_size=500)
    rollup.roll_up()
    with django_assert_max_num_queries(4):
        assert watch(30).total.calls == 3000


# --- live ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_model_that_answers_and_one_that_does_not(settings: Any, model_server: ModelServer) -> None:
    settings.LLAMACPP_SERVER = {"url": f"http://127.0.0.1:{free_port()}", "key": "k", "model": "m"}
    settings.OLLAMA_BASE_URL = model_server.url
    here, there, guided = live.live_models([LOCAL, ModelId("ollama", "m"), ModelId("guided")])
    assert (here.state, there.state, guided.state) == ("bad", "good", "good")
    assert here.detail
    asked = len(model_server.requests)
    live.live_models([LOCAL, ModelId("ollama", "m"), ModelId("guided")])
    assert len(model_server.requests) == asked  # remembered


@pytest.mark.django_db
def test_a_model_that_hangs_is_not_waited_for(
    settings: Any, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "ASK_SECONDS", 0.1)
    settings.OLLAMA_BASE_URL = model_server.url
    model_server.behaviour = "hangs"
    (found,) = live.live_models([ModelId("ollama", "m")])
    assert found.state == "bad"


@pytest.mark.django_db
def test_a_cloud_model_is_judged_by_its_calls() -> None:
    model = ModelId("openai", "gpt-4o-mini")
    assert live.live_models([model])[0].state == "unknown"
    live.forget()
    stored_call()
    assert live.live_models([model])[0].state == "good"
    live.forget()
    ModelCall.objects.update(outcome="server")
    found = live.live_models([model])[0]
    assert (found.state, found.calls, found.errors) == ("bad", 1, 1)


@pytest.mark.django_db
def test_the_breakers_of_the_runners_are_seen(valkey: str) -> None:
    model = ModelId("openai", "gpt-4o-mini")
    with Redis.from_url(valkey) as client:
        client.flushall()
        health.succeeded(model, Usage(prompt_tokens=100, completion_tokens=50, completion_tokens_per_second=20.0))
        health.failed(model, ModelUnavailable("It is down."))
        health.failed(model, ModelUnavailable("It is down."))
        live.publish()
        (found,) = live.live_models([model])
        assert (found.state, found.detail, found.completion_speed) == ("bad", "It is down.", 20.0)
        assert 10 <= found.resting_seconds <= 15
        (name,) = client.hkeys(live.KEY)
        old = json.loads(client.hget(live.KEY, name)) | {"at": time.time() - live.KEPT_SECONDS - 1}
        client.hset(live.KEY, name, json.dumps(old))
        live.forget()
        assert live.live_models([model])[0].state == "unknown"
        client.flushall()
