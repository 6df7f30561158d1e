"""The funnel for its page: counted at once while there are few turns, else as it was counted some minutes ago.

page ─► kept ─► few turns: counted here
            └─► many: the row; when it is older than FRESH the edge has a worker count it again (recount)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from coach.models import Turn

from ..models import FunnelCount
from .funnel import Among, Step, count, steps_of

FEW = 50_000  # turns: counted in less than half a second
FRESH = timedelta(minutes=5)
WAIT = timedelta(minutes=2)  # after that it is asked for again: its worker or its message was lost


@dataclass(frozen=True, slots=True)
class Kept:
    """counted: when, None where it was never counted. old: newer ones are on their way; due: a worker must be asked."""

    steps: Sequence[Step]
    counted: datetime | None
    old: bool = False
    due: bool = False


def kept(*, days: int, coach: str, language: str) -> Kept:
    """Counts of this choice; asking for newer ones is noted here, so that only one worker is asked."""
    now = timezone.now()
    if Turn.objects.order_by()[: FEW + 1].count() <= FEW:
        return Kept(steps_of(count(_among(days, coach, language))), now)
    row, _new = FunnelCount.objects.get_or_create(days=days, coach=coach, language=language)
    if row.counted is not None and now - row.counted < FRESH:
        return Kept(steps_of(row.steps), row.counted)
    free = FunnelCount.objects.filter(Q(asked=None) | Q(asked__lt=now - WAIT), pk=row.pk)
    due = bool(free.update(asked=now))
    return Kept(steps_of(row.steps), row.counted, old=True, due=due)


def recount(*, days: int, coach: str, language: str) -> None:
    """Count it now and keep it; seconds for a million turns."""
    steps, now = count(_among(days, coach, language)), timezone.now()
    rows = FunnelCount.objects.filter(days=days, coach=coach, language=language)
    rows.update(steps=steps, counted=now, asked=None)


def _among(days: int, coach: str, language: str) -> Among:
    return Among(timezone.now() - timedelta(days=days) if days else None, coach, language)
