"""The life of a comparison (a Comparison row): who may move it from state to state.

    waiting ──claim──► running ──────────────► done | failed | cancelled
       ▲                  │
       ├── slice is over ─┤   queues behind what else waits
       ├── worker lost ───┘   its lease runs out; what was answered is there as pairs of answers, the rest goes on
       └── retry ──────────────────────────────────── failed | cancelled (services.py)

Everything a holder writes is written only while the lease is its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from training.models import Comparison

State = Comparison.State
LEASE = timedelta(seconds=180)  # longer than two answers, their losses and two judgements take
FORGOTTEN = timedelta(seconds=30)


class Left(Exception):
    """The worker must let go: cancelled, or another worker has it."""


def claim(comparison_id: int) -> Comparison | None:
    """Compare and set: only one worker gets it."""
    now = timezone.now()
    free = Q(state=State.WAITING) | (Q(state=State.RUNNING) & (Q(lease_until=None) | Q(lease_until__lt=now)))
    rows = Comparison.objects.filter(free, pk=comparison_id)
    if rows.filter(cancel_requested=True).update(state=State.CANCELLED, finished=now, lease_owner="", lease_until=None):
        return None
    owner = uuid.uuid4().hex
    if not rows.update(state=State.RUNNING, lease_owner=owner, lease_until=now + LEASE):
        return None
    return Comparison.objects.select_related("candidate", "dataset").get(pk=comparison_id, lease_owner=owner)


def progress(comparison: Comparison, *, done: int, total: int) -> None:
    """Raises Left; a cancelled one is ended here."""
    now = timezone.now()
    rows = _mine(comparison)
    if rows.filter(cancel_requested=True).update(state=State.CANCELLED, finished=now, lease_owner="", lease_until=None):
        raise Left
    if not rows.update(done=done, total=total, lease_until=now + LEASE):
        raise Left


def release(comparison: Comparison) -> bool:
    """To the queue again; False when it is no longer ours."""
    return bool(_mine(comparison).update(state=State.WAITING, lease_owner="", lease_until=timezone.now()))


def finish(comparison: Comparison, *, figures: Mapping[str, Any], gates: Mapping[str, Any], passed: bool) -> None:
    ended = {"finished": timezone.now(), "lease_owner": "", "lease_until": None}
    _mine(comparison).update(state=State.DONE, figures=dict(figures), gates=dict(gates), passed=passed, **ended)


def fail(comparison: Comparison, sentence: str) -> None:
    ended = {"finished": timezone.now(), "lease_owner": "", "lease_until": None}
    _mine(comparison).update(state=State.FAILED, error=sentence, **ended)


def forgotten() -> list[int]:
    """Comparisons to hand out: their worker was lost, or their message."""
    now = timezone.now()
    lost = Q(state=State.RUNNING) & (Q(lease_until=None) | Q(lease_until__lt=now))
    new = Q(lease_until=None, created__lt=now - FORGOTTEN)
    waiting = Q(state=State.WAITING) & (Q(lease_until__lt=now - FORGOTTEN) | new)
    return list(Comparison.objects.filter(lost | waiting).order_by("created").values_list("pk", flat=True))


def _mine(comparison: Comparison) -> Any:
    return Comparison.objects.filter(pk=comparison.pk, state=State.RUNNING, lease_owner=comparison.lease_owner)
