"""From a pending document to a searchable one. Any step can be killed and done again:

    claim ─► parse in the sandbox ─► text, chunks, words in SQL ─► embed ─► Chroma ─► ready
                                     (whole when chunks_total > 0)  └─ batch by batch, chunks_done counts ─┘

After a restart a document whose chunks are whole goes on at `chunks_done`; else it is parsed again. Vectors are
stored under their chunk's id, so that a batch that was added but not counted is replaced, never doubled.
Small documents are taken together: one child parses them all, and batches of chunks go across them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, IntegerField, Value, When

from . import index, leases, lexical, services
from .embedding.errors import EmbedderUnavailable
from .embedding.registry import embedder as embedder_for
from .embedding.types import Embedder, Floats
from .errors import IndexUnavailable
from .leases import LeaseLost
from .loaders import known_suffix, sandbox
from .loaders.errors import LoadError
from .loaders.types import LoadedDocument
from .models import Chunk, Document, IndexGeneration
from .splitting import ChunkDraft, passage_text, split

log = logging.getLogger(__name__)

# Documents that are read and embedded together: at most so many, of so many bytes in all.
GROUP_DOCUMENTS, GROUP_BYTES, ALONE_CHUNKS = 32, 2 * 1024 * 1024, 64
EMBED_BATCH = 32
# Chunks per transaction: an SQLite writer must not hold others up for longer than about 0.2 s.
WRITE_BATCH = 400

Clock = Callable[[], float]
T = TypeVar("T")


@dataclass
class _Work:
    """One document of a claim."""

    document: Document
    generation: IndexGeneration
    chunks: list[tuple[int, str]] = field(default_factory=list)  # id and text to embed, of what is left


def process_document(document_id: UUID, worker: str) -> None:
    """Index one document if it is claimable; its state tells how it went.

    Raises EmbedderUnavailable or IndexUnavailable after putting it back.
    """
    _process(leases.claim([document_id], worker), lambda: False)


def process_pending(worker: str, deadline: float, clock: Clock = time.monotonic) -> int:
    """Index what waits until nothing is left or `deadline` (of `clock`) has passed; gives how many it took.

    Raises EmbedderUnavailable or IndexUnavailable after putting the documents back.
    """
    taken = 0
    while clock() < deadline:
        group = _next_group()
        if not group:
            break
        taken += len(group)
        _process(leases.claim(group, worker), lambda: clock() >= deadline)
    return taken


def _next_group() -> list[UUID]:
    """The longest waiting document, with the small ones that wait behind it.

    One that was tried before goes alone: if it kills its worker, no other document pays for it.
    """
    group: list[UUID] = []
    total = 0
    for pk, size, attempts, chunks in (
        leases.claimable().order_by("updated").values_list("pk", "bytes", "attempts", "chunks_total")[:GROUP_DOCUMENTS]
    ):
        alone = attempts > 0 or size > GROUP_BYTES // 4 or chunks > ALONE_CHUNKS
        if alone and group:
            continue
        if total + size > GROUP_BYTES and group:
            break
        group.append(pk)
        total += size
        if alone:
            break
    return group


def _process(token: str, late: Callable[[], bool]) -> None:
    try:
        embedder = embedder_for()
        works = _prepare(token, embedder)
        for generation in {work.generation.embedder: work.generation for work in works}.values():
            same = [work for work in works if work.generation.embedder == generation.embedder]
            _embed(token, same, embedder_for(generation.embedder), late)
        leases.release(token)
    except LeaseLost:
        return
    except (EmbedderUnavailable, IndexUnavailable) as error:
        code = getattr(error, "code", "embedder_unavailable")
        log.warning("indexing waits: %s", error)
        leases.release(token, error_code=code, error=str(error))
        raise


# --- text and chunks -----------------------------------------------------------------------------


def _prepare(token: str, embedder: Embedder) -> list[_Work]:
    """Parse what is not whole yet, write it, and list what is left to embed."""
    documents = list(leases.claimed(token).defer("text").select_related("base").order_by("created"))
    unread = [document for document in documents if not document.chunks_total]
    for document, loaded in _load(token, unread):
        if isinstance(loaded, LoadError):
            leases.fail(token, document.pk, loaded)
        else:
            _write(token, document, loaded, split(loaded, embedder.count_tokens))
    works = []
    for document in leases.claimed(token).defer("text").select_related("base").order_by("created"):
        generation = services.live_generation(base=document.base, embedder=embedder.id, dimensions=embedder.dimensions)
        works.append(_Work(document, generation, _left(document)))
    return works


def _load(token: str, documents: Sequence[Document]) -> list[tuple[Document, sandbox.Loaded]]:
    if not documents:
        return []
    jobs: list[sandbox.Job] = []
    results: dict[UUID, sandbox.Loaded] = {}
    for document in documents:
        try:
            jobs.append((Path(document.file.path), known_suffix(document.filename)))
        except LoadError as error:
            results[document.pk] = error
    found = iter(sandbox.load_many(jobs, beat=lambda: leases.renew(token)) if jobs else [])
    return [(document, results.get(document.pk) or next(found)) for document in documents]


def _write(token: str, document: Document, loaded: LoadedDocument, drafts: Sequence[ChunkDraft]) -> None:
    """Text, chunks and words, in one transaction for most documents, in several for a book.

    `chunks_total` stays 0 until all is there: until then nothing of it is found or cited.
    """
    title = document.title
    if loaded.title and title == Path(document.filename).stem:
        title = loaded.title[:300]
    text = loaded.text
    for number, some in enumerate(_slices(drafts, WRITE_BATCH)):
        texts = [passage_text(title, draft.headings, draft.text) for draft in some]
        with transaction.atomic():
            if not leases.holds(token, document.pk):
                return
            if number == 0:
                services.remove_chunks(document_id=document.pk)
                leases.claimed(token).filter(pk=document.pk).update(text=text, title=title)
            chunks = Chunk.objects.bulk_create(
                _chunk(document, number * WRITE_BATCH + at, d) for at, d in enumerate(some)
            )
            entries = [
                lexical.Entry(chunk.pk, document.base_id, text) for chunk, text in zip(chunks, texts, strict=True)
            ]
            lexical.add(lexical.rows(entries))
            if (number + 1) * WRITE_BATCH >= len(drafts):
                leases.claimed(token).filter(pk=document.pk).update(chunks_total=len(drafts), chunks_done=0)


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


# --- vectors -------------------------------------------------------------------------------------


Item = tuple[_Work, int, str]  # the document, the chunk's id, the text to embed


def _embed(token: str, works: Sequence[_Work], embedder: Embedder, late: Callable[[], bool]) -> None:
    """Embed and store, batch by batch; stops when it is late. Raises LeaseLost when nothing of the claim is left.

    While a batch is stored and counted the next one is embedded already: the embedder never waits for a server.
    """
    open_: dict[UUID, int] = {work.document.pk: len(work.chunks) for work in works}
    for work in works:
        if not work.chunks:
            _finish(token, work.document.pk)
    queue: list[Item] = [(work, pk, text) for work in works for pk, text in work.chunks]
    held = set(open_)
    with ThreadPoolExecutor(1, thread_name_prefix="embed") as ahead:
        waiting: deque[tuple[Sequence[Item], Future[Floats]]] = deque()
        for batch in [*_slices(queue, EMBED_BATCH), ()]:
            if batch:
                waiting.append((batch, ahead.submit(embedder.embed_passages, [text for _, _, text in batch])))
            if len(waiting) > 1 or (waiting and not batch):
                done, vectors = waiting.popleft()
                held = _store(token, done, vectors.result(), held, open_)
                if late():
                    return


def _store(token: str, batch: Sequence[Item], vectors: Floats, held: set[UUID], open_: dict[UUID, int]) -> set[UUID]:
    """Vectors into Chroma, then counted; gives what the claim still holds."""
    rows = [at for at, (work, _, _) in enumerate(batch) if work.document.pk in held]
    for collection in dict.fromkeys(batch[at][0].generation.collection for at in rows):
        same = [at for at in rows if batch[at][0].generation.collection == collection]
        index.add(collection, [batch[at][1] for at in same], vectors[same])
    return _count(token, [batch[at] for at in rows], open_)


def _count(token: str, batch: Sequence[Item], open_: dict[UUID, int]) -> set[UUID]:
    """Count the batch, renew the lease, finish whole documents; gives what the claim still holds."""
    done: dict[UUID, int] = {}
    for work, _, _ in batch:
        done[work.document.pk] = done.get(work.document.pk, 0) + 1
    steps = [When(pk=pk, then=Value(count)) for pk, count in done.items()]
    with transaction.atomic():
        leases.renew(token)
        held = set(leases.claimed(token).values_list("pk", flat=True))
        leases.claimed(token).filter(pk__in=done).update(
            chunks_done=F("chunks_done") + Case(*steps, default=Value(0), output_field=IntegerField())
        )
    for pk, count in done.items():
        open_[pk] -= count
        if not open_[pk]:
            _finish(token, pk)
    return held


def _finish(token: str, document: UUID) -> None:
    if leases.finish(token, document):
        services.retire_replaced(document_id=document)


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
