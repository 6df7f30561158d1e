"""The first half of indexing: files become text, chunks and words in SQL; see ingest.py for the second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction

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


def read(token: str, embedder: Embedder, beat: Callable[[], None]) -> list[Work]:
    """Parse what the claim holds and is not whole yet, write it, and list what is left to embed.

    What cannot be parsed is failed with its reason. beat: called about each second, to renew leases.
    """
    documents = list(leases.claimed(token).order_by("created"))
    for document, loaded in _load([document for document in documents if not document.chunks_total], beat):
        if isinstance(loaded, LoadError):
            leases.fail(token, document.pk, loaded)
        else:
            _write(token, document, loaded, split(loaded, embedder.count_tokens), beat)
    works = []
    for document in leases.claimed(token).select_related("base").order_by("created"):
        generation = services.live_generation(base=document.base, embedder=embedder.id, dimensions=embedder.dimensions)
        works.append(Work(document.pk, generation, _left(document)))
    return works


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


def _write(
    token: str, document: Document, loaded: LoadedDocument, drafts: Sequence[ChunkDraft], beat: Callable[[], None]
) -> None:
    """Text, chunks and words, in one transaction for most documents, in several for a book.

    `chunks_total` stays 0 until all is there: until then nothing of it is found or cited.
    """
    title = document.title
    if loaded.title and title == Path(document.filename).stem:
        title = loaded.title[:300]
    for first in range(0, len(drafts), WRITE_BATCH):
        some = drafts[first : first + WRITE_BATCH]
        texts = [passage_text(title, draft.headings, draft.text) for draft in some]
        with transaction.atomic():
            if not leases.holds(token, document.pk):
                return
            if first == 0:
                services.remove_chunks(document_id=document.pk)
                DocumentText.objects.update_or_create(document=document, defaults={"text": loaded.text})
                leases.claimed(token).filter(pk=document.pk).update(title=title)
            chunks = Chunk.objects.bulk_create(_chunk(document, first + at, draft) for at, draft in enumerate(some))
            lexical.add(
                lexical.rows(
                    lexical.Entry(chunk.pk, document.base_id, text) for chunk, text in zip(chunks, texts, strict=True)
                )
            )
            if first + WRITE_BATCH >= len(drafts):
                leases.claimed(token).filter(pk=document.pk).update(chunks_total=len(drafts), chunks_done=0)
        beat()


def _chunk(document: Document, position: int, draft: ChunkDraft) -> Chunk:
    return Chunk(
        document=document,
        position=position,
        start=draft.start,
        end=draft.end,
        text=draft.text,
        headings=list(draft.headings),
        page=draft.page,
        tokens=draft.tokens,
    )


def _left(document: Document) -> list[tuple[int, str]]:
    rows = Chunk.objects.filter(document=document, position__gte=document.chunks_done).order_by("position")
    return [
        (pk, passage_text(document.title, headings, text))
        for pk, headings, text in rows.values_list("pk", "headings", "text")
    ]
