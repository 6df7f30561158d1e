"""The map of a base: its passages on a plane, so that a person sees its subjects and its gaps.

e5 puts all Swedish beside all Swedish, whatever it is about. So each language's mean goes first. Of 500 passages of
the starter knowledge (four languages), the ten nearest on the plane were

    of the same                              language    article
    principal components                       85 %         4 %
    principal components, means removed        24 %        16 %
    as here                                    23 %        36 %

A quarter is what four languages give by chance. The axes are those that set clusters of passages apart (a linear
discriminant; the clusters are found by k-means from a fixed start), so the same index gives the same picture, and
what was not there when it was drawn, a question, is placed by the same axes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction

from . import index, open_questions
from .embedding.errors import EmbedderUnavailable
from .embedding.registry import embedder, is_cloud
from .generations import live_indexes
from .jobs import NOTHING_INDEXED, JobFailed, Slice
from .map_data import seen
from .models import Chunk, Document, IndexMap
from .types import LiveIndex

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float32]

MOST_POINTS = 20_000
MOST_QUESTIONS = 300
READ_BATCH, EMBED_BATCH = 1000, 8
MOST_CLUSTERS, ROUNDS = 48, 30
# How much noise within the clusters is assumed beyond what is seen: few passages have many dimensions.
RIDGE = 3.0
EDGES = (0.5, 99.5)  # percentiles; a stray passage would press all others together


@dataclass(frozen=True, slots=True)
class Axes:
    """How a vector becomes a place from 0 to 1.

    means       each language's mean, (dimensions,); '' is that of all passages
    plane       (dimensions, 2)
    low, high   what becomes 0 and 1
    """

    means: dict[str, Floats]
    plane: Floats
    low: Floats
    high: Floats

    def place(self, vectors: Floats, languages: Sequence[str]) -> Floats:
        """vectors (n, dimensions) of texts in these languages; gives (n, 2)."""
        means = np.stack([self.means.get(language, self.means[""]) for language in languages])
        spread = np.maximum(self.high - self.low, 1e-9)
        return np.clip(((vectors - means) @ self.plane - self.low) / spread, 0, 1)

    def data(self) -> dict[str, Any]:
        return {
            "mean": {language: _short(mean) for language, mean in self.means.items()},
            "x": _short(self.plane[:, 0]),
            "y": _short(self.plane[:, 1]),
            "scale": [_short(self.low), _short(self.high)],
        }


def fit(vectors: Floats, languages: Sequence[str]) -> Axes:
    """Axes for these passages; vectors float32, (n, dimensions), n ≥ 1."""
    means = {"": vectors.mean(axis=0)}
    spoken = np.array(languages)
    centred = vectors.copy()
    for language in sorted(set(languages)):
        own = spoken == language
        means[language] = vectors[own].mean(axis=0)
        centred[own] -= means[language]
    plane = _plane(centred)
    found = centred @ plane
    low, high = np.percentile(found, EDGES, axis=0).astype(np.float32)
    return Axes(means, plane, low, high)


def _plane(centred: Floats) -> Floats:
    """Two directions, (dimensions, 2): those that set clusters apart, in the order of how well they do."""
    count, dimensions = centred.shape
    clusters = _clusters(centred, min(MOST_CLUSTERS, max(3, int(count**0.5))))
    total = (centred.T @ centred / count).astype(np.float64)
    between = np.zeros((dimensions, dimensions))
    for cluster in np.unique(clusters):
        own = centred[clusters == cluster]
        mean = own.mean(axis=0).astype(np.float64)
        between += len(own) / count * np.outer(mean, mean)
    within = total - between
    noise = max(np.trace(within) / dimensions, 1e-6)
    lower = np.linalg.cholesky(within + (RIDGE * noise + 1e-9) * np.eye(dimensions))
    half = np.linalg.inv(lower)
    _, directions = np.linalg.eigh(half @ between @ half.T)
    plane = half.T @ directions[:, ::-1][:, :2]
    plane /= np.maximum(np.linalg.norm(plane, axis=0), 1e-12)
    # An eigenvector has no sign of its own: the picture would turn over by chance.
    plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1, 1)
    return plane.astype(np.float32)


def _clusters(points: Floats, wanted: int) -> npt.NDArray[np.intp]:
    """The cluster of each point, by k-means from a start that is the same each time (farthest first)."""
    centres = [points[np.square(points).sum(axis=1).argmax()]]
    distance = np.square(points - centres[0]).sum(axis=1)
    generator = np.random.default_rng(0)
    for _ in range(min(wanted, len(points)) - 1):
        if distance.sum() <= 0:
            break
        centres.append(points[generator.choice(len(points), p=distance / distance.sum())])
        distance = np.minimum(distance, np.square(points - centres[-1]).sum(axis=1))
    middle, nearest = np.stack(centres), np.zeros(len(points), np.intp)
    for _ in range(ROUNDS):
        before = nearest
        nearest = (2 * points @ middle.T - np.square(middle).sum(axis=1)).argmax(axis=1)
        if (before == nearest).all():
            break
        for cluster in np.unique(nearest):
            middle[cluster] = points[nearest == cluster].mean(axis=0)
    return nearest


# --- the job -------------------------------------------------------------------------------------


def draw(job: Slice) -> None:
    """Draw the live generation of the job's base."""
    live = next(iter(live_indexes([job.job.base_id])), None)
    rows = _passages(live) if live else []
    if live is None or not rows:
        raise JobFailed("empty", NOTHING_INDEXED)
    questions = open_questions.unanswered(job.job.base_id, MOST_QUESTIONS)
    total = len(rows) + len(questions)
    vectors, rows = _vectors(job, live, rows, total)
    if not rows:
        raise JobFailed("empty", NOTHING_INDEXED)
    languages = [language for _, _, language in rows]
    axes = fit(vectors, languages)
    job.progress(len(rows), total)
    places = axes.place(vectors, languages)
    documents = list(dict.fromkeys(str(document) for _, document, _ in rows))
    number = {document: n for n, document in enumerate(documents)}
    points = [
        [chunk, number[str(document)], round(float(x), 4), round(float(y), 4)]
        for (chunk, document, _), (x, y) in zip(rows, places, strict=True)
    ]
    asked = [
        [question.id, round(float(x), 4), round(float(y), 4)]
        for question, (x, y) in _placed(job, live, axes, questions, len(rows), total)
    ]
    with transaction.atomic():
        IndexMap.objects.update_or_create(
            generation_id=live.generation,
            defaults={
                "axes": {**axes.data(), "questions": asked, "seen": seen(live)},
                "documents": documents,
                "points": points,
            },
        )
        job.save({}, done=total, total=total)


def _passages(live: LiveIndex) -> list[tuple[int, Any, str]]:
    """(chunk, document, language), documents in order; in a large base every so-manieth."""
    found = Chunk.objects.filter(splitting=live.splitting, document__state=Document.State.READY)
    rows = list(
        found.order_by("document__created", "document_id", "position").values_list(
            "pk", "document_id", "document__language"
        )
    )
    return rows[:: -(-len(rows) // MOST_POINTS)] if rows else []


def _vectors(
    job: Slice, live: LiveIndex, rows: list[tuple[int, Any, str]], total: int
) -> tuple[Floats, list[tuple[int, Any, str]]]:
    """Their vectors (float32, (n, dimensions)), and the rows that have one."""
    found: list[Floats] = []
    kept: list[tuple[int, Any, str]] = []
    for at in range(0, len(rows), READ_BATCH):
        some = rows[at : at + READ_BATCH]
        ids, vectors = index.vectors(live.collection, [chunk for chunk, _, _ in some])
        place = {chunk: n for n, chunk in enumerate(ids)}
        here = [row for row in some if row[0] in place]
        if here:
            found.append(vectors[[place[chunk] for chunk, _, _ in here]])
            kept += here
        job.progress(len(kept), total)
        job.beat()
    return (np.concatenate(found) if found else np.zeros((0, 0), np.float32)), kept


def _placed(
    job: Slice,
    live: LiveIndex,
    axes: Axes,
    questions: Sequence[open_questions.OpenQuestion],
    done: int,
    total: int,
) -> Iterator[tuple[open_questions.OpenQuestion, Floats]]:
    """Questions are embedded as passages: the other way has a direction of its own, beside all of them.

    None with an embedder in a cloud: who asked while it was on this machine was told that nothing leaves it.
    """
    if is_cloud(live.embedder):
        return
    for at in range(0, len(questions), EMBED_BATCH):
        some = questions[at : at + EMBED_BATCH]
        try:
            vectors = embedder(live.embedder).embed_passages([question.text for question in some])
        except EmbedderUnavailable as error:
            log.warning("the map shows no questions: %s", error)
            return
        yield from zip(some, axes.place(vectors, [question.language for question in some]), strict=True)
        done += len(some)
        job.progress(done, total)


def _short(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]
