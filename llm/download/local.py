"""A model file that is on this machine already: copied into the cache, so that it stays when the original goes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from django.utils.translation import gettext as _

from llm.catalogue import Entry, LocalFile

from .errors import DownloadBroken, NoSource
from .partial import Partial

_BLOCK = 1 << 22
_COMMIT_EVERY = 64  # blocks
_MAGIC = b"GGUF"


def described_file(entry: Entry, source: LocalFile) -> Entry:
    """The entry with the file's size, and its hash when none was given. Raises NoSource, DownloadBroken."""
    try:
        size = source.path.stat().st_size
        with source.path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _no_gguf(entry)
            file.seek(0)
            sha256 = entry.sha256 or hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NoSource(
            _("%(path)s cannot be read: %(reason)s.") % {"path": source.path, "reason": error.strerror}
        ) from error
    return replace(entry, bytes=size, sha256=sha256, approximate=False)


def fetch_from_file(entry: Entry, source: LocalFile, partial: Partial, report: Callable[[int], None]) -> None:
    """Complete `partial`; `report` gets the bytes present so far."""
    with source.path.open("rb") as original, partial.append_to() as file:
        original.seek(partial.size)
        try:
            number = 0
            while block := original.read(_BLOCK):
                file.write(block)
                number += 1
                if number % _COMMIT_EVERY == 0:
                    partial.commit(file, done=0)
                report(file.tell())
        finally:
            partial.commit(file, done=0)


def refuse_other_formats(entry: Entry, path: Path) -> None:
    """Raises DownloadBroken for a file that is no GGUF; the catalogue's own files are known by their hash."""
    if not entry.licence:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _no_gguf(entry)


def _no_gguf(entry: Entry) -> DownloadBroken:
    return DownloadBroken(_("%(name)s is not a GGUF file.") % {"name": entry.name})
