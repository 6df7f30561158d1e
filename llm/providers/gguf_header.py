"""One text out of the header of a GGUF file.

The gguf package takes 10 s for a vocabulary of 150,000 words, because it makes arrays of all of it; this walks past
it (the format: version 3, little-endian, github.com/ggml-org/ggml, docs/gguf.md).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

# Bytes of each kind of value; 8 is text (length and bytes), 9 an array (kind, count and values).
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
_KIND = struct.Struct("<I")
_ARRAY_HEAD = struct.Struct("<IQ")
_HEAD = struct.Struct("<4sIQQ")


def text_of(path: Path, key: str) -> str | None:
    """The text under `key`, None when there is none. Raises ValueError for a file that is no GGUF, or is cut."""
    with path.open("rb") as file:
        if path.stat().st_size < _HEAD.size:
            raise ValueError("not a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _find(data, key.encode())
            except struct.error as error:
                raise ValueError("the file is cut off") from error


def _find(data: mmap.mmap, key: bytes) -> str | None:
    magic, version, _tensors, values = _HEAD.unpack_from(data, 0)
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError("not a GGUF file")
    place = _HEAD.size
    for _number in range(values):
        name, place = _text(data, place)
        (kind,) = _KIND.unpack_from(data, place)
        place += _KIND.size
        if name == key and kind == _TEXT:
            return _text(data, place)[0].decode("utf-8", "replace")
        place = _behind(data, place, kind)
    return None


def _text(data: mmap.mmap, place: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(data, place)
    start = place + _LENGTH.size
    if start + length > len(data):
        raise ValueError("the file is cut off")
    return data[start : start + length], start + length


def _behind(data: mmap.mmap, place: int, kind: int) -> int:
    """Where the value of this kind ends."""
    if kind == _TEXT:
        (length,) = _LENGTH.unpack_from(data, place)
        return place + _LENGTH.size + int(length)
    if kind == _ARRAY:
        inner, count = _ARRAY_HEAD.unpack_from(data, place)
        place += _ARRAY_HEAD.size
        if inner in _SIZES:
            return place + _SIZES[inner] * int(count)
        for _number in range(count):
            place = _behind(data, place, inner)
        return place
    if kind not in _SIZES:
        raise ValueError("not a GGUF file")
    return place + _SIZES[kind]
