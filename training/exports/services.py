"""Exports that a worker makes: rows of Export, and who may move them from state to state.

    waiting ──claim──► running ──► done | failed | cancelled
       ▲                  │
       └── worker lost ───┘   its heart stopped: once more from the beginning, at most ATTEMPTS times

While one runs, `manifest` holds its worker's name, the time of its last sign of life and the number of attempts.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from coach.errors import NotFound, Refusal

from ..models import Export, ExportSchedule
from . import kinds, writing
from .errors import Cancelled, NoFile

log = logging.getLogger(__name__)
State = Export.State

UNFINISHED = (State.WAITING, State.RUNNING)
WRITE_SECONDS = 0.5
ATTEMPTS = 3
LOST = timedelta(seconds=120)
FORGOTTEN = timedelta(seconds=25)
PERIODS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}


def ask(*, kind: str, given: dict[str, Any] | None, by: Any = None, schedule: ExportSchedule | None = None) -> Export:
    """The row that a worker will fulfil; `given` is laid over the kind's own filter. Raises WrongFilter."""
    wanted = kinds.wanted(kind, given)
    return Export.objects.create(kind=kind, filter=wanted.to_json(), created_by=by, schedule=schedule)


def get(export_id: UUID) -> Export:
    """Raises NotFound."""
    found = Export.objects.filter(pk=export_id).first()
    if found is None:
        raise NotFound
    return found


def cancel(*, export_id: UUID) -> Export:
    """At once when it waits, within a second when a worker is at it; nothing happens when it is over."""
    rows = Export.objects.filter(pk=export_id)
    waiting = rows.filter(state=State.WAITING)
    if not waiting.update(state=State.CANCELLED, cancel_requested=True, finished=timezone.now()):
        rows.filter(state=State.RUNNING).update(cancel_requested=True)
    return get(export_id)


def delete(*, export_id: UUID) -> None:
    """The row and its file; a worker that is at it notices. Raises NotFound."""
    get(export_id).delete()
    shutil.rmtree(_folder(export_id), ignore_errors=True)


def file_of(export: Export) -> Path:
    """Raises NoFile."""
    path = Path(settings.DATA_DIR) / export.path
    if export.state != State.DONE or not export.path or not path.is_file():
        raise NoFile
    return path


def manifest_of(export: Export) -> Path:
    """The file with the ids of all turns. Raises NoFile."""
    return writing.manifest_path(file_of(export))


def data(export: Export) -> dict[str, Any]:
    """An export as pages and the API see it."""
    done = export.state == State.DONE
    return {
        "id": export.pk,
        "kind": export.kind,
        "state": export.state,
        "progress": 1.0 if done else export.done / export.total if export.total else 0.0,
        "done": export.done,
        "total": export.total,
        "rows": export.rows,
        "bytes": export.bytes,
        "filter": export.filter,
        "manifest": export.manifest if done else {},
        "stale": export.stale,
        "error": export.error,
        "created": export.created,
        "finished": export.finished,
    }


def run(*, export_id: UUID) -> None:
    """Make the file, from the claim to the end; nothing when another worker has it."""
    owner = _claim(export_id)
    if owner is None:
        return
    export = get(export_id)
    held = Export.objects.filter(pk=export_id, state=State.RUNNING, manifest__owner=owner)
    folder = _folder(export_id) / owner  # its own: a worker that was thought dead may still write
    name = f"{export.kind}-{timezone.now():%Y-%m-%d}{kinds.KINDS[export.kind].suffix}"
    if not _made(export, held, folder / name):
        shutil.rmtree(folder, ignore_errors=True)
    elif export.schedule:
        _prune(export.schedule)


def _made(export: Export, held: QuerySet[Export], path: Path) -> bool:
    """Whether the file is there and its row says so; else the row says why not."""
    try:
        path.parent.mkdir(parents=True, mode=0o700)
        wanted = kinds.wanted(export.kind, export.filter)
        manifest = writing.write(kind=export.kind, wanted=wanted, path=path, seen=_Watch(held, export.manifest))
        if _finish(held, path, manifest):
            return True
        raise Cancelled
    except Cancelled:
        held.filter(cancel_requested=True).update(state=State.CANCELLED, manifest={}, finished=timezone.now())
    except Refusal as error:
        _fail(held, str(error))
    except OSError as error:
        _fail(held, _("The data folder cannot be written: %(why)s.") % {"why": error.strerror})
    return False


def forgotten() -> list[UUID]:
    """Exports to hand out again; what was lost ATTEMPTS times is ended here."""
    now = timezone.now()
    found = list(Export.objects.filter(state=State.WAITING, created__lt=now - FORGOTTEN).values_list("pk", flat=True))
    for export in Export.objects.filter(state=State.RUNNING):
        if not _is_lost(export):
            continue
        held = Export.objects.filter(pk=export.pk, state=State.RUNNING, manifest__owner=export.manifest.get("owner"))
        if export.cancel_requested:
            held.update(state=State.CANCELLED, manifest={}, finished=now)
        elif export.manifest.get("attempts", 0) >= ATTEMPTS:
            _fail(held, _("The worker stopped three times; look into its log and try again."))
        else:
            found.append(export.pk)
    return found


def ask_scheduled(*, now: datetime) -> list[UUID]:
    """Exports that are due by the clock, each asked for once however many workers look."""
    asked = []
    for schedule in ExportSchedule.objects.filter(active=True):
        due = next_time(schedule)
        if due is not None and due > now:
            continue
        period = PERIODS[schedule.every]
        last = due if due is not None and now - due < period else now  # no drift, and no heap after a standstill
        with transaction.atomic():
            if not ExportSchedule.objects.filter(pk=schedule.pk, last=schedule.last).update(last=last):
                continue
            asked.append(_ask_for(schedule).pk)
    return asked


def next_time(schedule: ExportSchedule) -> datetime | None:
    """None: at once."""
    return schedule.last + PERIODS[schedule.every] if schedule.last else None


def _ask_for(schedule: ExportSchedule) -> Export:
    try:
        return ask(kind=schedule.kind, given=schedule.filter, schedule=schedule)
    except Refusal as error:  # a filter that is no longer known
        values = {"state": State.FAILED, "error": str(error), "finished": timezone.now()}
        return Export.objects.create(kind=schedule.kind, filter=schedule.filter, schedule=schedule, **values)


class _Watch:
    """Tells the row how far it is, and ends the writing when the row says so."""

    def __init__(self, held: QuerySet[Export], manifest: dict[str, Any]) -> None:
        self._held, self._manifest, self._next = held, manifest, 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + WRITE_SECONDS
        beat = {**self._manifest, "beat": time.time()}
        if not self._held.filter(cancel_requested=False).update(done=done, total=total, manifest=beat):
            raise Cancelled


def _claim(export_id: UUID) -> str | None:
    """Compare and set: only one worker gets it. Its name, None when it is not free."""
    export = Export.objects.filter(pk=export_id, cancel_requested=False).first()
    if export is None:
        return None
    owner = uuid.uuid4().hex
    free = Export.objects.filter(pk=export_id, cancel_requested=False)
    if export.state == State.RUNNING and _is_lost(export):
        free = free.filter(state=State.RUNNING, manifest__owner=export.manifest.get("owner"))
    else:
        free = free.filter(state=State.WAITING)
    attempts = export.manifest.get("attempts", 0) + 1
    mine = {"owner": owner, "beat": time.time(), "attempts": attempts}
    return owner if free.update(state=State.RUNNING, error="", done=0, manifest=mine) else None


def _is_lost(export: Export) -> bool:
    return time.time() - float(export.manifest.get("beat", 0)) > LOST.total_seconds()


def _finish(held: QuerySet[Export], path: Path, manifest: dict[str, Any]) -> int:
    turns = manifest["counts"]["out"]
    return held.filter(cancel_requested=False).update(
        state=State.DONE,
        done=turns,
        total=turns,
        rows=manifest["rows"],
        bytes=manifest["bytes"],
        path=str(path.relative_to(settings.DATA_DIR)),
        manifest=manifest,
        finished=timezone.now(),
    )


def _fail(held: QuerySet[Export], sentence: str) -> None:
    log.warning("an export failed: %s", sentence)
    held.update(state=State.FAILED, error=sentence, manifest={}, finished=timezone.now())


def _prune(schedule: ExportSchedule | None) -> None:
    """The newest files of a schedule stay, so many as it says."""
    if schedule is None:
        return
    done = schedule.exports.filter(state=State.DONE).order_by("-finished").values_list("pk", flat=True)
    for export_id in list(done)[max(1, schedule.keep) :]:
        delete(export_id=export_id)


def _folder(export_id: UUID) -> Path:
    return Path(settings.DATA_DIR) / "exports" / str(export_id)
