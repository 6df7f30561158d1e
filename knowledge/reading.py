"""The first half of indexing: files become text, chunks and words in SQL; see ingest.py for the second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import F

from . import leases, passages, services, stored
from .embedding.registry import embedder as embedder_for
from .generations import live
from .loaders import known_suffix, sandbox
from .loaders.errors import LoadError
from .loaders.types import LoadedDocument
from .models import Chunk, Document, DocumentText, IndexGeneration, KnowledgeBase, QuestionAnswer
from .splitting import ChunkDraft, passage_text, split

# Chunks per transaction: an SQLite writer must not hold others up for longer than about 0.2 s.
WRITE_BATCH = 400


@dataclass
class Work:
    """A document whose chunks are whole, and those that are not embedded yet: (id, text to embed).

    replaces    it is a new version: the older one goes when this one is ready
    """

    document: UUID
    generation: IndexGeneration
    chunks: list[tuple[int, str]]
    replaces: bool = False


class _Fewer(Exception):
    """A document of the claim was cancelled, deleted or taken over while it was being parsed."""


def read(token: str, beat: Callable[[], None]) -> list[Work]:
    """Parse what the claim holds and is not whole yet, write it, and list what is left to embed.

    What cannot be parsed is failed with its reason. beat: called about each second, to renew leases.
    Raises EmbedderUnavailable.
    """
    documents = list(leases.claimed(token).select_related("base").order_by("created"))
    generations = _generations(documents)
    parsed: list[_Parsed] = []
    for document, loaded in _load(token, [document for document in documents if not document.chunks_total], beat):
        if isinstance(loaded, LoadError):
            leases.fail(token, document.pk, loaded)
        else:
            generation = generations[document.base_id]
            drafts = split(loaded, embedder_for(generation.embedder).count_tokens)
            parsed.append(_Parsed(document, generation.splitting_id, loaded, drafts))
    for some in _batches(parsed):
        if len(some) == 1:
            _write_one(token, some[0], beat)
        else:
            _write_together(token, some)
            beat()
    return _works(token, generations)


def _generations(documents: Sequence[Document]) -> dict[int, IndexGeneration]:
    """The live generation of each base, which keeps its own embedder; a base without one gets COACH_EMBEDDER's."""
    return {base.pk: _generation(base) for base in {document.base.pk: document.base for document in documents}.values()}


def _generation(base: KnowledgeBase) -> IndexGeneration:
    found = live(base.pk)
    if found is not None:
        return found
    embedder = embedder_for()
    return services.live_generation(base=base, embedder=embedder.id, dimensions=embedder.dimensions)


def _works(token: str, generations: Mapping[int, IndexGeneration]) -> list[Work]:
    documents = list(leases.claimed(token).order_by("created"))
    left: dict[UUID, list[tuple[int, str]]] = {document.pk: [] for document in documents}
    titles = {document.pk: document.title for document in documents}
    splittings = {generation.splitting_id for generation in generations.values()}
    rows = Chunk.objects.filter(document__in=titles, splitting__in=splittings, position__gte=F("document__chunks_done"))
    for pk, document, headings, text in rows.order_by("document", "position").values_list(
        "pk", "document_id", "headings", "text"
    ):
        left[document].append((pk, passage_text(titles[document], headings, text)))
    return [
        Work(document.pk, generations[document.base_id], left[document.pk], document.replaces_id is not None)
        for document in documents
    ]


@dataclass(frozen=True, slots=True)
class _Parsed:
    document: Document
    splitting: int
    loaded: LoadedDocument
    drafts: Sequence[ChunkDraft]

    @property
    def title(self) -> str:
        """The document's own title instead of one that was made of the file name."""
        found = self.loaded.title[:300]
        return found if found and self.document.title == Path(self.document.filename).stem else self.document.title

    def passage(self, at: int) -> passages.NewPassage:
        return passages.NewPassage(self.document.pk, self.title, self.splitting, at, self.drafts[at])


def _batches(parsed: Sequence[_Parsed]) -> Iterator[list[_Parsed]]:
    """Small documents together, up to WRITE_BATCH chunks; a larger one alone."""
    batch: list[_Parsed] = []
    for one in parsed:
        if batch and sum(len(other.drafts) for other in batch) + len(one.drafts) > WRITE_BATCH:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _load(
    token: str, documents: Sequence[Document], beat: Callable[[], None]
) -> Iterator[tuple[Document, sandbox.Loaded]]:
    """Documents with what is in them; one that is cancelled meanwhile ends the child, and the others begin again."""
    found: list[sandbox.Loaded] = []
    jobs: dict[UUID, sandbox.Job] = {}
    for document in documents:
        try:
            jobs[document.pk] = (Path(document.file.path), known_suffix(document.filename))
        except LoadError as error:
            yield document, error
    wanted = [document for document in documents if document.pk in jobs]
    while wanted:
        known = len(wanted)

        def alive(known: int = known, some: Sequence[UUID] = tuple(document.pk for document in wanted)) -> None:
            beat()
            if leases.claimed(token).filter(pk__in=some).count() < known:
                raise _Fewer

        try:
            found = sandbox.load_many([jobs[document.pk] for document in wanted], beat=alive)
            break
        except _Fewer:
            held = set(leases.claimed(token).values_list("pk", flat=True))
            wanted = [document for document in wanted if document.pk in held]
    yield from zip(wanted, found, strict=True)


def _write_together(token: str, some: Sequence[_Parsed]) -> None:
    """Small documents in one transaction: a dozen statements for each of them would take as long as their text."""
    with transaction.atomic():
        held = leases.lock(token)
        mine = [one for one in some if one.document.pk in held]
        if not mine:
            return
        _remove_left_over([one.document for one in mine])
        _keep_texts(mine)
        passages.write([one.passage(at) for one in mine for at in range(len(one.drafts))])
        _add_questions([one.document for one in mine])
        for one in mine:
            leases.claimed(token).filter(pk=one.document.pk).update(
                title=one.title, chunks_total=len(one.drafts), chunks_done=0
            )


def _write_one(token: str, one: _Parsed, beat: Callable[[], None]) -> None:
    """Text, chunks and words in several transactions for a book, its beginning last.

    `chunks_total` stays 0 until all is there: until then nothing of it is found or cited.
    """
    document = one.document
    firsts = list(reversed(range(0, len(one.drafts), WRITE_BATCH)))
    for first in firsts:
        with transaction.atomic():
            if not leases.holds(token, document.pk):
                return
            if first == firsts[0]:
                _remove_left_over([document])
                _keep_texts([one])
                leases.claimed(token).filter(pk=document.pk).update(title=one.title)
            passages.write([one.passage(at) for at in range(first, min(first + WRITE_BATCH, len(one.drafts)))])
            if first == 0:
                _add_questions([document])
                leases.claimed(token).filter(pk=document.pk).update(chunks_total=len(one.drafts), chunks_done=0)
        beat()


def _remove_left_over(documents: Sequence[Document]) -> None:
    """What an attempt that died in the middle of a book has written."""
    stale = Chunk.objects.filter(document__in=documents).order_by().values_list("document", flat=True).distinct()
    for pk in list(stale):
        services.remove_chunks(document_id=pk)


def _keep_texts(parsed: Sequence[_Parsed]) -> None:
    DocumentText.objects.bulk_create(
        [
            DocumentText(document=one.document, text=one.loaded.text, blocks=stored.pack(one.loaded.blocks))
            for one in parsed
        ],
        update_conflicts=True,
        unique_fields=["document"],
        update_fields=["text", "blocks"],
    )


def _add_questions(documents: Sequence[Document]) -> None:
    """The approved questions of documents that are read again lead to their new passages."""
    questions = list(QuestionAnswer.objects.filter(document__in=documents, state=QuestionAnswer.State.APPROVED))
    if questions:
        passages.write_questions(passages.question_entries(questions))
