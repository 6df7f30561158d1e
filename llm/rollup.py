"""Sums of calls: by hour or day (UTC), model and coach; kept for good in CallDay, while calls are forgotten."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Max, Min, Q, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from .live import GOOD_OUTCOMES
from .models import CallDay, Limit, ModelCall

log = logging.getLogger(__name__)

BOUNDS_MS = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)
MORE = "+"
BUCKETS = (*(str(bound) for bound in BOUNDS_MS), MORE)
_SUMS = (
    "calls",
    "errors",
    "fallbacks",
    "prompt_tokens",
    "cached_prompt_tokens",
    "completion_tokens",
    "seconds",
    "cost",
)


@dataclass(slots=True)
class Sums:
    """Calls of one hour or day in sums. `histogram`: first tokens by upper bound in ms, and `sum_ms` over them all."""

    start: datetime
    model: str
    place: str = ""
    coach: str = ""
    calls: int = 0
    errors: int = 0
    fallbacks: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost: Decimal = Decimal(0)
    histogram: dict[str, float] = field(default_factory=dict)


def today() -> date:
    return timezone.now().astimezone(UTC).date()


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def sums(since: datetime, until: datetime | None = None, *, hourly: bool = False) -> list[Sums]:
    """The calls from `since` to before `until`, as the calls themselves tell; one statement."""
    truncated = TruncHour("started", tzinfo=UTC) if hourly else TruncDay("started", tzinfo=UTC)
    calls = ModelCall.objects.filter(started__gte=since)
    if until is not None:
        calls = calls.filter(started__lt=until)
    # Names with `n_`: an annotation must not be called as a field.
    rows = (
        calls.order_by()
        .values("model", "coach", start=truncated)
        .annotate(n_place=Max("place"), **_aggregates())
        .order_by("start", "model", "coach")
    )
    return [_sums(row) for row in rows]


def stored(since: date, until: date) -> list[Sums]:
    """The days from `since` to before `until`, from CallDay."""
    return [
        Sums(
            start=start_of(row.day),
            model=row.model,
            place=row.place,
            coach=row.coach,
            histogram=row.histogram,
            **{name: getattr(row, name) for name in _SUMS},
        )
        for row in CallDay.objects.filter(day__gte=since, day__lt=until).order_by("day", "model", "coach")
    ]


def first_open_day() -> date | None:
    """Days before this one are complete in CallDay; None when nothing was rolled up yet."""
    latest: date | None = CallDay.objects.aggregate(latest=Max("day"))["latest"]
    return None if latest is None else min(latest, today())


def roll_up() -> int:
    """Write the sums of yesterday and today, and of earlier days that were missed; how many rows. Idempotent."""
    first: datetime | None = ModelCall.objects.aggregate(first=Min("started"))["first"]
    if first is None:
        return 0
    since = min(first_open_day() or first.astimezone(UTC).date(), today() - timedelta(days=1))
    return _store(sums(start_of(since)))


def forget() -> int:
    """Delete calls older than LLM_CALL_DAYS, whole days, each after its sums were written; how many calls.

    While a limit counts by the month, the running month's calls stay: a limit is counted from them.
    """
    before = today() - timedelta(days=settings.LLM_CALL_DAYS)
    if Limit.objects.filter(period=Limit.Period.MONTH).exists():
        before = min(before, today().replace(day=1))
    deleted = 0
    while (oldest := ModelCall.objects.aggregate(first=Min("started"))["first"]) is not None:
        day = oldest.astimezone(UTC).date()
        if day >= before:
            break
        start, end = start_of(day), start_of(day + timedelta(days=1))
        with transaction.atomic():
            _store(sums(start, end))
            deleted += ModelCall.objects.filter(started__gte=start, started__lt=end).delete()[0]
    return deleted


def _store(found: list[Sums]) -> int:
    rows = [
        CallDay(
            day=item.start.date(),
            model=item.model,
            place=item.place,
            coach=item.coach,
            histogram=item.histogram,
            **{name: getattr(item, name) for name in _SUMS},
        )
        for item in found
    ]
    CallDay.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["day", "model", "coach"],
        update_fields=["place", "histogram", *_SUMS],
        batch_size=200,
    )
    return len(rows)


def _aggregates() -> dict[str, Any]:
    counts: dict[str, Any] = {
        "n_calls": Count("pk"),
        "n_errors": Count("pk", filter=~Q(outcome__in=GOOD_OUTCOMES)),
        "n_fallbacks": Count("pk", filter=~Q(fallback_from="")),
        "n_sum_ms": Sum(F("first_token_seconds") * 1000.0),
    }
    for name in _SUMS[3:]:
        counts[f"n_{name}"] = Sum(name)
    lower = 0.0
    for bound in BOUNDS_MS:
        within = Q(first_token_seconds__lte=bound / 1000)
        counts[f"n_{bound}"] = Count("pk", filter=within & Q(first_token_seconds__gt=lower) if lower else within)
        lower = bound / 1000
    counts["n_plus"] = Count("pk", filter=Q(first_token_seconds__gt=lower))
    return counts


def _sums(row: Any) -> Sums:
    counted = {**{str(bound): row[f"n_{bound}"] for bound in BOUNDS_MS}, MORE: row["n_plus"]}
    values: dict[str, Any] = {name: row[f"n_{name}"] or 0 for name in _SUMS}
    return Sums(
        start=row["start"],
        model=row["model"],
        place=row["n_place"],
        coach=row["coach"],
        histogram=counted | {"sum_ms": round(row["n_sum_ms"] or 0.0, 3)},
        **values,
    )
