"""How ratings go: their mean by week for each coach, language and model, and the reasons given with them by month.

SQL groups; Python only lays the groups side by side. Nobody's text is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models import Count, Sum
from django.db.models.functions import TruncMonth, TruncWeek
from django.utils import timezone

from coach.models import Coach, Rating

from .desk import reason_texts

WEEKS = (13, 26, 52)
MONTHS = 12
MOST_LINES = 5  # colours of a chart
BY = {
    "coach": "turn__conversation__coach",
    "language": "turn__language",
    "model": "turn__model",
}


@dataclass(frozen=True, slots=True)
class Line:
    """means: for each week, None without a rating; counts: how many ratings it had."""

    name: str
    means: Sequence[float | None]
    counts: Sequence[int]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Trend:
    """lines: those with most ratings, at most MOST_LINES; left_out: how many others there are."""

    weeks: Sequence[date]
    lines: Sequence[Line]
    left_out: int


@dataclass(frozen=True, slots=True)
class Reasons:
    """By reason, how often it was given in each month."""

    months: Sequence[date]
    counts: Mapping[str, Sequence[int]]


def trends(weeks: int) -> dict[str, Trend]:
    """By each key of BY. A rating counts in the week in which it was last set."""
    first = _monday(timezone.localdate()) - timedelta(weeks=weeks - 1)
    rows = (
        Rating.objects.filter(updated__gte=_start_of(first))
        .order_by()
        .values_list(*BY.values(), TruncWeek("updated"))
        .annotate(total=Sum("rating"), n=Count("pk"))
    )
    sums: dict[str, dict[object, dict[date, tuple[int, int]]]] = {by: defaultdict(dict) for by in BY}
    for *keys, week, total, n in rows:
        for by, key in zip(BY, keys, strict=True):
            before = sums[by][key].get(week.date(), (0, 0))
            sums[by][key][week.date()] = (before[0] + total, before[1] + n)
    shown = [first + timedelta(weeks=n) for n in range(weeks)]
    return {by: _trend(shown, groups, _names(by)) for by, groups in sums.items()}


def _trend(
    weeks: Sequence[date], groups: Mapping[object, Mapping[date, tuple[int, int]]], names: Mapping[object, str]
) -> Trend:
    lines = [
        Line(
            str(names.get(key, key)) or "–",
            [sums[week][0] / sums[week][1] if week in sums else None for week in weeks],
            [sums[week][1] if week in sums else 0 for week in weeks],
        )
        for key, sums in groups.items()
    ]
    lines.sort(key=lambda line: (-line.total, line.name))
    return Trend(weeks, lines[:MOST_LINES], max(0, len(lines) - MOST_LINES))


def _names(by: str) -> Mapping[object, str]:
    if by == "coach":
        return dict(Coach.objects.values_list("pk", "name"))
    return dict(settings.LANGUAGES) if by == "language" else {}


def reasons_by_month() -> Reasons:
    """Ratings are grouped by all of their reasons at once, so that SQL counts and few rows come back."""
    months = _months(timezone.localdate().replace(day=1))
    rows = (
        Rating.objects.filter(updated__gte=_start_of(months[0]))
        .exclude(reasons=[])
        .order_by()
        .values_list("reasons", TruncMonth("updated"))
        .annotate(n=Count("pk"))
    )
    found: dict[str, Counter[date]] = defaultdict(Counter)
    for reasons, month, n in rows:
        for reason in reasons:
            found[reason][month.date()] += n
    slugs = sorted(found, key=lambda slug: (-found[slug].total(), slug))
    texts = reason_texts(slugs)
    return Reasons(
        months, {text: [found[slug][month] for month in months] for slug, text in zip(slugs, texts, strict=True)}
    )


def _months(last: date) -> list[date]:
    """Their first days, the oldest first."""
    found = [last]
    while len(found) < MONTHS:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found[::-1]


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime(day.year, day.month, day.day))
