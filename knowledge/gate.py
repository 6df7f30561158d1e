"""The recall gate: a new generation goes live by itself only if it finds what the live one finds.

For each language up to a hundred questions whose answer is known are asked in both, through the same search that
coachees get: approved questions lead to their stretch of the text; where these are few, a document's title with one
of its headings must find a passage under that heading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

from llm.loops import run

from . import generations, index, passages, retrieval
from .database import DatabaseThreads
from .embedding.types import Floats
from .errors import IndexUnavailable
from .models import Chunk, Document, IndexGeneration
from .types import LiveIndex, SearchResult

K = 5
# One miss of a hundred is a point; a point or two is chance, more is not.
MOST_QUESTIONS, LEAST_QUESTIONS, ALLOWED = 100, 20, 0.02
R = TypeVar("R")


def _(text: str) -> str:
    """Marks a sentence for makemessages; it is stored in English and translated where it is shown."""
    return text


TOO_FEW = _("Too few questions to judge.")
NOTHING_TO_COMPARE = _("There was no other index to compare it with.")


@dataclass(frozen=True, slots=True)
class _Gold:
    """A question and where its answer stands: under a heading, or in a stretch of the text."""

    query: str
    language: str
    document: str
    heading: str | None = None
    start: int = 0
    end: int = 0


class _Only:
    """A store (retrieval.Store) of one generation."""

    def __init__(self, found: LiveIndex, threads: DatabaseThreads) -> None:
        self._found = found
        self._threads = threads

    async def live(self, bases: Sequence[int]) -> list[LiveIndex]:
        return [self._found]

    async def nearest(self, collection: str, vector: Floats, k: int) -> tuple[list[int], Floats]:
        return await index.query_vectors(collection, vector, k)

    async def in_database(self, function: Callable[[], R]) -> R:
        return await self._threads.call(function)()


def measure(generation: IndexGeneration, beat: Callable[[], None]) -> dict[str, dict[str, Any]]:
    """What goes into `IndexGeneration.recall`: per language {"questions", "live", "new", "passed", "why"}.

    live, new   share of the questions (0 to 1) that find their passage among the first five
    passed      at most two points below the live one; with fewer than 20 questions always, and `why` says so
    beat        called after each language in each generation, to keep a lease
    """
    live = generations.live(generation.base_id)
    if live is None or generation.live_since or generations.same_way(live, generation):
        return {"": {"questions": 0, "live": 0.0, "new": 0.0, "passed": True, "why": NOTHING_TO_COMPARE}}
    recall = {}
    for language, questions in sorted(gold(generation.base_id, live.splitting_id).items()):
        shares = []
        for one in (live, generation):
            shares.append(_recall(one, questions))
            beat()
        enough = len(questions) >= LEAST_QUESTIONS
        recall[language] = {
            "questions": len(questions),
            "live": shares[0],
            "new": shares[1],
            "passed": not enough or shares[1] >= shares[0] - ALLOWED - 1e-9,
            "why": "" if enough else TOO_FEW,
        }
    return recall or {"": {"questions": 0, "live": 0.0, "new": 0.0, "passed": True, "why": TOO_FEW}}


def gold(base_id: int, splitting_id: int) -> dict[str, list[_Gold]]:
    """Questions with known answers by language ('' where it is not known), at most a hundred each."""
    found: dict[str, list[_Gold]] = {}
    asked = passages.approved().filter(document__base=base_id, document__state=Document.State.READY)
    for question in asked.select_related("document").order_by("pk"):
        language = question.language or question.document.language
        gold = _Gold(question.question, language, str(question.document_id), start=question.start, end=question.end)
        found.setdefault(language, []).append(gold)
    for language, items in _known_items(base_id, splitting_id).items():
        if len(found.setdefault(language, [])) < LEAST_QUESTIONS:
            found[language] += items
    return {language: _some(questions) for language, questions in found.items()}


def _known_items(base_id: int, splitting_id: int) -> dict[str, list[_Gold]]:
    """A title and one of its headings ask for what stands below it."""
    rows = Chunk.objects.filter(splitting=splitting_id, document__base=base_id, document__state=Document.State.READY)
    fields = ("document_id", "document__language", "document__title", "headings")
    items: dict[str, dict[tuple[str, str], _Gold]] = {}
    for document, language, title, headings in rows.order_by().values_list(*fields):
        heading = headings[-1] if headings else ""
        gold = _Gold(f"{title} {heading}".strip(), language, str(document), heading=heading)
        items.setdefault(language, {})[str(document), heading] = gold
    return {language: list(found.values()) for language, found in items.items()}


def _some(questions: Sequence[_Gold]) -> list[_Gold]:
    """The same hundred every time, from all over the base; approved ones first."""
    kept = sorted(questions, key=lambda one: (one.heading is not None, crc32(f"{one.document} {one.query}".encode())))
    return kept[:MOST_QUESTIONS]


def _recall(generation: IndexGeneration, questions: Sequence[_Gold]) -> float:
    """Raises IndexUnavailable when a search had to do without one of its stages."""
    threads = DatabaseThreads("gate")
    try:
        results = run(_ask(_Only(generations.index_of(generation), threads), generation.base_id, questions))
    finally:
        threads.shutdown()
    if any(result.degraded for result in results):
        raise IndexUnavailable
    spans = _spans(results)
    hits = sum(_hit(one, result, spans) for one, result in zip(questions, results, strict=True))
    return round(hits / len(questions), 4)


async def _ask(store: _Only, base_id: int, questions: Sequence[_Gold]) -> list[SearchResult]:
    with retrieval.searching(store):
        return [await retrieval.search(one.query, bases=[base_id], k=K, language=one.language) for one in questions]


def _spans(results: Sequence[SearchResult]) -> dict[int, tuple[int, int, str]]:
    """Of each passage: where it begins and ends, and its innermost heading."""
    chunks = {passage.chunk for result in results for passage in result.passages}
    rows = Chunk.objects.filter(pk__in=chunks).order_by().values_list("pk", "start", "end", "headings")
    return {pk: (start, end, headings[-1] if headings else "") for pk, start, end, headings in rows}


def _hit(one: _Gold, result: SearchResult, spans: dict[int, tuple[int, int, str]]) -> bool:
    for passage in result.passages:
        if passage.document != one.document or passage.chunk not in spans:
            continue
        start, end, heading = spans[passage.chunk]
        if heading == one.heading if one.heading is not None else start < one.end and one.start < end:
            return True
    return False
