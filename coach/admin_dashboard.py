"""What the operator sees first: how the coach is doing, in figures from the database.

Whether the servers answer is asked by the page itself from `/readyz` (static/admin-coach/dashboard.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Avg, Count, Q, QuerySet
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from knowledge.admin_reads import document_figures

from .models import Rating, Turn

DAYS_SHOWN = 14
# A runner looks for work each second and the sweeper each five: longer than this, nobody is answering.
TURN_OVERDUE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Day:
    """Turns of one day; `percent` is relative to the busiest day shown."""

    day: date
    turns: int
    failed: int
    percent: int


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """`week` counts the last seven days, today included; `overdue` turns wait and nobody answers them."""

    today: int
    yesterday: int
    week: int
    failed: int
    uncovered: int
    overdue: int
    mean_rating: float | None
    ratings: int
    days: Sequence[Day]
    last: Turn | None
    failures: Sequence[Turn]


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def turn_figures() -> TurnFigures:
    today = timezone.localdate()
    week = Q(created__gte=_start_of(today - timedelta(days=6)))
    overdue = Q(state__in=(Turn.State.PENDING, Turn.State.RUNNING), created__lt=timezone.now() - TURN_OVERDUE)
    counts = Turn.objects.aggregate(
        today=Count("pk", filter=Q(created__gte=_start_of(today))),
        yesterday=Count(
            "pk", filter=Q(created__gte=_start_of(today - timedelta(days=1)), created__lt=_start_of(today))
        ),
        week=Count("pk", filter=week),
        failed=Count("pk", filter=week & Q(state=Turn.State.FAILED)),
        uncovered=Count("pk", filter=week & Q(state=Turn.State.DONE, grounded=False, safety="")),
        overdue=Count("pk", filter=overdue & (Q(lease_until=None) | Q(lease_until__lt=timezone.now()))),
    )
    rated = Rating.objects.filter(updated__gte=_start_of(today - timedelta(days=29)))
    ratings = rated.aggregate(mean=Avg("rating"), n=Count("pk"))
    return TurnFigures(
        **counts,
        mean_rating=ratings["mean"],
        ratings=ratings["n"],
        days=_days(today),
        last=_without_text().filter(state=Turn.State.DONE).order_by("-created").first(),
        failures=list(_without_text().filter(week, state=Turn.State.FAILED).order_by("-created")[:5]),
    )


def _without_text() -> QuerySet[Turn]:
    """What people wrote stays in the database."""
    return Turn.objects.select_related("conversation__coach").defer("question", "answer", "conversation__title")


def _days(today: date) -> list[Day]:
    first = today - timedelta(days=DAYS_SHOWN - 1)
    rows = (
        Turn.objects.filter(created__gte=_start_of(first))
        .order_by()
        .values(day=TruncDate("created"))
        .annotate(n=Count("pk"), failed=Count("pk", filter=Q(state=Turn.State.FAILED)))
    )
    found = {row["day"]: (row["n"], row["failed"]) for row in rows}
    busiest = max((turns for turns, _failed in found.values()), default=0) or 1
    days = [first + timedelta(days=offset) for offset in range(DAYS_SHOWN)]
    counted = [(day, *found.get(day, (0, 0))) for day in days]
    return [Day(day, turns, failed, round(100 * turns / busiest)) for day, turns, failed in counted]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """DASHBOARD_CALLBACK of Unfold: adds the figures that this person may see."""
    context["title"] = _("Overview")
    if request.user.has_perm("coach.view_turn"):
        context["turns"] = turn_figures()
    if request.user.has_perm("knowledge.view_document"):
        context["documents"] = document_figures()
    return context
