"""Passages and approved questions in SQL and in the lexical index, which are always written together.

Everything here belongs inside a transaction of the caller. A document is whole in a splitting when it has a passage
at position 0 there: where a book takes several transactions, that one is written last and removed first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from . import lexical
from .entry_ids import entry_id
from .models import Chunk, Document, QuestionAnswer
from .splitting import ChunkDraft, passage_text

REMOVE_BATCH = 500


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage to be written."""

    document: UUID
    title: str
    splitting: int
    position: int
    draft: ChunkDraft


@dataclass(frozen=True, slots=True)
class QuestionEntry:
    """An approved question as the indexes hold it in one splitting. text: what is embedded and indexed."""

    id: int
    splitting: int
    text: str


def write(made: Sequence[NewPassage]) -> None:
    """Passages that are not there yet, with their words."""
    chunks = Chunk.objects.bulk_create(_chunk(one) for one in made)
    lexical.add(
        lexical.rows(
            lexical.Entry(chunk.pk, one.splitting, passage_text(one.title, one.draft.headings, one.draft.text))
            for chunk, one in zip(chunks, made, strict=True)
        ),
        fresh=True,
    )


def _chunk(one: NewPassage) -> Chunk:
    draft = one.draft
    return Chunk(
        document_id=one.document,
        splitting_id=one.splitting,
        position=one.position,
        start=draft.start,
        end=draft.end,
        text=draft.text,
        headings=list(draft.headings),
        page=draft.page,
        tokens=draft.tokens,
    )


def remove(*, document_id: UUID, splitting_id: int | None = None, most: int | None = None) -> list[int]:
    """Forget a document's passages, of one splitting or of all, at most so many of them.

    Gives the ids of the entries that may have vectors.
    """
    rows = Chunk.objects.filter(document=document_id)
    if splitting_id is not None:
        rows = rows.filter(splitting=splitting_id)
    chunks = list(rows.order_by("position").values_list("pk", flat=True)[:most])
    if not chunks:
        return []
    splittings = None if splitting_id is None else [splitting_id]
    questions = [entry.id for entry in question_entries(approved().filter(document=document_id), splittings)]
    lexical.remove(questions)
    for at in range(0, len(chunks), REMOVE_BATCH):
        some = chunks[at : at + REMOVE_BATCH]
        lexical.remove(some)
        Chunk.objects.filter(pk__in=some).delete()  # Django loads what it deletes: a book at once took 110 MB
    return chunks + questions


def whole(splitting_id: int) -> Exists:
    """For a filter of documents: all its passages of this splitting are written."""
    return Exists(Chunk.objects.filter(document=OuterRef("pk"), splitting=splitting_id, position=0))


def uncut(base_id: int, splitting_id: int) -> QuerySet[Document]:
    """Documents that are whole in another splitting, but not in this one."""
    states = (Document.State.READY, Document.State.PENDING, Document.State.PROCESSING)
    waiting = Document.objects.filter(base=base_id, chunks_total__gt=0, state__in=states)
    return waiting.exclude(whole(splitting_id))


# --- approved questions --------------------------------------------------------------------------


def approved() -> QuerySet[QuestionAnswer]:
    return QuestionAnswer.objects.filter(state=QuestionAnswer.State.APPROVED)


def question_entries(
    questions: Iterable[QuestionAnswer], splittings: Sequence[int] | None = None
) -> list[QuestionEntry]:
    """The entries of questions in these splittings, or in all: each leads to the passage it overlaps most.

    A question whose stretch is in no passage has none.
    """
    wanted = list(questions)
    spans = _spans({question.document_id for question in wanted}, splittings)
    entries: list[QuestionEntry] = []
    for question in wanted:
        for splitting, known in spans.get(question.document_id, {}).items():
            chunk = _most_overlapping(known, question.start, question.end)
            if chunk is not None:
                text = f"{question.question}\n{question.answer}"
                entries.append(QuestionEntry(entry_id(question.pk, chunk), splitting, text))
    return entries


def write_questions(entries: Sequence[QuestionEntry]) -> None:
    """Their words, replacing."""
    if entries:
        lexical.add(lexical.rows(lexical.Entry(entry.id, entry.splitting, entry.text) for entry in entries))


_Span = tuple[int, int, int]  # start, end, chunk


def _spans(documents: set[UUID], splittings: Sequence[int] | None) -> dict[UUID, dict[int, list[_Span]]]:
    if not documents:
        return {}
    rows = Chunk.objects.filter(document__in=documents).order_by("start")
    if splittings is not None:
        rows = rows.filter(splitting__in=splittings)
    spans: dict[UUID, dict[int, list[_Span]]] = {}
    for document, splitting, start, end, pk in rows.values_list("document", "splitting", "start", "end", "pk"):
        spans.setdefault(document, {}).setdefault(splitting, []).append((start, end, pk))
    return spans


def _most_overlapping(spans: Sequence[_Span], start: int, end: int) -> int | None:
    """spans: in order and apart from each other."""
    best, chunk = 0, None
    for at in range(max(0, bisect_left(spans, (start, 0, 0)) - 1), len(spans)):
        first, last, pk = spans[at]
        if first >= end:
            break
        overlap = min(end, last) - max(start, first)
        if overlap > best:
            best, chunk = overlap, pk
    return chunk
