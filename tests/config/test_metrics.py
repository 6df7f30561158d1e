"""`/metrics`: who may read it, and what it says about language models in Prometheus' own format."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from llm import metrics
from llm.models import ModelCall, ModelPull
from llm.rollup import roll_up
from tests.llm.books import days_ago, stored_call


@pytest.fixture(autouse=True)
def _counted_anew() -> None:
    metrics.forget()


def _samples(client: Client) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def _of(model: str, samples: dict[str, float], name: str, **labels: str) -> float:
    return samples[f"{name}{sorted({'model': model, **labels}.items())}"]


@pytest.mark.django_db
def test_strangers_read_nothing(client: Client) -> None:
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.1").status_code == 403
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="192.0.2.1").status_code == 403


@pytest.mark.django_db
def test_models_are_counted_over_forgotten_and_fresh_calls(client: Client) -> None:
    model = "openai:gpt-4o-mini"
    stored_call(started=days_ago(5), first_token_seconds=0.2)
    stored_call(started=days_ago(1), outcome="server", first_token_seconds=None, fallback_from="llamacpp")
    roll_up()
    ModelCall.objects.filter(started__lt=days_ago(2)).delete()
    stored_call(first_token_seconds=3.0)
    ModelPull.objects.create(model="qwen", state="done")
    samples = _samples(client)
    assert _of(model, samples, "coach_model_calls_total", outcome="ok") == 2
    assert _of(model, samples, "coach_model_calls_total", outcome="error") == 1
    assert _of(model, samples, "coach_model_fallbacks_total") == 1
    assert _of(model, samples, "coach_model_tokens_total", kind="prompt") == 3000
    assert _of(model, samples, "coach_model_cost_total") == pytest.approx(0.00054)
    name = "coach_model_first_token_seconds"
    assert [_of(model, samples, f"{name}_bucket", le=bound) for bound in ("0.1", "0.25", "2.0", "4.0", "+Inf")] == [
        0,
        1,
        1,
        2,
        2,
    ]
    assert _of(model, samples, f"{name}_count") == 2
    assert _of(model, samples, f"{name}_sum") == pytest.approx(3.2)
    assert samples["coach_model_pulls[('state', 'done')]"] == 1


@pytest.mark.django_db
def test_a_second_scrape_asks_little(client: Client, django_assert_max_num_queries: Any) -> None:
    stored_call()
    _samples(client)
    with django_assert_max_num_queries(5):
        _samples(client)


@pytest.mark.django_db
def test_an_installation_without_calls_is_fine(client: Client) -> None:
    assert not [name for name in _samples(client) if name.startswith("coach_model_calls_total")]
