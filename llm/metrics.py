"""What `/metrics` says about language models, for Prometheus: counters over everything since the first call.

They come from the sums of CallDay, read once an hour, and the calls of the days that are not closed yet, so a
scrape costs the same however old the installation is. Within ten seconds nothing is asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from django.db.models import Count

from .models import ModelPull
from .rollup import BOUNDS_MS, MORE, Sums, first_open_day, start_of, stored, sums
from .watch import by_model

if TYPE_CHECKING:
    from prometheus_client.core import Metric

REMEMBERED_SECONDS = 10.0
CLOSED_SECONDS = 3600.0
_remembered: tuple[float, list[Sums]] | None = None
_closed: tuple[float, date, list[Sums]] | None = None
_lock = threading.Lock()


class ModelMetrics:
    """A collector for prometheus_client; `labels` are the model as `provider:name`."""

    def collect(self) -> Iterator[Metric]:
        found = _sums()
        yield from _counters(found)
        yield _first_tokens(found)
        yield _pulls()


def forget() -> None:
    """Count anew at the next scrape."""
    global _remembered, _closed
    _remembered = _closed = None


def _sums() -> list[Sums]:
    global _remembered
    with _lock:
        now = time.monotonic()
        if _remembered is None or now - _remembered[0] > REMEMBERED_SECONDS:
            first = first_open_day()
            open_days = sums(start_of(first or date(2000, 1, 1)))
            _remembered = (now, by_model([*(_closed_days(first) if first else ()), *open_days]))
        return _remembered[1]


def _closed_days(before: date) -> list[Sums]:
    global _closed
    now = time.monotonic()
    if _closed is None or _closed[1] != before or now - _closed[0] > CLOSED_SECONDS:
        _closed = (now, before, by_model(stored(date.min, before)))
    return _closed[2]


def _counters(found: list[Sums]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    calls = CounterMetricFamily("coach_model_calls", "Calls of a language model", labels=["model", "outcome"])
    fallbacks = CounterMetricFamily(
        "coach_model_fallbacks", "Calls made because another model failed", labels=["model"]
    )
    tokens = CounterMetricFamily(
        "coach_model_tokens", "Tokens, cached ones are part of prompt", labels=["model", "kind"]
    )
    cost = CounterMetricFamily("coach_model_cost", "Cost in the currency of the prices", labels=["model"])
    for item in found:
        calls.add_metric([item.model, "ok"], item.calls - item.errors)
        calls.add_metric([item.model, "error"], item.errors)
        fallbacks.add_metric([item.model], item.fallbacks)
        tokens.add_metric([item.model, "prompt"], item.prompt_tokens)
        tokens.add_metric([item.model, "cached"], item.cached_prompt_tokens)
        tokens.add_metric([item.model, "answer"], item.completion_tokens)
        cost.add_metric([item.model], float(item.cost))
    yield from (calls, fallbacks, tokens, cost)


def _first_tokens(found: list[Sums]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        "coach_model_first_token_seconds", "Seconds from the call to the first token", labels=["model"]
    )
    for item in found:
        reached, buckets = 0.0, []
        for bound in BOUNDS_MS:
            reached += item.histogram.get(str(bound), 0)
            buckets.append((str(bound / 1000), reached))
        buckets.append(("+Inf", reached + item.histogram.get(MORE, 0)))
        family.add_metric([item.model], buckets, item.histogram.get("sum_ms", 0) / 1000)
    return family


def _pulls() -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily("coach_model_pulls", "Downloads of models by state", labels=["state"])
    for row in ModelPull.objects.order_by().values("state").annotate(n=Count("pk")):
        family.add_metric([row["state"]], row["n"])
    return family
