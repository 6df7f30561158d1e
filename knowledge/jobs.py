"""Long work of a worker, seen and cancelled from the admin: rows of Job, and who may move them from state to state.

    waiting ──claim──► running ──────────────► done | failed | cancelled
       ▲                  │
       ├── slice is over ─┤   the cursor says where the next slice goes on
       └── worker lost ───┘   its heart stopped: again, at most ATTEMPTS times without progress

As in llm/pulls.py the embedded worker does one task at a time, so a task works for SLICE_SECONDS and queues itself
again behind what else waits. What a step found and the cursor behind it are committed together, under the claim's
name: a worker that was killed or thought dead leaves nothing twice.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from .errors import IndexUnavailable
from .models import Job, KnowledgeBase
from .wake import job_soon

log = logging.getLogger(__name__)
State = Job.State

SLICE_SECONDS = 20.0
BEAT_SECONDS = 0.5
ATTEMPTS = 3
# No sign of life for so long: its worker is lost. Longer than any step between two beats.
LOST = timedelta(seconds=120)
# Waiting for so long: its message is lost.
FORGOTTEN = timedelta(seconds=25)
UNFINISHED = (State.WAITING, State.RUNNING)

GAVE_UP = gettext_noop("The worker stopped three times at the same place; look into its log and try again.")
NOTHING_INDEXED = gettext_noop("This knowledge base has no passages yet; upload documents first.")
NO_INDEX = gettext_noop("The vector index does not answer; try again when it does.")


class JobFailed(Exception):
    """Work that cannot be done; `sentence` is English and translated where it is shown."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class Cancelled(Exception):
    """Somebody asked for the end, or another worker has the job now."""


class Paused(Exception):
    """The slice is over."""


class Later(Exception):
    """What it needs is busy just now: the sweeper hands it out again in half a minute.

    With a `failed` the wait counts as an attempt: the third in a row without progress ends the job with it.
    """

    def __init__(self, failed: JobFailed | None = None) -> None:
        super().__init__()
        self.failed = failed


def ask(*, base: KnowledgeBase, kind: Job.Kind, options: dict[str, Any] | None = None) -> Job:
    """The job that a worker will do; the one that is on its way already when it was asked for the same."""
    options = options or {}
    with transaction.atomic():
        same = Job.objects.filter(base=base, kind=kind, state__in=UNFINISHED, cancel_requested=False)
        for job in same:
            if job.options == options:
                return job
        job = Job.objects.create(base=base, kind=kind, options=options)
    job_soon(job.pk)
    return job


def cancel(*, job_id: UUID) -> None:
    """At once when it waits, within a second or two when a worker is at it; no error when it is over."""
    rows = Job.objects.filter(pk=job_id)
    waiting = rows.filter(state=State.WAITING)
    if not waiting.update(state=State.CANCELLED, cancel_requested=True, finished=timezone.now()):
        rows.filter(state=State.RUNNING).update(cancel_requested=True)


def of_base(base: KnowledgeBase, kind: Job.Kind) -> list[Job]:
    """What is not over, oldest first; else the last one."""
    jobs = base.jobs.filter(kind=kind)
    return list(jobs.filter(state__in=UNFINISHED).order_by("created")) or list(jobs[:1])


def data(job: Job) -> dict[str, Any]:
    """A job as pages see it."""
    return {
        "id": str(job.pk),
        "state": job.state,
        "label": str(job.get_state_display()),
        "over": job.state not in UNFINISHED,
        "stopping": job.cancel_requested,
        "done": job.done,
        "total": job.total,
        "found": job.found,
        "refused": job.refused,
        "error": gettext(job.error) if job.error else "",
    }


class Slice:
    """One worker's hold on a job for a while. Every method raises Cancelled when it holds it no longer."""

    def __init__(self, job: Job, owner: str) -> None:
        self.job = job
        self._rows = Job.objects.filter(pk=job.pk, state=State.RUNNING, owner=owner, cancel_requested=False)
        self._until = time.monotonic() + SLICE_SECONDS
        self._seen = time.monotonic()

    def beat(self) -> None:
        """Sign of life; writes twice a second at most, so it may be called in any loop."""
        if time.monotonic() - self._seen >= BEAT_SECONDS:
            self._write({})

    def progress(self, done: int, total: int) -> None:
        """What people see meanwhile; nothing to go on from."""
        if time.monotonic() - self._seen >= BEAT_SECONDS:
            self._write({"done": done, "total": total})

    def save(self, cursor: dict[str, Any], *, done: int, total: int, found: int = 0, refused: int = 0) -> None:
        """Where to go on from; call it in the transaction that stores what was found. `found` and `refused` add."""
        self._write(
            {
                "cursor": cursor,
                "done": done,
                "total": total,
                "found": F("found") + found,
                "refused": F("refused") + refused,
                "attempts": 0,
            }
        )
        self.job.cursor = cursor

    def pause(self) -> None:
        """Raises Paused when the time of this slice is over; call it after `save`, outside of a transaction."""
        if time.monotonic() >= self._until:
            raise Paused

    def _write(self, values: dict[str, Any]) -> None:
        if not self._rows.update(beat=timezone.now(), **values):
            raise Cancelled
        self._seen = time.monotonic()


def run_slice(*, job_id: UUID, work: Callable[[Slice], None]) -> bool:
    """Work for a while; True when it goes on in another slice at once."""
    owner = uuid.uuid4().hex
    if not _claim(job_id, owner):
        return False
    held = Job.objects.filter(pk=job_id, state=State.RUNNING, owner=owner)
    job = Job.objects.select_related("base").get(pk=job_id)
    try:
        work(Slice(job, owner))
    except Paused:
        return _back(held)
    except Later as later:
        _later(held, later)
    except Cancelled:
        _end(held.filter(cancel_requested=True), State.CANCELLED)
    except JobFailed as error:
        _end(held, State.FAILED, error.code, error.sentence)
    except IndexUnavailable:
        _later(held, Later(JobFailed("index_unavailable", NO_INDEX)))
    else:
        _end(held, State.DONE)
    return False


def forgotten() -> list[UUID]:
    """Jobs to hand out again; what was lost ATTEMPTS times or cancelled meanwhile is ended here."""
    now = timezone.now()
    lost = _lost()
    _end(lost.filter(cancel_requested=True), State.CANCELLED)
    _end(lost.filter(attempts__gte=ATTEMPTS), State.FAILED, "lost", GAVE_UP)
    waiting = Q(state=State.WAITING) & (Q(beat__lt=now - FORGOTTEN) | Q(beat=None, created__lt=now - FORGOTTEN))
    found = Job.objects.filter(waiting | Q(pk__in=lost.values("pk")))
    return list(found.order_by("created").values_list("pk", flat=True))


def wake(jobs: Iterable[UUID]) -> None:
    for job in jobs:
        job_soon(job)


def _lost() -> QuerySet[Job]:
    return Job.objects.filter(Q(beat=None) | Q(beat__lt=timezone.now() - LOST), state=State.RUNNING)


def _claim(job_id: UUID, owner: str) -> bool:
    """Compare and set: only one worker gets it."""
    free = Job.objects.filter(Q(state=State.WAITING) | Q(pk__in=_lost().values("pk")), pk=job_id)
    mine = free.filter(cancel_requested=False, attempts__lt=ATTEMPTS)
    return bool(
        mine.update(
            state=State.RUNNING, owner=owner, beat=timezone.now(), attempts=F("attempts") + 1, error="", error_code=""
        )
    )


def _back(held: QuerySet[Job], **values: Any) -> bool:
    """To the queue, unless it was cancelled in the last moment."""
    if _end(held.filter(cancel_requested=True), State.CANCELLED):
        return False
    return bool(held.update(state=State.WAITING, owner="", beat=timezone.now(), **values))


def _later(held: QuerySet[Job], later: Later) -> None:
    if later.failed is None:
        _back(held, attempts=0)
        return
    _end(held.filter(attempts__gte=ATTEMPTS), State.FAILED, later.failed.code, later.failed.sentence)
    _back(held)


def _end(rows: QuerySet[Job], state: Job.State, code: str = "", sentence: str = "") -> int:
    ended = rows.update(state=state, owner="", error_code=code, error=sentence, finished=timezone.now())
    if ended and sentence:
        log.warning("%d jobs end as %s: %s", ended, state, sentence)
    return ended
