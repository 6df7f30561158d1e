"""What a year costs: worked examples, and the form's defaults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from llm.costs import Assumptions, busy_hours, compare, token_cost
from llm.costs_form import LABELS, CostsForm, groups
from tests.llm.books import days_ago, stored_call

# 1,000 sessions of 5 turns: 5 million prompt tokens, half of them cached, and 1 million answer tokens.
YEAR = replace(Assumptions(), sessions=1000, turns=5, prompt_tokens=1000, cached_share=0.5, answer_tokens=200)


def _options(given: Assumptions) -> dict[str, Any]:
    return {option.key: option for option in compare(given)}


def test_tokens_cost_their_price_per_million() -> None:
    assert token_cost(5_000_000, 2_500_000, 1_000_000, (0.15, 0.075, 0.60)) == pytest.approx(0.375 + 0.1875 + 0.6)


def test_a_machine_reads_what_is_fresh_and_writes_the_answer() -> None:
    assert busy_hours(5_000_000, 2_500_000, 1_000_000, 2500, 50) == pytest.approx((1000 + 20_000) / 3600)
    assert busy_hours(10, 0, 10, 0, 0) == pytest.approx(20 / 3600)


def test_a_year_with_a_cloud_model() -> None:
    option = _options(YEAR)["openai"]
    assert option.total == pytest.approx(1.1625)
    assert option.per_session == pytest.approx(0.0011625)
    assert option.machines is None
    assert option.parts[0].formula == "(2,500,000 × 0.15 + 2,500,000 × 0.075 + 1,000,000 × 0.6) / 1,000,000"


def test_a_year_with_a_fine_tuned_model() -> None:
    given = replace(YEAR, tuned_prompt_share=0.8, trainings=4, training_tokens=3_000_000, training_price=3.0)
    calls, training = _options(given)["finetuned"].parts
    # 4 million prompt tokens, half cached: 2 × 0.30 + 2 × 0.15 + 1 × 1.20
    assert calls.amount == pytest.approx(2.1)
    assert training.amount == pytest.approx(36.0)


def test_a_year_with_an_own_gpu() -> None:
    given = replace(
        YEAR,
        gpu_prompt_speed=2500,
        gpu_answer_speed=50,
        gpu_price=2000,
        gpu_years=4,
        gpu_busy_watts=460,
        gpu_idle_watts=60,
        kwh_price=0.25,
        gpu_care_hours=10,
        hour_price=50,
    )
    option = _options(given)["gpu"]
    purchase, energy, care = (part.amount for part in option.parts)
    hours = 21_000 / 3600
    assert option.busy_hours == pytest.approx(hours)
    assert (option.machines, purchase, care) == (1, 500, 500)
    # the year at 60 W, and 400 W more while it computes
    assert energy == pytest.approx((8760 * 60 + hours * 400) / 1000 * 0.25)


def test_a_machine_that_is_there_anyway_costs_its_extra_power_and_its_care() -> None:
    option = _options(replace(YEAR, rag_prompt_speed=75, rag_answer_speed=28, rag_busy_watts=65))["rag"]
    hours = (2_500_000 / 75 + 1_000_000 / 28) / 3600
    assert option.busy_hours == pytest.approx(hours)
    assert [part.key for part in option.parts] == ["energy", "care"]
    assert option.parts[0].amount == pytest.approx(hours * 65 / 1000 * 0.25)


def test_more_sessions_than_one_machine_can_answer_take_more_machines() -> None:
    few, many = _options(YEAR)["gpu"], _options(replace(YEAR, sessions=1_000_000))["gpu"]
    assert few.machines == 1
    assert many.machines == -(-many.busy_hours // (8760 * 0.3))
    assert many.parts[0].amount == many.machines * 2500 / 4


def test_nothing_at_all_costs_no_more_than_the_machines() -> None:
    found = _options(replace(YEAR, sessions=0))
    assert found["openai"].total == found["openai"].per_session == 0


def test_every_assumption_is_on_the_page_once() -> None:
    shown = [name for _heading, names in _names() for name in names]
    assert sorted(shown) == sorted(LABELS)
    assert set(LABELS) == {item for item in Assumptions.__dataclass_fields__}


def _names() -> list[tuple[str, list[str]]]:
    form = CostsForm(data={})
    return [(str(heading), [field.name for field, _measured in found]) for heading, found in groups(form)]


@pytest.mark.django_db
def test_without_calls_the_usual_values_and_the_stored_prices_stand() -> None:
    given = CostsForm.of({}).assumptions()
    assert given.turns == Assumptions().turns
    assert (given.price_prompt, given.training_price, given.tuned_price_answer) == (0.15, 3.0, 1.2)


@pytest.mark.django_db
def test_what_was_measured_here_is_the_default_until_somebody_types(alice: Any) -> None:
    for _ in range(3):
        stored_call(started=days_ago(0, 0), user=alice, turn=uuid4())
    form = CostsForm.of({"prompt_tokens": "500"})
    given = form.assumptions()
    assert (given.turns, given.prompt_tokens, given.answer_tokens, given.cached_share) == (3, 500, 100, 0.4)
    assert form.measured_names == {"turns", "cached_share", "answer_tokens"}


@pytest.mark.django_db
def test_prices_of_another_model_are_taken_with_its_tuned_sister() -> None:
    from llm.models import Price

    price = Price.objects.get(model="openai:gpt-4.1-mini")
    given = CostsForm.of({"prices": str(price.pk), "sessions": "77", "price_prompt": "9"}).assumptions()
    assert (given.sessions, given.price_prompt, given.price_answer) == (77, 0.4, 1.6)
    assert (given.tuned_price_prompt, given.training_price) == (0.8, 5.0)


@pytest.mark.django_db
@pytest.mark.parametrize("typed", ["-1", "many", "", "nan", "1e400"])
def test_a_value_that_cannot_be_used_is_named_and_replaced(typed: str) -> None:
    form = CostsForm.of({"sessions": typed, "cached_share": "2", "prices": "nobody"})
    assert form.assumptions().sessions == Assumptions().sessions
    assert {"sessions", "cached_share"} == set(form.errors)
