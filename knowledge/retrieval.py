"""The one way into the knowledge: `search`.

    embed the question ─► Chroma, one collection per base ─► words and rows in SQL ─► fuse ─► rerank ─► choose
      (one thread)           (index.py, neutral.py)            (one thread hop)    (fusion)  (or not)  (choosing)
                                                                                              covered? (coverage)

A passage may be the best there is and still answer nothing; the coach must then say so instead of citing it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from uuid import UUID

import orjson

from . import coverage, index, lexical, rerank
from .choosing import choose
from .database import DatabaseThreads, rows
from .embedding.errors import EmbedderUnavailable
from .embedding.registry import embedder, is_cloud
from .embedding.types import Floats
from .entry_ids import chunk_of
from .errors import IndexUnavailable
from .fusion import Candidate, Ranked, fuse
from .generations import live_indexes
from .models import Document
from .neutral import Neutral, Trait, neutral_for
from .types import Considered, Explained, LiveIndex, Passage, SearchResult

# From each ranking and base; what repeats drop must leave enough. So many vectors are compared again without their
# language, of which so many are kept.
CANDIDATES, COMPARED = 40, 100
MOST_CHARACTERS = 2000
GENERATION_SECONDS = 5.0  # how long a newly live generation may go unnoticed
DENSE_UNAVAILABLE, DENSE_PRIVATE = "dense_unavailable", "dense_private"

Ranking = list[tuple[int, float]]
R = TypeVar("R")


class Store(Protocol):
    """Where chunks and vectors are: the database and Chroma, unless an evaluation brings its own."""

    async def live(self, bases: Sequence[int]) -> list[LiveIndex]: ...

    async def nearest(self, collection: str, vector: Floats, k: int) -> tuple[list[int], Floats]:
        """As `index.query_vectors`."""
        ...

    async def in_database(self, function: Callable[[], R]) -> R:
        """Run it in a thread that may ask the database."""
        ...


_store: ContextVar[Store | None] = ContextVar("knowledge_store", default=None)


@contextmanager
def searching(store: Store) -> Iterator[None]:
    """Every search in this context looks into `store`."""
    token = _store.set(store)
    try:
        yield
    finally:
        _store.reset(token)


_threads = DatabaseThreads("search")
# One question after the other: 3 ms each, and gathering them into batches only made all wait for the last one.
_embedding = ThreadPoolExecutor(1, thread_name_prefix="embed")
_live: dict[tuple[int, ...], tuple[float, list[LiveIndex]]] = {}
# Of each collection's entries that a search has met; a chunk's vector never changes. As JSON, a hundred vectors
# took Chroma and this process 10 ms a search.
_traits: dict[str, dict[int, Trait]] = {}
MOST_TRAITS = 200_000  # about 25 MB


class _Private(EmbedderUnavailable):
    """The embedder is in a cloud and the question is private."""


@dataclass
class _Search:
    """One search on its way. dense: of each embedder its ranking, best first."""

    query: str
    bases: tuple[int, ...]
    language: str
    private: bool
    live: list[LiveIndex] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    dense: dict[str, Ranking] = field(default_factory=dict)
    words: lexical.Hits = field(default_factory=lexical.Hits)
    degraded: str = ""


async def search(
    query: str, *, bases: Sequence[int], k: int = 5, language: str = "", private: bool = False
) -> SearchResult:
    """The k best passages of these bases for a question in any language; no error when a stage is away.

    language    of the coachee ('sv'): goes first among near-equals and among translations of an article; '' for none
    private     the question must not leave this network: no embedder and no reranker in a cloud sees it
    degraded    'dense_unavailable' when Chroma or the embedder did not answer, 'dense_private' when the embedder was
                not asked because the question is private: only words were searched
    """
    return (await _explained(query, bases, k, language, private=private, whole=False)).result


async def explain(
    query: str, *, bases: Sequence[int], k: int = 5, language: str = "", private: bool = False
) -> Explained:
    """As `search`, with all candidates, and why each was not chosen (choosing.py)."""
    return await _explained(query, bases, k, language, private=private, whole=True)


async def _explained(
    query: str, bases: Sequence[int], k: int, language: str, *, private: bool, whole: bool
) -> Explained:
    """whole: with the candidates; saying why each was left out costs more than the rest of a search."""
    wanted = _Search(query.strip()[:MOST_CHARACTERS], tuple(sorted(set(bases))), language, private)
    if not wanted.query or not wanted.bases:
        return Explained(SearchResult(passages=(), covered=False))
    wanted.live = await _live_indexes(wanted.bases)
    try:
        await _search_dense(wanted)
    except (IndexUnavailable, EmbedderUnavailable) as error:
        wanted.dense = {}
        wanted.degraded = DENSE_PRIVATE if isinstance(error, _Private) else DENSE_UNAVAILABLE
    ranking = await _in_database(lambda: _rank(wanted))
    started = time.perf_counter()
    reranked = await rerank.rerank(wanted.query, ranking, language=language, private=private)
    if reranked:
        _lap(wanted, "rerank", started)
    chosen = choose(ranking, k, language, whole=whole)
    covered = bool(chosen) and coverage.covered(
        wanted.query, wanted.live, wanted.dense, wanted.words, crossed=_in_other_languages(wanted, ranking)
    )
    unread = 0 if covered or _store.get() else await _in_database(lambda: _unread(wanted.bases))
    searched = tuple(one.generation for one in wanted.live)
    result = SearchResult(tuple(map(_passage, chosen)), covered, wanted.degraded, wanted.timings, unread, searched)
    return Explained(result, tuple(Considered(_passage(ranked), ranked.why) for ranked in ranking if whole), reranked)


def _in_other_languages(wanted: _Search, ranking: Sequence[Ranked]) -> frozenset[int]:
    """Passages that cannot say the words of the question."""
    if not wanted.language:
        return frozenset()
    return frozenset(
        ranked.candidate.chunk for ranked in ranking if ranked.candidate.language not in ("", wanted.language)
    )


def _unread(bases: Sequence[int]) -> int:
    states = (Document.State.PENDING, Document.State.PROCESSING)
    return Document.objects.filter(base__in=bases, state__in=states).count()


async def _search_dense(wanted: _Search) -> None:
    """Fills in the dense rankings. Raises EmbedderUnavailable or IndexUnavailable."""
    loop = asyncio.get_running_loop()
    for embedder_id, collections in _collections(wanted.live).items():
        if wanted.private and is_cloud(embedder_id):
            raise _Private
        started = time.perf_counter()
        vector, neutral = await loop.run_in_executor(_embedding, _question, embedder_id, wanted.query)
        _lap(wanted, "embed", started)
        started = time.perf_counter()
        found = await asyncio.gather(*(_nearest(collection, vector, neutral) for collection in collections))
        hits: dict[int, float] = {}
        for chunk, cosine in (hit for near in found for hit in near):
            hits[chunk] = max(cosine, hits.get(chunk, -1.0))
        ranked = sorted(hits.items(), key=lambda hit: -hit[1])
        wanted.dense[embedder_id] = ranked[: CANDIDATES * len(collections)]
        _lap(wanted, "dense", started)


def _question(embedder_id: str, query: str) -> tuple[Floats, Neutral]:
    neutral = neutral_for(embedder(embedder_id))
    return neutral.question(_embed(embedder_id, query)), neutral


def _embed(embedder_id: str, query: str) -> Floats:
    return embedder(embedder_id).embed_query(query)


async def _nearest(collection: str, vector: Floats, neutral: Neutral) -> Ranking:
    """(chunk, cosine without language) of the nearest entries, in any order; a chunk of several as often."""
    store = _store.get()
    if store:
        chunks, vectors = await store.nearest(collection, vector, COMPARED)
        return list(zip(chunks, neutral.cosines(vector, vectors).tolist(), strict=True))
    near = await index.query_entries(collection, vector, COMPARED)
    known = _traits.setdefault(collection, {})
    if len(known) > MOST_TRAITS:
        known.clear()
    # A question's entry has a negative id, and another vector when the question is edited.
    lacking = [entry for entry, _ in near if entry not in known or entry < 0]
    if lacking:
        entries, vectors = await index.entry_vectors(collection, lacking)
        known.update(zip(entries, neutral.traits(vectors), strict=True))
    near = [hit for hit in near if hit[0] in known]  # one that went between the two questions is left out
    cosines = neutral.near(vector, [cosine for _, cosine in near], [known[entry] for entry, _ in near])
    return [(chunk_of(entry), cosine) for (entry, _), cosine in zip(near, cosines, strict=True)]


async def _in_database(function: Callable[[], R]) -> R:
    store = _store.get()
    return await (store.in_database(function) if store else _threads.call(function)())


async def _live_indexes(bases: tuple[int, ...]) -> list[LiveIndex]:
    """The live generations, remembered for some seconds."""
    store = _store.get()
    if store is not None:
        return await store.live(bases)
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


def _rank(wanted: _Search) -> list[Ranked]:
    """The lexical ranking, the rows of all candidates, and the rankings fused: the part in the database thread."""
    started = time.perf_counter()
    splittings = [one.splitting for one in wanted.live]
    wanted.words = lexical.search(wanted.query, splittings, CANDIDATES)
    _lap(wanted, "lexical", started)
    started = time.perf_counter()
    chunks = {chunk for ranking in wanted.dense.values() for chunk, _ in ranking}
    candidates = _candidates(chunks | {chunk for chunk, _ in wanted.words.ranking}, splittings)
    # The vectors of a deleted document may go a little later than its rows; what is gone covers nothing.
    wanted.dense = {
        name: [(chunk, cosine) for chunk, cosine in found if chunk in candidates]
        for name, found in wanted.dense.items()
    }
    ranking = fuse(candidates, list(wanted.dense.values()), wanted.words, wanted.language)
    _lap(wanted, "load", started)
    return ranking


def _candidates(chunks: set[int], splittings: Sequence[int]) -> dict[int, Candidate]:
    """Rows that still exist and whose document is whole; a vector without a row is an orphan and is left out."""
    statement = _CANDIDATES % (",".join(map(str, chunks)), ",".join(map(str, splittings)))
    return {row[0]: Candidate(*row) for row in rows(statement, (), columns=13)} if chunks else {}


# For up to a hundred rows of every search; through the ORM they took 1.8 ms instead of 0.2. CROSS JOIN tells SQLite
# to begin with the chunks; it would go through all documents of the base.
_CANDIDATES = """
SELECT chunk.id, document.id, document.base_id, document.title, document.filename, document.language,
    chunk.page, chunk.headings, chunk.text, chunk.position, chunk.start, chunk."end", chunk.tokens
FROM knowledge_chunk AS chunk CROSS JOIN knowledge_document AS document
WHERE chunk.id IN (%s) AND document.id = chunk.document_id AND chunk.splitting_id IN (%s) AND document.chunks_total > 0
"""


def _passage(ranked: Ranked) -> Passage:
    found = ranked.candidate
    document = found.document if isinstance(found.document, UUID) else UUID(found.document)
    headings = found.headings if isinstance(found.headings, list) else orjson.loads(found.headings)
    location = f"p. {found.page}" if found.page is not None else " › ".join(headings)
    score = round(ranked.score, 4)
    return Passage(found.chunk, str(document), found.title, location, ranked.text, score, ranked.scores)


def _lap(wanted: _Search, stage: str, started: float) -> None:
    wanted.timings[stage] = round(wanted.timings.get(stage, 0.0) + time.perf_counter() - started, 5)
