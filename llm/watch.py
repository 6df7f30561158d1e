"""What the models did: figures for the admin panel, from the sums of hours (last day) or days (longer).

Percentiles are read from histograms with the bounds of llm/rollup.py, by linear interpolation inside a bucket
(as Prometheus' histogram_quantile does), so they are approximate; what lies above 16 s is shown as 16 s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from django.db.models import Avg, Count, Q, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone

from .models import ModelCall
from .rollup import BOUNDS_MS, BUCKETS, Sums, first_open_day, start_of, stored, sums, today

PERIODS = (1, 7, 30)
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Figures:
    """Over some calls. Percentiles of the first token in seconds, None without one; `speed` in answer tokens a
    second over the whole call; `error_rate` from 0 to 1; cost in the currency of the prices."""

    calls: int = 0
    errors: int = 0
    fallbacks: int = 0
    error_rate: float = 0.0
    p50: float | None = None
    p95: float | None = None
    speed: float | None = None
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One model over the period, and in each of its steps (`Watch.steps`)."""

    model: str
    place: str
    total: Figures
    series: Sequence[Figures]


@dataclass(frozen=True, slots=True)
class CoachFigures:
    """One coach ('' for calls outside of a conversation) over the period and in each step."""

    coach: str
    total: Figures
    series: Sequence[Figures]


@dataclass(frozen=True, slots=True)
class Watch:
    """`steps` are the starts of hours (period of one day) or days, UTC; every series has one value for each."""

    days: int
    steps: Sequence[datetime]
    total: Figures
    series: Sequence[Figures]
    models: Sequence[ModelFigures]
    coaches: Sequence[CoachFigures]


def watch(days: int) -> Watch:
    """The last 24 hours (days=1), or the last `days` days with today. Two or three statements."""
    steps, found = _hours() if days == 1 else _days(days)
    grouped = _grouped(found, lambda item: item.model)
    places = {item.model: item.place for item in found}
    models = [ModelFigures(model, places[model], _figures(by), _series(steps, by)) for model, by in grouped.items()]
    coaches = [
        CoachFigures(coach, _figures(by), _series(steps, by))
        for coach, by in _grouped(found, lambda item: item.coach).items()
    ]
    return Watch(
        days=days,
        steps=steps,
        total=_figures(found),
        series=_series(steps, found),
        models=sorted(models, key=lambda item: -item.total.calls),
        coaches=sorted(coaches, key=lambda item: (-item.total.cost, -item.total.calls)),
    )


def by_model(found: Iterable[Sums]) -> list[Sums]:
    """One sum for each model, over all its steps and coaches."""
    merged: dict[str, Sums] = {}
    for item in found:
        _add(merged.setdefault(item.model, Sums(item.start, item.model, item.place)), item)
    return list(merged.values())


def percentile(histogram: Mapping[str, float], share: float) -> float | None:
    """Seconds below which `share` (0 to 1) of the first tokens came; None for an empty histogram."""
    counts = [float(histogram.get(bucket, 0)) for bucket in BUCKETS]
    total = sum(counts)
    if not total:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for bound, count in zip(BOUNDS_MS, counts, strict=False):
        if count and below + count >= wanted:
            return (lower + (bound - lower) * (wanted - below) / count) / 1000
        below, lower = below + count, float(bound)
    return BOUNDS_MS[-1] / 1000


def _hours() -> tuple[list[datetime], list[Sums]]:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    steps = [now - timedelta(hours=ago) for ago in range(23, -1, -1)]
    return steps, sums(steps[0], hourly=True)


def _days(days: int) -> tuple[list[datetime], list[Sums]]:
    first = today() - timedelta(days=days - 1)
    opened = max(first_open_day() or first, first)
    steps = [start_of(first + timedelta(days=offset)) for offset in range(days)]
    return steps, [*stored(first, opened), *sums(start_of(opened))]


def _grouped(found: Iterable[Sums], key: Callable[[Sums], K]) -> dict[K, list[Sums]]:
    groups: dict[K, list[Sums]] = defaultdict(list)
    for item in found:
        groups[key(item)].append(item)
    return groups


def _series(steps: Sequence[datetime], found: Iterable[Sums]) -> list[Figures]:
    by_step = _grouped(found, lambda item: item.start)
    return [_figures(by_step.get(step, [])) for step in steps]


def _figures(found: Sequence[Sums]) -> Figures:
    if not found:
        return Figures()
    total = Sums(found[0].start, "")
    for item in found:
        _add(total, item)
    return Figures(
        calls=total.calls,
        errors=total.errors,
        fallbacks=total.fallbacks,
        error_rate=total.errors / total.calls if total.calls else 0.0,
        p50=percentile(total.histogram, 0.5),
        p95=percentile(total.histogram, 0.95),
        speed=total.completion_tokens / total.seconds if total.completion_tokens and total.seconds else None,
        prompt_tokens=total.prompt_tokens,
        cached_prompt_tokens=total.cached_prompt_tokens,
        completion_tokens=total.completion_tokens,
        cost=total.cost,
    )


def _add(total: Sums, item: Sums) -> None:
    total.calls += item.calls
    total.errors += item.errors
    total.fallbacks += item.fallbacks
    total.prompt_tokens += item.prompt_tokens
    total.cached_prompt_tokens += item.cached_prompt_tokens
    total.completion_tokens += item.completion_tokens
    total.seconds += item.seconds
    total.cost += item.cost
    for bucket, count in item.histogram.items():
        total.histogram[bucket] = total.histogram.get(bucket, 0) + count


@dataclass(frozen=True, slots=True)
class Measured:
    """Averages of the last 30 days, None where nothing was measured. A session is one person's turns with one coach
    on one day (UTC). Speeds are those of models on this machine, in tokens a second."""

    turns: float | None
    prompt_tokens: float | None
    cached_share: float | None
    answer_tokens: float | None
    prompt_speed: float | None
    answer_speed: float | None


def measured() -> Measured:
    """What the calls that answered a turn were like; two statements."""
    answered = ModelCall.objects.filter(
        started__gte=start_of(today() - timedelta(days=29)), outcome="ok", turn__isnull=False
    ).order_by()
    local = Q(place="local")
    row = answered.aggregate(
        n_turns=Count("turn", distinct=True),
        prompt=Avg("prompt_tokens"),
        cached=Sum("cached_prompt_tokens"),
        prompts=Sum("prompt_tokens"),
        answer=Avg("completion_tokens"),
        reading=Avg("prompt_speed", filter=local),
        writing=Avg("completion_speed", filter=local),
    )
    sessions = answered.values("user", "coach", day=TruncDay("started", tzinfo=UTC)).distinct().count()
    return Measured(
        turns=row["n_turns"] / sessions if sessions else None,
        prompt_tokens=row["prompt"],
        cached_share=(row["cached"] or 0) / row["prompts"] if row["prompts"] else None,
        answer_tokens=row["answer"],
        prompt_speed=row["reading"],
        answer_speed=row["writing"],
    )
