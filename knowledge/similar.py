"""Pairs of passages a person should look at: near-duplicates, and passages that may contradict each other.

    read ──► compare, 500 passages at a time ──► judge, one pair at a time

Near in meaning are the nearest neighbours above what a thousandth of all pairs reach: that holds for any embedder,
where a fixed cosine would not (e5 gives 0.8 to texts about anything). Near-duplicates share their words, too. Two
passages may contradict each other when a sentence of one is nearly one of the other, but with other numbers, another
date, or a "not"; a language model of this machine then says whether they do. Translations of an article (same file
name, another language) are no duplicates.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db import transaction

from llm.types import Account, ChatRequest, Message

from . import ask_model, index
from .generations import live_indexes
from .jobs import NOTHING_INDEXED, UNFINISHED, JobFailed, Slice
from .models import Chunk, Document, Job, PassagePair
from .pair_notes import difference, rule_note
from .passage_words import contained, grams, shared
from .types import LiveIndex

Floats = npt.NDArray[np.float32]
Kind = PassagePair.Kind

READ_BATCH, BLOCK = 1000, 500
NEIGHBOURS = 5
SAMPLE, NEAR_SHARE = 1000, 0.999
# Of the words of both, and of the shorter one's: a copy with an added paragraph is one, too.
DUPLICATE_SHARED, DUPLICATE_CONTAINED = 0.6, 0.85
JUDGE_TOKENS = 200
MOST_SHOWN = 2500  # characters of a passage
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "contradict": {"type": "boolean"}},
    "required": ["reason", "contradict"],
    "additionalProperties": False,
}
SYSTEM = (
    "You compare two passages of a knowledge base. They contradict each other only if both speak of the same thing "
    "and cannot both be true. Different examples, other subjects or more detail are no contradiction."
)
TASK = "First passage:\n{one}\n\nSecond passage:\n{other}\n\nThey differ here:\n- {first}\n- {second}\n\nDo they contradict each other? Give the reason in one sentence."  # noqa: E501


@dataclass(frozen=True, slots=True)
class Found:
    """One pair: chunk ids, the smaller first."""

    one: int
    other: int
    similarity: float


def find(job: Slice) -> None:
    """Find pairs in the live index of the job's base."""
    live = next(iter(live_indexes([job.job.base_id])), None)
    if live is None:
        raise JobFailed("empty", NOTHING_INDEXED)
    folder = _folder(job)
    if job.job.cursor.get("stage") != "judge":
        _compare(job, live, folder)
    shutil.rmtree(folder, ignore_errors=True)
    _judge(job)


def _folder(job: Slice) -> Path:
    """For the vectors of this job between two slices; those of jobs that are over go here, too."""
    parent = Path(settings.DATA_DIR) / "run" / "jobs"
    if parent.exists():
        open_jobs = {str(pk) for pk in Job.objects.filter(state__in=UNFINISHED).values_list("pk", flat=True)}
        for left in parent.iterdir():
            if left.name not in open_jobs:
                shutil.rmtree(left, ignore_errors=True)
    return parent / str(job.job.pk)


# --- compare -------------------------------------------------------------------------------------


def _compare(job: Slice, live: LiveIndex, folder: Path) -> None:
    ids, vectors = _read(job, live, folder)
    if not len(ids):
        raise JobFailed("empty", NOTHING_INDEXED)
    near = _threshold(vectors)
    for row in range(int(job.job.cursor.get("row", 0)), len(ids), BLOCK):
        pairs = list(_neighbours(ids, vectors, row, near, job))
        after = row + BLOCK
        cursor = {"row": after} if after < len(ids) else {"stage": "judge"}
        with transaction.atomic():
            made = _store(pairs)
            job.save(cursor, done=min(after, len(ids)), total=len(ids), found=made)
        job.pause()


def _read(job: Slice, live: LiveIndex, folder: Path) -> tuple[npt.NDArray[np.int64], Floats]:
    """Ids (n,) and vectors (n, dimensions), mapped from a file that the next slice finds there."""
    names = folder / "ids.npy", folder / "vectors.npy"
    if not all(name.exists() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        found, total = _fetched(job, live)
        ids = np.array([id_ for id_, _ in found], np.int64)
        vectors = np.stack([vector for _, vector in found]) if found else np.zeros((0, 0), np.float32)
        np.save(names[1], vectors)
        np.save(names[0], ids)
        with transaction.atomic():
            job.save({"row": 0}, done=0, total=total)
    return np.load(names[0]), np.load(names[1], mmap_mode="r")


def _fetched(job: Slice, live: LiveIndex) -> tuple[list[tuple[int, Floats]], int]:
    chunks = Chunk.objects.filter(splitting=live.splitting, document__state=Document.State.READY)
    wanted = list(chunks.order_by("pk").values_list("pk", flat=True))
    found: list[tuple[int, Floats]] = []
    for at in range(0, len(wanted), READ_BATCH):
        ids, vectors = index.vectors(live.collection, wanted[at : at + READ_BATCH])
        found += sorted(zip(ids, vectors, strict=True), key=lambda pair: pair[0])
        job.beat()
    return found, len(wanted)


def _threshold(vectors: Floats) -> float:
    """The cosine that one in a thousand pairs of passages reaches."""
    chosen = np.random.default_rng(0).permutation(len(vectors))[:SAMPLE]
    some = vectors[np.sort(chosen)]
    cosines = (some @ some.T)[np.triu_indices(len(some), 1)]
    # In a base of a few passages a thousandth is none: the best quarter of their pairs then.
    share = min(NEAR_SHARE, 1 - 10 / len(cosines)) if len(cosines) > 13 else 0.0
    return float(np.quantile(cosines, share)) if len(cosines) else 1.0


def _neighbours(ids: npt.NDArray[np.int64], vectors: Floats, row: int, near: float, job: Slice) -> Iterator[Found]:
    """The nearest of each passage of this block among those behind it, so that each pair comes up once."""
    block = np.asarray(vectors[row : row + BLOCK])
    best: list[list[tuple[float, int]]] = [[] for _ in block]
    for start in range(row, len(ids), 20 * BLOCK):
        cosines = block @ np.asarray(vectors[start : start + 20 * BLOCK]).T
        for at, other in zip(*np.nonzero(cosines >= near), strict=True):
            if start + other > row + at:
                best[at].append((float(cosines[at, other]), int(start + other)))
        job.beat()
    for at, found in enumerate(best):
        for cosine, other in sorted(found, reverse=True)[:NEIGHBOURS]:
            yield Found(int(ids[row + at]), int(ids[other]), cosine)


def _store(pairs: Sequence[Found]) -> int:
    """Duplicates and what may be a contradiction; a pair that is known, dismissed or not, stays as it is."""
    chunks = {
        chunk.pk: chunk
        for chunk in Chunk.objects.filter(pk__in={id_ for pair in pairs for id_ in (pair.one, pair.other)})
        .select_related("document")
        .defer("headings")
    }
    words = {pk: grams(chunk.text) for pk, chunk in chunks.items()}
    rows = []
    for pair in pairs:
        one, other = chunks.get(pair.one), chunks.get(pair.other)
        if one is None or other is None or not _comparable(one, other):
            continue
        kind, note = _verdict(one, other, words)
        if kind is not None:
            rows.append(
                PassagePair(
                    base_id=one.document.base_id, one=one, other=other, kind=kind, similarity=pair.similarity, note=note
                )
            )
    known = set(PassagePair.objects.filter(one__in=[row.one_id for row in rows]).values_list("one_id", "other_id"))
    fresh = [row for row in rows if (row.one_id, row.other_id) not in known]
    PassagePair.objects.bulk_create(fresh, ignore_conflicts=True)
    return len(fresh)


def _comparable(one: Chunk, other: Chunk) -> bool:
    """Not neighbours in one text, and not in two languages, where words and rules say nothing."""
    if one.document_id == other.document_id:
        return abs(one.position - other.position) > 1
    spoken = {one.document.language, other.document.language} - {""}
    return len(spoken) < 2


def _verdict(one: Chunk, other: Chunk, words: dict[int, frozenset[str]]) -> tuple[PassagePair.Kind | None, str]:
    differ = difference(one.text, other.text)
    if differ is not None:
        return Kind.CONTRADICTION, rule_note(differ)
    mine, theirs = words[one.pk], words[other.pk]
    if shared(mine, theirs) >= DUPLICATE_SHARED or contained(mine, theirs) >= DUPLICATE_CONTAINED:
        return Kind.DUPLICATE, ""
    return None, ""


# --- judge ---------------------------------------------------------------------------------------


def _judge(job: Slice) -> None:
    """Ask about each candidate; without a model they stay what the rules made of them, and are marked so."""
    cloud = bool(job.job.options.get("cloud"))
    asked = ask_model.models(cloud=cloud)
    if not asked:
        return
    candidates = PassagePair.objects.filter(
        base=job.job.base_id, kind=Kind.CONTRADICTION, note__startswith="#", dismissed=False
    )
    last = int(job.job.cursor.get("after", 0))
    left = list(candidates.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True))
    done = int(job.job.cursor.get("judged", 0))
    total = done + len(left)
    for pk in left:
        pair = candidates.select_related("one", "other").filter(pk=pk).first()
        verdict = _asked(job, pair, asked, cloud) if pair is not None else None
        done += 1
        with transaction.atomic():
            job.save({"stage": "judge", "after": pk, "judged": done}, done=done, total=total)
            if verdict is not None:
                # "No" keeps the pair out of sight, and a later run from asking again.
                contradict, reason = verdict
                PassagePair.objects.filter(pk=pk).update(note=reason, dismissed=not contradict)
        if pk != left[-1]:
            job.pause()


def _asked(job: Slice, pair: PassagePair, asked: Sequence[Any], cloud: bool) -> tuple[bool, str] | None:
    differ = difference(pair.one.text, pair.other.text)
    if differ is None:
        return None  # the text has changed meanwhile
    task = TASK.format(
        one=pair.one.text[:MOST_SHOWN], other=pair.other.text[:MOST_SHOWN], first=differ.one, second=differ.other
    )
    request = ChatRequest(
        messages=[Message("system", SYSTEM), Message("user", task)],
        max_tokens=JUDGE_TOKENS,
        temperature=0.0,
        private=not cloud,
        account=Account(purpose="contradictions"),
    )
    found, model = ask_model.ask(job, request, SCHEMA, asked)
    if found is None or not found["reason"].strip():
        return None
    return bool(found["contradict"]), f"{found['reason'].strip().lstrip('#')} ({model})"
