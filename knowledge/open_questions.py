"""Questions the base could not answer, for its map.

They are the coach app's, which stands above this one: it registers itself here when it starts (coach/apps.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """For a worker that places it: its id, its words, its language."""

    id: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class ShownQuestion:
    """For an admin: `text` is '' where it is private; `url` leads to it."""

    text: str
    url: str


class Source(Protocol):
    def unanswered(self, base: int, limit: int) -> Sequence[OpenQuestion]:
        """The newest first; nothing of a private conversation."""
        ...

    def shown(self, ids: Iterable[str]) -> Mapping[str, ShownQuestion]:
        """Those that are still there."""
        ...


_sources: list[Source] = []


def register(source: Source) -> None:
    _sources[:] = [source]


def unanswered(base: int, limit: int) -> Sequence[OpenQuestion]:
    return _sources[0].unanswered(base, limit) if _sources else ()


def shown(ids: Iterable[str]) -> Mapping[str, ShownQuestion]:
    return _sources[0].shown(ids) if _sources else {}
