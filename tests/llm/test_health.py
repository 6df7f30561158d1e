"""Records and the circuit breaker."""

from __future__ import annotations

import pytest

from llm import health
from llm.errors import FirstTokenTimeout, ModelUnavailable, RateLimited, ServerFailed
from llm.types import ModelId, Usage

MODEL = ModelId("openai", "m")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: now[0])
    return now


def test_a_model_that_does_not_answer_twice_is_left_alone_for_a_while(clock: list[float]) -> None:
    health.failed(MODEL, ModelUnavailable("down"))
    assert health.may_try(MODEL)
    health.failed(MODEL, FirstTokenTimeout("slow"))
    assert not health.may_try(MODEL)
    assert health.record(MODEL).last_error == "slow"
    clock[0] += health.OPEN_SECONDS - 0.1
    assert not health.may_try(MODEL)


def test_then_one_call_probes_and_a_success_closes_the_breaker(clock: list[float]) -> None:
    for _ in range(2):
        health.failed(MODEL, ModelUnavailable("down"))
    clock[0] += health.OPEN_SECONDS
    assert health.may_try(MODEL)
    assert not health.may_try(MODEL), "the others wait for the probe"
    health.succeeded(MODEL, Usage())
    assert health.may_try(MODEL)
    assert health.may_try(MODEL)
    assert health.record(MODEL).failures == 0


def test_a_failed_probe_opens_it_again(clock: list[float]) -> None:
    for _ in range(2):
        health.failed(MODEL, ModelUnavailable("down"))
    clock[0] += health.OPEN_SECONDS
    assert health.may_try(MODEL)
    health.failed(MODEL, ModelUnavailable("still down"))
    assert not health.may_try(MODEL)


def test_an_error_that_comes_at_once_does_not_open_it() -> None:
    for _ in range(5):
        health.failed(MODEL, ServerFailed("500"))
    assert health.may_try(MODEL)
    assert health.record(MODEL).failures == 5


def test_a_rate_limit_is_respected_but_for_a_minute_at_most(clock: list[float]) -> None:
    health.failed(MODEL, RateLimited("slow down", retry_after=3600))
    assert not health.may_try(MODEL)
    clock[0] += 60
    assert health.may_try(MODEL)


def test_speeds_are_moving_averages_of_calls_long_enough_to_tell() -> None:
    def call(fresh: int, speed: float) -> None:
        health.succeeded(
            MODEL, Usage(prompt_tokens=fresh + 50, cached_prompt_tokens=50, prompt_tokens_per_second=speed)
        )

    assert health.prompt_speed(MODEL) is None
    call(fresh=5, speed=3.0)
    assert health.prompt_speed(MODEL) is None
    call(fresh=100, speed=80.0)
    assert health.prompt_speed(MODEL) == 80.0
    call(fresh=100, speed=60.0)
    assert health.prompt_speed(MODEL) == pytest.approx(74.0)


def test_a_provider_that_measures_nothing_leaves_no_speed() -> None:
    health.succeeded(MODEL, Usage(prompt_tokens=100, completion_tokens=100))
    assert health.prompt_speed(MODEL) is None
    assert health.record(MODEL).completion_speed is None
