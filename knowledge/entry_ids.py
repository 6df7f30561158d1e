"""Ids of what the two indexes hold, the same in Chroma and in the lexical index.

A chunk's entry has the chunk's id. An approved question leads to a chunk: its entry is a negative number made of
both ids, so that a search finds the chunk without asking the database.
"""

from __future__ import annotations

from collections.abc import Iterable

_BITS = 32
_CHUNK = (1 << _BITS) - 1


def entry_id(question: int, chunk: int) -> int:
    """The entry of a question (an id below 2**31) that leads to a chunk (below 2**32)."""
    return -((question << _BITS) | chunk)


def chunk_of(entry: int) -> int:
    """The chunk that an entry leads to."""
    return entry if entry >= 0 else -entry & _CHUNK


def best_of(hits: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """(entry, score), best first → (chunk, score), each chunk once with its best score."""
    best: dict[int, float] = {}
    for entry, score in hits:
        best.setdefault(chunk_of(entry), score)
    return list(best.items())
