"""The one way into the knowledge: `search`.

    embed the question ─► Chroma, one collection per base ─► words and rows in SQL ─► fuse ─► k passages, covered?
      (one thread)           (index.py)                        (one thread hop)    (fusion.py)     (coverage.py)

A passage may be the best there is and still answer nothing; the coach must then say so instead of citing it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

import orjson

from . import coverage, index, lexical
from .database import DatabaseThreads, rows
from .embedding.errors import EmbedderUnavailable
from .embedding.registry import embedder, is_cloud
from .embedding.types import Floats
from .errors import IndexUnavailable
from .fusion import Candidate, Ranked, choose, fuse
from .generations import live_indexes
from .types import LiveIndex, Passage, SearchResult

# From each ranking and base; what repeats drop must leave enough.
CANDIDATES = 40
MOST_CHARACTERS = 2000
GENERATION_SECONDS = 5.0  # how long a newly live generation may go unnoticed
DENSE_UNAVAILABLE, DENSE_PRIVATE = "dense_unavailable", "dense_private"

Ranking = list[tuple[int, float]]

_threads = DatabaseThreads("search")
# One question after the other: 3 ms each, and gathering them into batches only made all wait for the last one.
_embedding = ThreadPoolExecutor(1, thread_name_prefix="embed")
_live: dict[tuple[int, ...], tuple[float, list[LiveIndex]]] = {}


class _Private(EmbedderUnavailable):
    """The embedder is in a cloud and the question is private."""


@dataclass
class _Search:
    """One search on its way."""

    query: str
    bases: tuple[int, ...]
    language: str
    private: bool
    live: list[LiveIndex] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    dense: Ranking = field(default_factory=list)
    near: bool = False
    fairly_near: bool = False
    degraded: str = ""


async def search(
    query: str, *, bases: Sequence[int], k: int = 5, language: str = "", private: bool = False
) -> SearchResult:
    """The k best passages of these bases for a question in any language; no error when a stage is away.

    language    of the coachee ('sv'): goes first among near-equals and among translations of an article; '' for none
    private     the question must not leave this network: no embedder in a cloud sees it
    degraded    'dense_unavailable' when Chroma or the embedder did not answer, 'dense_private' when the embedder was
                not asked because the question is private: only words were searched
    """
    wanted = _Search(query.strip()[:MOST_CHARACTERS], tuple(sorted(set(bases))), language, private)
    if not wanted.query or not wanted.bases:
        return SearchResult(passages=(), covered=False)
    wanted.live = await _live_indexes(wanted.bases)
    try:
        await _search_dense(wanted)
    except (IndexUnavailable, EmbedderUnavailable) as error:
        wanted.dense, wanted.near, wanted.fairly_near = [], False, True
        wanted.degraded = DENSE_PRIVATE if isinstance(error, _Private) else DENSE_UNAVAILABLE
    ranking, words = await _threads.call(_rank)(wanted)
    passages = tuple(_passage(ranked) for ranked in choose(ranking, k, language))
    covered = wanted.near or (wanted.fairly_near and coverage.by_words(wanted.query, words, wanted.dense))
    return SearchResult(passages, covered and bool(passages), wanted.degraded, wanted.timings)


async def _search_dense(wanted: _Search) -> None:
    """Fills in the dense ranking. Raises EmbedderUnavailable or IndexUnavailable."""
    loop = asyncio.get_running_loop()
    for embedder_id, collections in _collections(wanted.live).items():
        if wanted.private and is_cloud(embedder_id):
            raise _Private
        started = time.perf_counter()
        vector = await loop.run_in_executor(_embedding, _embed, embedder_id, wanted.query)
        _lap(wanted, "embed", started)
        started = time.perf_counter()
        found = await asyncio.gather(*(index.query(collection, vector, CANDIDATES) for collection in collections))
        dense = sorted((hit for hits in found for hit in hits), key=lambda hit: -hit[1])
        near, fairly_near = coverage.by_meaning(embedder_id, dense)
        wanted.near, wanted.fairly_near = wanted.near or near, wanted.fairly_near or fairly_near
        wanted.dense += dense
        _lap(wanted, "dense", started)
    wanted.dense.sort(key=lambda hit: -hit[1])


def _embed(embedder_id: str, query: str) -> Floats:
    return embedder(embedder_id).embed_query(query)


async def _live_indexes(bases: tuple[int, ...]) -> list[LiveIndex]:
    """The live generations, remembered for some seconds."""
    known = _live.get(bases)
    if known is None or known[0] < time.monotonic():
        known = (time.monotonic() + GENERATION_SECONDS, await _threads.call(live_indexes)(bases))
        _live[bases] = known
    return known[1]


def _collections(live: Sequence[LiveIndex]) -> dict[str, list[str]]:
    """Embedder id → Chroma collections."""
    collections: dict[str, list[str]] = {}
    for one in live:
        collections.setdefault(one.embedder, []).append(one.collection)
    return collections


def _rank(wanted: _Search) -> tuple[list[Ranked], lexical.Hits]:
    """The lexical ranking, the rows of all candidates, and both rankings fused: the part in the database thread."""
    started = time.perf_counter()
    splittings = [one.splitting for one in wanted.live]
    words = lexical.search(wanted.query, splittings, CANDIDATES)
    _lap(wanted, "lexical", started)
    started = time.perf_counter()
    dense = wanted.dense[: CANDIDATES * len(wanted.bases)]
    candidates = _candidates({chunk for chunk, _ in dense} | {chunk for chunk, _ in words.ranking}, splittings)
    ranking = fuse(candidates, dense, words, wanted.language)
    _lap(wanted, "load", started)
    return ranking, words


def _candidates(chunks: set[int], splittings: Sequence[int]) -> dict[int, Candidate]:
    """Rows that still exist and whose document is whole; a vector without a row is an orphan and is left out."""
    statement = _CANDIDATES % (",".join(map(str, chunks)), ",".join(map(str, splittings)))
    return {row[0]: Candidate(*row) for row in rows(statement, (), columns=9)} if chunks else {}


# For up to a hundred rows of every search; through the ORM they took 1.8 ms instead of 0.2. CROSS JOIN tells SQLite
# to begin with the chunks; it would go through all documents of the base.
_CANDIDATES = """
SELECT chunk.id, document.id, document.base_id, document.title, document.filename, document.language,
    chunk.page, chunk.headings, chunk.text
FROM knowledge_chunk AS chunk CROSS JOIN knowledge_document AS document
WHERE chunk.id IN (%s) AND document.id = chunk.document_id AND chunk.splitting_id IN (%s) AND document.chunks_total > 0
"""


def _passage(ranked: Ranked) -> Passage:
    found = ranked.candidate
    document = found.document if isinstance(found.document, UUID) else UUID(found.document)
    headings = found.headings if isinstance(found.headings, list) else orjson.loads(found.headings)
    location = f"p. {found.page}" if found.page is not None else " › ".join(headings)
    score = round(ranked.score, 4)
    return Passage(found.chunk, str(document), found.title, location, found.text, score, ranked.scores)


def _lap(wanted: _Search, stage: str, started: float) -> None:
    wanted.timings[stage] = round(wanted.timings.get(stage, 0.0) + time.perf_counter() - started, 5)
