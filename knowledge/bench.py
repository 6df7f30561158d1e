"""The runner's side of the test bench: one search with everything it looked at, in the live index or in another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from . import coverage, generations, index, retrieval
from .database import DatabaseThreads
from .embedding.types import Floats
from .models import IndexGeneration
from .types import LiveIndex

R = TypeVar("R")

_threads = DatabaseThreads("bench")


class _Only:
    """A store (retrieval.Store) of one generation."""

    def __init__(self, found: LiveIndex) -> None:
        self._found = found

    async def live(self, bases: Sequence[int]) -> list[LiveIndex]:
        return [self._found]

    async def nearest(self, collection: str, vector: Floats, k: int) -> tuple[list[int], Floats]:
        return await index.query_vectors(collection, vector, k)

    async def in_database(self, function: Callable[[], R]) -> R:
        return await _threads.call(function)()


async def explained(
    *, query: str, bases: Sequence[int], k: int, language: str, generation: int | None = None
) -> dict[str, Any]:
    """`asdict` of a types.Explained with `thresholds`; {} when the generation is not there any more.

    generation    id of the one to search in instead of the live ones of `bases`
    thresholds    [near, fairly near] of each embedder: the cosines from which a question is covered (coverage.py)
    """
    if generation is None:
        live = await _threads.call(generations.live_indexes)(bases)
        found = await retrieval.explain(query, bases=bases, k=k, language=language)
        return {**asdict(found), "thresholds": _thresholds(query, live)}
    one = await _threads.call(_index_of)(generation)
    if one is None:
        return {}
    with retrieval.searching(_Only(one)):
        found = await retrieval.explain(query, bases=[one.base], k=k, language=language)
    return {**asdict(found), "thresholds": _thresholds(query, [one])}


def _thresholds(query: str, indexes: Sequence[LiveIndex]) -> dict[str, list[float]]:
    embedders = {one.embedder for one in indexes}
    return {
        name: _of_question(query, coverage.thresholds(name, [one.coverage for one in indexes if one.embedder == name]))
        for name in embedders
    }


def _of_question(query: str, found: tuple[float, float]) -> list[float]:
    near, fairly = found
    return [coverage.enough(query, near), fairly]


def _index_of(generation: int) -> LiveIndex | None:
    found = IndexGeneration.objects.filter(pk=generation).first()
    return generations.index_of(found) if found else None


def shutdown() -> None:
    """End the threads and their database connections."""
    _threads.shutdown()
