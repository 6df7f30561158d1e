"""nDCG and recall of BEIR folders: dense alone, words alone, and both as a search gives them.

Each set is a knowledge base of its own (workspace.py), searched by `knowledge.retrieval` as it is. A document ranks
where its best chunk ranks. Vectors are compared exactly; Chroma's graph finds the same ones within some tenths of a
point at these sizes, and its time is not in the latency.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from knowledge import retrieval
from knowledge.embedding.types import Embedder
from knowledge.types import Explained

from . import figures
from .datasets import RetrievalSet, has_field, read_retrieval_set
from .vectors import CachedVectors, Progress
from .workspace import Workspace, cut

WAYS = ("dense", "lexical", "hybrid")
MEASURES = ("ndcg@10", "recall@5", "recall@10")
# Passages asked for, so that ten documents are among them though several chunks of one may be.
PASSAGES = 40
# The same questions in English: what crossing languages costs.
CROSSED = "text_en"

Figures = dict[str, Any]


async def evaluate_sets(
    store: Workspace, folders: Sequence[Path], embedder: Embedder, progress: Callable[[str], Progress]
) -> Figures:
    """{"sets": {name: {"dense": {…}, "lexical": {…}, "hybrid": {…}, "latency_ms": {…}}}, "mean": {…}}

    A set whose questions come in English, too, has them as `NAME (text_en)`, left out of the mean.
    """
    sets: dict[str, Figures] = {}
    for folder in folders:
        data = read_retrieval_set(folder)
        base = index_set(store, data, embedder, progress(f"passages of {data.name} embedded"))
        sets[data.name] = await _figures(store, [base], data, progress(f"questions of {data.name}"))
        if has_field(folder, CROSSED):
            other = read_retrieval_set(folder, CROSSED)
            name = f"{data.name} ({CROSSED})"
            sets[name] = await _figures(store, [base], other, progress(f"questions of {name}"))
    return {"sets": sets, "mean": _mean([found for name, found in sets.items() if f"({CROSSED})" not in name])}


def index_set(store: Workspace, data: RetrievalSet, embedder: Embedder, progress: Progress) -> int:
    pieces = cut(data.corpus, embedder)
    vectors = CachedVectors(embedder).passages([piece.indexed for piece in pieces], progress)
    return store.add(pieces, vectors)


async def _figures(store: Workspace, bases: Sequence[int], data: RetrievalSet, progress: Progress) -> Figures:
    values: dict[str, dict[str, list[float]]] = {way: {measure: [] for measure in MEASURES} for way in WAYS}
    seconds: list[float] = []
    for done, (id_, text) in enumerate(data.queries.items(), start=1):
        started = time.perf_counter()
        explained = await retrieval.explain(text, bases=bases, k=PASSAGES)
        seconds.append(time.perf_counter() - started)
        for way, ranking in rankings(store, explained).items():
            gains = data.qrels[id_]
            values[way]["ndcg@10"].append(figures.ndcg(ranking, gains, 10))
            values[way]["recall@5"].append(figures.recall(ranking, gains, 5))
            values[way]["recall@10"].append(figures.recall(ranking, gains, 10))
        progress(done, len(data.queries))
    return {
        "documents": len(data.corpus),
        "questions": len(data.queries),
        **{way: {measure: _average(found) for measure, found in values[way].items()} for way in WAYS},
        "latency_ms": {
            "p50": round(1000 * figures.percentile(seconds, 0.5), 2),
            "p95": round(1000 * figures.percentile(seconds, 0.95), 2),
        },
    }


def rankings(store: Workspace, explained: Explained) -> dict[str, list[str]]:
    """Of each way the corpus ids, best first."""
    found = {"hybrid": _documents(store, (passage.document for passage in explained.result.passages))}
    for way in ("dense", "lexical"):
        ranked = [one for one in explained.candidates if one.passage.scores.get(f"{way}_rank") is not None]
        ranked.sort(key=lambda one: one.passage.scores[f"{way}_rank"] or 0)
        found[way] = _documents(store, (one.passage.document for one in ranked))
    return found


def _documents(store: Workspace, documents: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(store.document_of(document) for document in documents))


def _mean(sets: Sequence[Mapping[str, Any]]) -> Figures:
    return {way: {measure: _average([found[way][measure] for found in sets]) for measure in MEASURES} for way in WAYS}


def _average(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
