"""The first half of indexing: files become text, chunks and words in SQL; see ingest.py for the second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import F

from . import leases, lexical, services
from .embedding.types import Embedder
from .loaders import known_suffix, sandbox
from .loaders.errors import LoadError
from .loaders.types import LoadedDocument
from .models import Chunk, Document, DocumentText, IndexGeneration
from .splitting import ChunkDraft, passage_text, split

# Chunks per transaction: an SQLite writer must not hold others up for longer than about 0.2 s.
WRITE_BATCH = 400


@dataclass
class Work:
    """A document whose chunks are whole, and those that are not embedded yet: (id, text to embed)."""

    document: UUID
    generation: IndexGeneration
    chunks: list[tuple[int, str]]
    starter: bool = False


def read(token: str, embedder: Embedder, beat: Callable[[], None]) -> list[Work]:
    """Parse what the claim holds and is not whole yet, write it, and list what is left to embed.

    What cannot be parsed is failed with its reason. beat: called about each second, to renew leases.
    """
    documents = list(leases.claimed(token).select_related("base").order_by("created"))
    generations = _generations(documents, embedder)
    parsed: list[_Parsed] = []
    for document, loaded in _load([document for document in documents if not document.chunks_total], beat):
        if isinstance(loaded, LoadError):
            leases.fail(token, document.pk, loaded)
        else:
            splitting = generations[document.base_id].splitting_id
            parsed.append(_Parsed(document, splitting, loaded, split(loaded, embedder.count_tokens)))
    for some in _batches(parsed):
        if len(some) == 1:
            _write_one(token, some[0], beat)
        else:
            _write_together(token, some)
            beat()
    return _works(token, generations)


def _generations(documents: Sequence[Document], embedder: Embedder) -> dict[int, IndexGeneration]:
    """The live generation of each base, made for this embedder where there is none."""
    return {
        base.pk: services.live_generation(base=base, embedder=embedder.id, dimensions=embedder.dimensions)
        for base in {document.base.pk: document.base for document in documents}.values()
    }


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
        Work(document.pk, generations[document.base_id], left[document.pk], bool(document.starter))
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


def _load(documents: Sequence[Document], beat: Callable[[], None]) -> list[tuple[Document, sandbox.Loaded]]:
    jobs: list[sandbox.Job] = []
    refused: dict[UUID, sandbox.Loaded] = {}
    for document in documents:
        try:
            jobs.append((Path(document.file.path), known_suffix(document.filename)))
        except LoadError as error:
            refused[document.pk] = error
    found = iter(sandbox.load_many(jobs, beat=beat) if jobs else [])
    return [(document, refused.get(document.pk) or next(found)) for document in documents]


def _write_together(token: str, some: Sequence[_Parsed]) -> None:
    """Small documents in one transaction: a dozen statements for each of them would take as long as their text."""
    with transaction.atomic():
        with suppress(leases.LeaseLost):
            leases.renew(token)
        held = set(leases.claimed(token).values_list("pk", flat=True))
        mine = [one for one in some if one.document.pk in held]
        _remove_left_over([one.document for one in mine])
        _keep_texts(mine)
        drafts = [(one, at, draft) for one in mine for at, draft in enumerate(one.drafts)]
        chunks = Chunk.objects.bulk_create(_chunk(one, at, draft) for one, at, draft in drafts)
        _add_words([(chunk, one, draft) for chunk, (one, _, draft) in zip(chunks, drafts, strict=True)])
        for one in mine:
            leases.claimed(token).filter(pk=one.document.pk).update(
                title=one.title, chunks_total=len(one.drafts), chunks_done=0
            )


def _write_one(token: str, one: _Parsed, beat: Callable[[], None]) -> None:
    """Text, chunks and words in several transactions for a book.

    `chunks_total` stays 0 until all is there: until then nothing of it is found or cited.
    """
    document, drafts = one.document, one.drafts
    for first in range(0, len(drafts), WRITE_BATCH):
        some = drafts[first : first + WRITE_BATCH]
        with transaction.atomic():
            if not leases.holds(token, document.pk):
                return
            if first == 0:
                _remove_left_over([document])
                _keep_texts([one])
                leases.claimed(token).filter(pk=document.pk).update(title=one.title)
            chunks = Chunk.objects.bulk_create(_chunk(one, first + at, draft) for at, draft in enumerate(some))
            _add_words([(chunk, one, draft) for chunk, draft in zip(chunks, some, strict=True)])
            if first + WRITE_BATCH >= len(drafts):
                leases.claimed(token).filter(pk=document.pk).update(chunks_total=len(drafts), chunks_done=0)
        beat()


def _remove_left_over(documents: Sequence[Document]) -> None:
    """What an attempt that died in the middle of a book has written."""
    stale = Chunk.objects.filter(document__in=documents).order_by().values_list("document", flat=True).distinct()
    for pk in list(stale):
        services.remove_chunks(document_id=pk)


def _keep_texts(parsed: Sequence[_Parsed]) -> None:
    DocumentText.objects.bulk_create(
        [DocumentText(document=one.document, text=one.loaded.text) for one in parsed],
        update_conflicts=True,
        unique_fields=["document"],
        update_fields=["text"],
    )


def _add_words(written: Sequence[tuple[Chunk, _Parsed, ChunkDraft]]) -> None:
    lexical.add(
        lexical.rows(
            lexical.Entry(chunk.pk, one.splitting, passage_text(one.title, draft.headings, draft.text))
            for chunk, one, draft in written
        ),
        fresh=True,
    )


def _chunk(one: _Parsed, position: int, draft: ChunkDraft) -> Chunk:
    return Chunk(
        document=one.document,
        splitting_id=one.splitting,
        position=position,
        start=draft.start,
        end=draft.end,
        text=draft.text,
        headings=list(draft.headings),
        page=draft.page,
        tokens=draft.tokens,
    )
