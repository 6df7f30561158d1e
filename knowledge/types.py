"""Value types that leave the knowledge app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """What a search needs of a generation.

    splitting   id of the splitting whose chunks it holds; the lexical index asks for it
    coverage    its calibrated thresholds; {} for those of its embedder
    """

    base: int
    generation: int
    splitting: int
    embedder: str
    collection: str
    coverage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """One chunk that may be cited.

    chunk, document   ids in SQL; `document` is the UUID as text
    location          where a person finds it: 'p. 3', or the heading path 'How to start › Step 2'
    text              the chunk, as stored; with the one beside it where both were found
    score             fused score, higher is better; comparable within one search only
    scores            each stage: dense (cosine without language, neutral.py), dense_rank, lexical (BM25), lexical_rank,
                      None if not found there; fused; rerank, if a reranker is set; joined, of how many chunks it is
    """

    chunk: int
    document: str
    title: str
    location: str
    text: str
    score: float
    scores: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Passages, best first.

    covered    False: nothing close enough; the passages may be shown on a test bench, never cited
    degraded   '' or the code of the stage that did not answer ('dense_unavailable')
    timings    seconds per stage: embed, dense, lexical, load, and rerank if a reranker is set
    unread     documents of the bases that wait to be read in; counted when nothing was covered
    generations ids of the index generations that were searched
    """

    passages: tuple[Passage, ...]
    covered: bool
    degraded: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    unread: int = 0
    generations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Considered:
    """A candidate of a search. why: '' when it was chosen, else the code of what left it out (choosing.py)."""

    passage: Passage
    why: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """A search with everything it looked at, best first. reranked: '' without a reranker, else a code of rerank.py."""

    result: SearchResult
    candidates: tuple[Considered, ...] = ()
    reranked: str = ""
