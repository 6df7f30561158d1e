"""The calendar of long jobs: a month of exports, data sets, fine-tunes, comparisons and evaluations."""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.admin import site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.formats import get_format
from django.utils.translation import gettext as _

from . import long_jobs
from .long_jobs import KINDS, LongJob
from .models import FineTune

SHOWN_A_DAY = 5
FIRST_YEAR, LAST_YEAR = 2000, 2100
DOTS = {
    "done": "ready",
    "frozen": "ready",
    "review": "pending",
    "waiting": "pending",
    "running": "processing",
    "building": "processing",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A job on a day: it began then, or it is the day on which it ended."""

    job: LongJob
    kind: str
    dot: str
    moment: datetime
    ends: bool


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    inside: bool
    today: bool
    entries: Sequence[Entry]
    more: Sequence[Entry]


def calendar_view(request: HttpRequest) -> HttpResponse:
    """`?month=2026-11`, `?kind=finetune` (several)."""
    allowed = {name: kind for name, kind in KINDS.items() if request.user.has_perm(kind.permission)}
    if not allowed:
        raise PermissionDenied
    first = _month(request.GET.get("month", ""))
    chosen = [name for name in request.GET.getlist("kind") if name in allowed]
    weeks = _weeks(request.user, first, chosen or list(allowed))
    kinds = [(name, kind.label, name in chosen) for name, kind in allowed.items()]
    context = {
        "title": _("Calendar of jobs"),
        "month": first,
        "before": _neighbour(first, -1),
        "after": _neighbour(first, 1),
        "weeks": weeks,
        "weekdays": weeks[0],
        "kinds": kinds,
        "query": "".join(f"&kind={name}" for name in chosen),
        "empty": not any(day.entries for week in weeks for day in week),
    }
    request.current_app = site.name
    frame = {**site.each_context(request), "opts": FineTune._meta}
    return TemplateResponse(request, "admin/training/calendar.html", {**frame, **context})


def _month(text: str) -> date:
    """The first day of `2026-11`; of this month for anything else."""
    try:
        found = datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        found = timezone.localdate()
    return found.replace(day=1, year=min(max(found.year, FIRST_YEAR), LAST_YEAR))


def _neighbour(first: date, step: int) -> str:
    other = first + timedelta(days=31) if step > 0 else first - timedelta(days=1)
    return other.strftime("%Y-%m")


def _weeks(user: Any, first: date, kinds: Sequence[str]) -> list[list[Day]]:
    week_begins = (int(get_format("FIRST_DAY_OF_WEEK")) - 1) % 7
    weeks = calendar.Calendar(week_begins).monthdatescalendar(first.year, first.month)
    since, until = _midnight(weeks[0][0]), _midnight(weeks[-1][-1] + timedelta(days=1))
    found: dict[date, list[Entry]] = {}
    for job in long_jobs.between(user, since, until):
        if job.kind in kinds:
            for entry in _entries(job):
                found.setdefault(timezone.localtime(entry.moment).date(), []).append(entry)
    today = timezone.localdate()
    return [[_day(day, first.month, today, found.get(day, [])) for day in week] for week in weeks]


def _entries(job: LongJob) -> list[Entry]:
    """On the day it began, and once more on another day on which it ended."""
    label, dot = str(KINDS[job.kind].label), DOTS.get(job.state, "")
    entries = [Entry(job, label, dot, job.created, ends=False)]
    if job.finished and timezone.localtime(job.finished).date() != timezone.localtime(job.created).date():
        entries.append(Entry(job, label, dot, job.finished, ends=True))
    return entries


def _day(day: date, month: int, today: date, entries: list[Entry]) -> Day:
    entries = sorted(entries, key=lambda entry: entry.moment)
    return Day(day, day.month == month, day == today, entries[:SHOWN_A_DAY], entries[SHOWN_A_DAY:])


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
