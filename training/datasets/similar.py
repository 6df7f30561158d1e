"""Texts that say the same: by their letters alone, and nearly (MinHash, then the real overlap)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

# Share of common pieces (Jaccard) from which on two texts are nearly the same: too much so to be in both parts, and
# so much that one of them is enough. (Questions that differ in one word reach 0.8, and both are worth having.)
NEAR, DOUBLE = 0.8, 0.9
PIECE = 4  # characters
_PERMUTATIONS = 64
Seen = Callable[[int], None]
_PLACEHOLDER = re.compile(r"\[([A-Z]+)_\d+\]")


def letters(text: str) -> str:
    """Only letters and digits, small, one blank between words; replaced data counts without its number."""
    plain = unicodedata.normalize("NFKC", _PLACEHOLDER.sub(r"\1", text)).casefold()
    return re.sub(r"[\W_]+", " ", plain).strip()


def pieces(text: str) -> frozenset[str]:
    plain = letters(text)
    return frozenset(plain[at : at + PIECE] for at in range(max(1, len(plain) - PIECE + 1)))


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def near_pairs(texts: Sequence[str], *, seen: Seen = lambda _done: None) -> Iterator[tuple[int, int]]:
    """(earlier, later) places of all texts that are the same or nearly so; `seen` is told of each hundredth text."""
    index = _Index(NEAR)
    known: dict[str, int] = {}
    for place, text in enumerate(texts):
        if place % 100 == 0:
            seen(place)
        first = known.setdefault(letters(text), place)
        if first == place:
            yield from ((other, place) for other in index.add(place, text))
        else:
            yield first, place


def doubles(texts: Sequence[str], *, seen: Seen = lambda _done: None) -> set[int]:
    """Places of those that say what an earlier one says that stays."""
    index = _Index(DOUBLE)
    found: set[int] = set()
    for place, text in enumerate(texts):
        if place % 100 == 0:
            seen(place)
        if index.add(place, text, unless_near=True):
            found.add(place)
    return found


class _Index:
    """MinHash gives candidates, the real overlap decides."""

    def __init__(self, near: float) -> None:
        from datasketch import MinHash, MinHashLSH  # brings scipy: only a worker needs it

        self._near, self._sketch = near, MinHash
        self._index: Any = MinHashLSH(threshold=near - 0.15, num_perm=_PERMUTATIONS)
        self._pieces: dict[int, frozenset[str]] = {}

    def add(self, place: int, text: str, *, unless_near: bool = False) -> list[int]:
        """Places that are near; `unless_near`: it is not added then, and the first one is enough."""
        own = pieces(text)
        sketch = self._sketch(num_perm=_PERMUTATIONS)
        sketch.update_batch([piece.encode() for piece in own])
        near = (other for other in self._index.query(sketch) if overlap(self._pieces[other], own) >= self._near)
        found = list(islice(near, 1)) if unless_near else list(near)
        if not (found and unless_near):
            self._index.insert(place, sketch)
            self._pieces[place] = own
        return found
