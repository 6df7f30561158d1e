"""What became of a document: its text with the passages marked in it, and the state of each passage."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Substr

from . import database, lexical, stored
from .admin_pictures import has_pages
from .models import Chunk, Document, DocumentText, IndexGeneration, Splitting

PASSAGES_ON_A_PAGE = 40
# Of what stands between two passages (headings, lists of references) so much is shown on either side.
MOST_BETWEEN = 1500
# Of one passage. A deck of slides in a PDF has a dozen in one; each picture is drawn as it scrolls into sight.
MOST_PICTURES = 6


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the text. `chunk` 0: in no passage; `n` counts the passages of the document from 1."""

    text: str
    chunk: int = 0
    n: int = 0
    page: int | None = None
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class ChunkState:
    """A passage with what the search has of it, and the pages it stands on."""

    chunk: Chunk
    in_words: bool
    in_vectors: bool
    pages: tuple[int, ...] = ()

    @property
    def shown(self) -> tuple[int, ...]:
        """The pages whose pictures stand beside it."""
        return self.pages[:MOST_PICTURES]

    @property
    def not_shown(self) -> int:
        return len(self.pages) - len(self.shown)


@dataclass(frozen=True, slots=True)
class Preview:
    """`passages` are those of one `page`; `splittings` are those that the document is cut by.

    pictures    numbers of the file's pages that these passages come from; none of a file without pages
    """

    page: Page
    passages: Sequence[ChunkState]
    segments: Sequence[Segment]
    splitting: Splitting | None
    splittings: Sequence[Splitting]
    pictures: Sequence[int] = ()


def preview(document: Document, *, splitting_id: str = "", page: str = "", chunk: str = "") -> Preview:
    """One page of passages with its stretch of the text; the page that holds `chunk`, if it is one of them.

    splitting_id    '' or unknown: the one that is searched
    """
    splittings = list(Splitting.objects.filter(chunks__document=document).distinct().order_by("-created"))
    live = IndexGeneration.objects.filter(base=document.base_id, state=IndexGeneration.State.LIVE).first()
    by_id = {str(one.pk): one for one in splittings}
    chosen = by_id.get(splitting_id) or by_id.get(str(live.splitting_id) if live else "")
    chosen = chosen or (splittings[0] if splittings else None)
    chunks = document.chunks.filter(splitting=chosen).order_by("position")
    pages = Paginator(chunks, PASSAGES_ON_A_PAGE)
    found = pages.get_page(_page_with(chunks, chunk) or page)
    some: list[Chunk] = list(found.object_list)
    segments = _segments(document, some, pages.count)
    states = _states(document, some, live)
    numbers = sorted({number for state in states for number in state.shown}) if has_pages(document) else []
    return Preview(found, states, segments, chosen, splittings, numbers)


def _page_with(chunks: QuerySet[Chunk], chunk: str) -> int | None:
    wanted = chunks.filter(pk=int(chunk)).first() if chunk.isdecimal() and len(chunk) < 19 else None
    return chunks.filter(position__lt=wanted.position).count() // PASSAGES_ON_A_PAGE + 1 if wanted else None


def _states(document: Document, chunks: Sequence[Chunk], live: IndexGeneration | None) -> list[ChunkState]:
    known = words_known([chunk.pk for chunk in chunks])
    ready = document.state == Document.State.READY
    pages = _pages(document, chunks)
    return [
        ChunkState(
            chunk,
            chunk.pk in known,
            # Batches are embedded in order, and `ready` means that all of them are.
            live is not None
            and chunk.splitting_id == live.splitting_id
            and (ready or chunk.position < document.chunks_done),
            pages[at],
        )
        for at, chunk in enumerate(chunks)
    ]


def _pages(document: Document, chunks: Sequence[Chunk]) -> list[tuple[int, ...]]:
    """A passage that began on one page may end on another (`splitting`), its row tells where it began."""
    if not any(chunk.page for chunk in chunks):
        return [()] * len(chunks)
    found = stored.pages_of(document.pk, [(chunk.start, chunk.end) for chunk in chunks])
    return [pages or ((chunk.page,) if chunk.page else ()) for chunk, pages in zip(chunks, found, strict=True)]


def words_known(chunks: Collection[int]) -> set[int]:
    """Those of these chunks that the lexical index holds."""
    if not chunks:
        return set()
    column = "chunk_id" if connection.vendor == "postgresql" else "rowid"
    marks = ", ".join(["%s"] * len(chunks))
    statement = f"SELECT {column} FROM {lexical.TABLE} WHERE {column} IN ({marks})"  # noqa: S608 - names of our own
    return {row[0] for row in database.rows(statement, list(chunks), columns=1)}


def _segments(document: Document, chunks: Sequence[Chunk], total: int) -> list[Segment]:
    """The text from a little before the first of these chunks to a little behind the last one."""
    if not chunks:
        return []
    start = max(0, chunks[0].start - MOST_BETWEEN)
    before = document.chunks.filter(splitting=chunks[0].splitting_id, position__lt=chunks[0].position)
    after = document.chunks.filter(splitting=chunks[0].splitting_id, position__gt=chunks[-1].position)
    start = max(start, before.order_by("-position").values_list("end", flat=True).first() or 0)
    end = chunks[-1].end + MOST_BETWEEN
    following = after.order_by("position").values_list("start", flat=True).first()
    end = end if following is None else min(end, following)
    text = _text(document, start, end)
    return cut(text, start, [(chunk.pk, chunk.position + 1, chunk.start, chunk.end, chunk.page) for chunk in chunks])


def _text(document: Document, start: int, end: int) -> str:
    """A stretch of what may be megabytes, cut by the database."""
    part = Substr("text", start + 1, max(0, end - start))
    return DocumentText.objects.filter(pk=document.pk).values_list(part, flat=True).first() or ""


def cut(text: str, offset: int, spans: Sequence[tuple[int, int, int, int, int | None]]) -> list[Segment]:
    """`text`, which begins at `offset` of the document, in segments. spans: (chunk, n, start, end, page) in order.

    What overlaps belongs to the earlier passage; long stretches between passages are cut in their middle.
    """
    segments: list[Segment] = []
    at = offset
    for chunk, n, start, end, page in spans:
        start, end = max(start, at), min(end, offset + len(text))
        if start >= end:
            continue
        segments += _between(text[at - offset : start - offset])
        segments.append(Segment(text[start - offset : end - offset], chunk, n, page))
        at = end
    return segments + _between(text[at - offset :])


def _between(text: str) -> list[Segment]:
    if not text.strip():
        return [Segment(text)] if text else []
    if len(text) <= 2 * MOST_BETWEEN:
        return [Segment(text)]
    return [Segment(text[:MOST_BETWEEN]), Segment("", left_out=True), Segment(text[-MOST_BETWEEN:])]
