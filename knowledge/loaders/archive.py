"""Zip files are unpacked at the door: each member becomes a document of its own, as if it had been uploaded alone.

Nothing is parsed here; names and declared sizes are checked first, and no member gives more than it declared.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from . import ARCHIVE, REGISTRY
from .errors import (
    Damaged,
    Empty,
    Encrypted,
    NestedArchive,
    NothingInside,
    TooLarge,
    TooLargeInside,
    TooManyFiles,
    UnsafeArchive,
    WrongType,
)
from .scripts import is_korean

MOST_FILES = 2000
# All members together, unpacked; texts shrink to a fifth, a bomb to a thousandth.
MOST_BYTES = 1024 * 1024 * 1024
MOST_RATIO, RATIO_FROM = 100, 16 * 1024 * 1024
_MOST_DIRECTORY = 8 * 1024 * 1024  # bytes of the list of names, before it is read into memory
_END, _END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
_START = b"PK\x03\x04"
_UTF8_NAME, _ENCRYPTED = 0x800, 0x1
_DRIVE = re.compile(r"[A-Za-z]:")
_MAC = "__MACOSX"


def expand(filename: str, content: IO[bytes], most: int) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, content) of each member with a known type, or of the file itself when it is no zip file.

    most: bytes that one member may have. Contents are read before the next one is asked for. Raises Empty,
    WrongType, Encrypted, Damaged, TooLarge, TooLargeInside, TooManyFiles, NestedArchive, UnsafeArchive, NothingInside.
    """
    if not filename.lower().endswith(ARCHIVE):
        yield filename, content
        return
    _check_end(content)
    try:
        with zipfile.ZipFile(content) as archive:
            members = _members(archive, most)
            for name, info in members:
                with archive.open(info) as member:
                    yield name, cast(IO[bytes], _Member(member))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        raise Damaged from error


class _Member(io.BufferedIOBase):
    """A member whose reading raises Damaged for whatever is wrong with it."""

    def __init__(self, member: IO[bytes]) -> None:
        self._member = member

    def read(self, size: int | None = -1) -> bytes:
        try:
            return self._member.read(-1 if size is None else size)
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, NotImplementedError) as error:
            raise Damaged from error


def _check_end(content: IO[bytes]) -> None:
    """The end of the file says how much there is to read: a list of a million names must not be read first."""
    size = content.seek(0, 2)
    content.seek(0)
    head = content.read(4)
    if not size:
        raise Empty
    if head not in (_START, _END):
        raise WrongType
    content.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    tail = content.read()
    at = tail.rfind(_END)
    content.seek(0)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise Damaged
    count, directory = struct.unpack_from("<HI", tail, at + 10)
    if count == 0xFFFF or directory > _MOST_DIRECTORY:
        raise TooManyFiles


def _members(archive: zipfile.ZipFile, most: int) -> list[tuple[str, zipfile.ZipInfo]]:
    members: list[tuple[str, zipfile.ZipInfo]] = []
    for info in archive.infolist():
        name = _name(info)
        _check_name(name)
        path = PurePosixPath(name)
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or _is_hidden(path):
            continue
        suffix = path.suffix.lower()
        if suffix == ARCHIVE:
            raise NestedArchive
        if suffix not in REGISTRY or not info.file_size:
            continue
        if info.flag_bits & _ENCRYPTED:
            raise Encrypted
        if info.file_size > most:
            raise TooLarge
        members.append((path.name, info))
        if len(members) > MOST_FILES:
            raise TooManyFiles
    total = sum(info.file_size for _, info in members)
    packed = sum(info.compress_size for _, info in members)
    if total > MOST_BYTES or (total > RATIO_FROM and total > MOST_RATIO * packed):
        raise TooLargeInside
    if not members:
        raise NothingInside
    return members


def _name(info: zipfile.ZipInfo) -> str:
    """With '/' between folders. What is not marked as UTF-8 may be UTF-8, Korean, or a Western code page of DOS."""
    if info.flag_bits & _UTF8_NAME:
        return info.filename.replace("\\", "/")
    raw = info.filename.encode("cp437", "replace")
    for codec in ("utf-8", "cp949"):
        try:
            name = raw.decode(codec)
        except UnicodeError:
            continue
        if codec == "utf-8" or is_korean(name):
            return name.replace("\\", "/")
    return raw.decode("cp850", "replace").replace("\\", "/")


def _check_name(name: str) -> None:
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        raise UnsafeArchive


def _is_hidden(path: PurePosixPath) -> bool:
    return path.parts[:1] == (_MAC,) or any(part.startswith(".") for part in path.parts)
