"""Downloads that a worker does: rows of ModelPull, and who may move them from state to state.

    waiting ──claim──► running ──────────────► done | failed | cancelled
       ▲                  │
       ├── slice is over ─┤   nothing lost: the same download goes on in the next slice
       └── worker lost ───┘   its heart stopped: again, at most ATTEMPTS times in all

A download may take hours, and the embedded worker does one task at a time. So a task fetches for SLICE_SECONDS at
the most (longer only for a wheel that would be lost, and for the final check) and queues itself again behind what
else waits: indexing goes on between two slices.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from .download import AlreadyFetching, Cancelled, DownloadCut, DownloadError, NoNetwork, Paused, Progress
from .errors import UnknownModel
from .fetching import fetch_model, refuse_early, wanted
from .local_errors import NotFound, NotPulling
from .models import ModelPull

log = logging.getLogger(__name__)
State = ModelPull.State

SLICE_SECONDS = 20.0
WRITE_SECONDS = 0.5
ATTEMPTS = 3
# No progress for so long: its worker is lost. Longer than any wait for a network (llm/download).
LOST = timedelta(seconds=180)
# Waiting for so long: its message is lost, or another process had the file.
FORGOTTEN = timedelta(seconds=25)
UNFINISHED = (State.WAITING, State.RUNNING)


def ask(*, model: str) -> ModelPull:
    """The row that a worker will fetch; the one that is on its way already when there is one.

    Raises UnknownModel, NoNetwork, NotEnoughDisk.
    """
    name = wanted(model)
    with transaction.atomic():
        running = ModelPull.objects.filter(model=str(name), state__in=UNFINISHED, cancel_requested=False).first()
        if running is not None:
            return running
        refuse_early(name)
        size = name.entry.bytes if name.entry else 0
        return ModelPull.objects.create(model=str(name), bytes_total=size or None, language=get_language() or "en")


def get(pull_id: UUID) -> ModelPull:
    found = ModelPull.objects.filter(pk=pull_id).first()
    if found is None:
        raise NotFound
    return found


def recent(limit: int = 20) -> Sequence[ModelPull]:
    """Those that are not over, then the newest."""
    unfinished = ModelPull.objects.filter(state__in=UNFINISHED).order_by("created")
    return [*unfinished, *ModelPull.objects.exclude(state__in=UNFINISHED).order_by("-created")[:limit]]


def cancel(*, pull_id: UUID) -> ModelPull:
    """Ask for the end: at once when it waits, within a second when a worker is at it. Raises NotFound, NotPulling."""
    rows = ModelPull.objects.filter(pk=pull_id)
    waiting = rows.filter(state=State.WAITING)
    if not waiting.update(state=State.CANCELLED, cancel_requested=True, finished=timezone.now()):
        asked = rows.filter(state=State.RUNNING).update(cancel_requested=True)
        if not asked and get(pull_id).state != State.CANCELLED:
            raise NotPulling
    return get(pull_id)


def run_slice(*, pull_id: UUID) -> bool:
    """Fetch for a while; True when it goes on in another slice at once."""
    if not _claim(pull_id):
        return False
    row = get(pull_id)
    with override(row.language):
        return _run(row)


def _run(row: ModelPull) -> bool:
    pull_id, watch = row.pk, _Watch(row.pk)
    try:
        fetch_model(wanted(row.model), watch.see, wait=False)
    except Paused:
        return _back(pull_id)
    except AlreadyFetching:
        _back(pull_id)  # by hand on the command line, perhaps; the sweeper asks again
    except Cancelled:
        _end(pull_id, State.CANCELLED)
    except (DownloadCut, NoNetwork) as error:
        _later_or_never(row, error)
    except (DownloadError, UnknownModel) as error:
        _end(pull_id, State.FAILED, error)
    else:
        watch.end()
        _end(pull_id, State.DONE)
    return False


def forgotten() -> list[UUID]:
    """Downloads to hand out again; what was lost ATTEMPTS times or cancelled meanwhile is ended here."""
    now = timezone.now()
    lost = ModelPull.objects.filter(state=State.RUNNING).filter(Q(beat=None) | Q(beat__lt=now - LOST))
    lost.filter(cancel_requested=True).update(state=State.CANCELLED, finished=now)
    for row in lost.filter(attempts__gte=ATTEMPTS):
        with override(row.language):
            error = _("The worker that fetched it stopped again and again; look into its log and try again.")
        lost.filter(pk=row.pk).update(state=State.FAILED, error_code="lost", error=error, finished=now)
    waiting = Q(state=State.WAITING) & (Q(beat__lt=now - FORGOTTEN) | Q(beat=None, created__lt=now - FORGOTTEN))
    found = ModelPull.objects.filter(waiting | Q(pk__in=lost.values("pk")))
    return list(found.order_by("created").values_list("pk", flat=True))


def _claim(pull_id: UUID) -> bool:
    """Compare and set: only one worker gets it. A first start and each start after a loss count as attempts."""
    now = timezone.now()
    rows = ModelPull.objects.filter(pk=pull_id, cancel_requested=False)
    again = rows.filter(state=State.WAITING, attempts__gt=0).update(state=State.RUNNING, beat=now)
    if again:
        return True
    fresh = Q(state=State.WAITING, attempts=0)
    lost = Q(state=State.RUNNING, attempts__lt=ATTEMPTS) & (Q(beat=None) | Q(beat__lt=now - LOST))
    return bool(rows.filter(fresh | lost).update(state=State.RUNNING, beat=now, attempts=F("attempts") + 1))


def _back(pull_id: UUID) -> bool:
    """To the queue, unless it was cancelled in the last moment."""
    rows = ModelPull.objects.filter(pk=pull_id, state=State.RUNNING)
    if rows.filter(cancel_requested=True).update(state=State.CANCELLED, finished=timezone.now()):
        return False
    return bool(rows.update(state=State.WAITING, beat=timezone.now()))


def _later_or_never(row: ModelPull, error: DownloadError) -> None:
    """A network that was there comes back: the sweeper tries again, at most ATTEMPTS times. Else it is said at once."""
    here = get(row.pk)
    if here.bytes_done == 0 or here.attempts >= ATTEMPTS:
        return _end(row.pk, State.FAILED, error)
    ModelPull.objects.filter(pk=row.pk).update(attempts=F("attempts") + 1)
    _back(row.pk)
    return None


def _end(pull_id: UUID, state: ModelPull.State, error: Exception | None = None) -> None:
    if error is not None:
        log.warning("a model could not be fetched: %s", error)
    ModelPull.objects.filter(pk=pull_id, state=State.RUNNING).update(
        state=state,
        error_code=getattr(error, "code", ""),
        error=str(error) if error else "",
        finished=timezone.now(),
    )


class _Watch:
    """Writes progress and heartbeat twice a second, sees a cancellation there, and ends the slice in time."""

    def __init__(self, pull_id: UUID) -> None:
        self._rows = ModelPull.objects.filter(pk=pull_id, state=State.RUNNING)
        self._until = time.monotonic() + SLICE_SECONDS
        self._written = 0.0
        self._first: int | None = None
        self._total = 0

    def see(self, progress: Progress) -> None:
        now = time.monotonic()
        self._total = progress.total or self._total
        self._first = progress.done if self._first is None else self._first
        # A slice that brought nothing would end again and again.
        over = progress.safe and now >= self._until and progress.done > self._first
        if not over and now - self._written < WRITE_SECONDS:
            return
        self._written = now
        values: dict[str, Any] = {"beat": timezone.now()}
        if progress.total and progress.stage == "download":
            values |= {"bytes_total": progress.total, "bytes_done": progress.done}
        if not self._rows.filter(cancel_requested=False).update(**values):
            raise Cancelled
        if over:
            raise Paused

    def end(self) -> None:
        """All of it is here."""
        self._rows.update(bytes_total=self._total or F("bytes_total"))
        self._rows.filter(bytes_total__gt=0).update(bytes_done=F("bytes_total"))
