"""Limits: who may still ask which place, what is counted, and what is said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.formats import date_format

from llm import limits
from llm.limits import Allowance, allowance, usage_of
from llm.models import Limit, ModelCall
from llm.rollup import start_of, today
from tests.llm.books import stored_call


@pytest.fixture(autouse=True)
def _counted_anew() -> None:
    limits.forget()


def _turns(number: int, **values: Any) -> None:
    for _ in range(number):
        stored_call(**{"started": start_of(today()), "turn": uuid4(), **values})


@pytest.mark.django_db
def test_without_a_limit_everything_is_allowed_and_one_statement_says_so(
    alice: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert allowance(alice.pk, "personal") == Allowance(local=True, cloud=True, message="")
    with django_assert_num_queries(0):  # the next turn within five seconds
        assert allowance(alice.pk, "personal").cloud


@pytest.mark.django_db
def test_a_cloud_limit_leaves_the_models_here(alice: Any, bob: Any, django_assert_num_queries: Any) -> None:
    Limit.objects.create(per_user=True, period="day", turns=2)
    _turns(5, user=alice, place="local")
    _turns(1, user=alice)
    assert allowance(alice.pk, "personal").cloud
    _turns(1, user=alice)
    with django_assert_num_queries(1):
        found = allowance(alice.pk, "personal")
    assert (found.local, found.cloud) == (True, False)
    tomorrow = today() + timedelta(days=1)
    assert date_format(tomorrow, "DATE_FORMAT") in found.message and "0:00 UTC" in found.message
    assert allowance(bob.pk, "personal").cloud


@pytest.mark.django_db
def test_a_limit_for_all_models_stops_both_places(alice: Any) -> None:
    Limit.objects.create(per_user=True, turns=2, cloud_only=False)
    _turns(2, user=alice, place="local")
    found = allowance(alice.pk, "personal")
    assert (found.local, found.cloud) == (False, False)
    assert "You can go on from" in found.message


@pytest.mark.django_db
def test_one_person_may_have_a_limit_of_their_own(alice: Any, bob: Any) -> None:
    Limit.objects.create(user=alice, tokens=1100)
    _turns(1, user=alice)
    _turns(3, user=bob)
    assert not allowance(alice.pk, "personal").cloud
    assert allowance(bob.pk, "personal").cloud


@pytest.mark.django_db
def test_a_limit_of_a_coach_counts_that_coach_alone(alice: Any) -> None:
    Limit.objects.create(coach="personal", per_user=True, turns=1)
    _turns(1, user=alice, coach="university")
    assert allowance(alice.pk, "personal").cloud
    _turns(1, user=alice)
    assert not allowance(alice.pk, "personal").cloud
    assert allowance(alice.pk, "university").cloud


@pytest.mark.django_db
def test_what_all_use_together_is_counted_over_everybody_and_remembered(
    alice: Any, bob: Any, django_assert_num_queries: Any
) -> None:
    Limit.objects.create(cost="0.01")
    _turns(2, user=alice, cost="0.004")
    assert allowance(bob.pk, "personal").cloud
    _turns(1, user=alice, cost="0.004")
    with django_assert_num_queries(0):
        assert allowance(bob.pk, "personal").cloud  # counted a moment ago
    limits.forget()
    assert not allowance(bob.pk, "personal").cloud
    assert not allowance(None, "personal").cloud


@pytest.mark.django_db
def test_only_the_running_period_counts(alice: Any) -> None:
    Limit.objects.create(per_user=True, period="day", turns=1)
    Limit.objects.create(per_user=True, period="month", turns=3)
    first = start_of(today().replace(day=1))
    _turns(2, user=alice, started=first - timedelta(seconds=1))
    _turns(1, user=alice, started=start_of(today()) - timedelta(seconds=1))
    assert allowance(alice.pk, "personal").cloud


@pytest.mark.django_db
def test_a_turn_that_took_three_calls_is_one_and_a_failed_one_is_none(alice: Any) -> None:
    Limit.objects.create(per_user=True, period="day", turns=2)
    turn = uuid4()
    for outcome in ("server", "stalled", "ok"):
        _turns(1, user=alice, turn=turn, outcome=outcome)
    _turns(4, user=alice, outcome="unavailable")
    assert ModelCall.objects.count() == 7
    assert allowance(alice.pk, "personal").cloud


@pytest.mark.django_db
def test_somebody_without_an_account_has_no_personal_limit() -> None:
    Limit.objects.create(per_user=True, turns=0)
    assert allowance(None, "personal").cloud


@pytest.mark.django_db
def test_a_bound_of_zero_switches_the_cloud_off(alice: Any) -> None:
    Limit.objects.create(turns=0)
    found = allowance(alice.pk, "personal")
    assert (found.local, found.cloud) == (True, False)


@pytest.mark.django_db
def test_people_see_their_own_use(alice: Any, bob: Any) -> None:
    Limit.objects.create(per_user=True, period="month", turns=5)
    Limit.objects.create(turns=1000)
    _turns(2, user=alice)
    _turns(7, user=bob)
    found = usage_of(alice.pk)
    assert found["today"]["turns"] == found["month"]["turns"] == 2
    assert found["month"]["tokens"] == 2200
    assert found["currency"] == "USD"
    (limit,) = found["limits"]
    assert (limit["turns"], limit["used"]["turns"], limit["reached"]) == (5, 2, False)


@pytest.mark.django_db
def test_the_api_tells_people_their_own_use(client: Client, alice: Any, bob: Any) -> None:
    Limit.objects.create(per_user=True, period="month", turns=5)
    _turns(2, user=alice)
    _turns(7, user=bob)
    assert client.get("/api/v1/me/usage").status_code == 401
    client.force_login(alice)
    found = client.get("/api/v1/me/usage").json()
    assert found["month"] == {"turns": 2, "tokens": 2200, "cost": 0.00036}
    assert [limit["used"]["turns"] for limit in found["limits"]] == [2]
