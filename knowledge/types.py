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
    text              the chunk, as stored
    score             fused score, higher is better; comparable within one search only
    scores            each stage: dense (cosine), dense_rank, lexical (BM25), lexical_rank; None if not found there
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
    timings    seconds per stage: embed, dense, lexical, load
    """

    passages: tuple[Passage, ...]
    covered: bool
    degraded: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
