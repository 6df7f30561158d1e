"""Reads of the knowledge app."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext

from . import generations
from .embedding.registry import is_cloud
from .errors import NotFound
from .models import Document, IndexGeneration, KnowledgeBase

State = Document.State
# Before anything of a base was read: a passage of 200 tokens in each so many bytes.
BYTES_PER_CHUNK = 900


def cloud_embedders(coach_ids: Iterable[int]) -> list[str]:
    """The embedders in a cloud that read what these coaches are asked."""
    live = IndexGeneration.objects.filter(state=IndexGeneration.State.LIVE, base__coaches__in=coach_ids)
    return [id_ for id_ in live.order_by("embedder").values_list("embedder", flat=True).distinct() if is_cloud(id_)]


def bases() -> QuerySet[KnowledgeBase]:
    """All knowledge bases by name, each with `documents_total` and `documents_ready`."""
    ready = Count("documents", filter=Q(documents__state=State.READY))
    return KnowledgeBase.objects.annotate(documents_total=Count("documents"), documents_ready=ready).order_by("name")


def base_by_slug(slug: str) -> KnowledgeBase:
    """Raises NotFound."""
    found = bases().filter(slug=slug).first()
    if found is None:
        raise NotFound
    return found


def base_named(name: str) -> KnowledgeBase | None:
    """By short name or, failing that, by full name in any case."""
    return KnowledgeBase.objects.filter(slug=name).first() or KnowledgeBase.objects.filter(name__iexact=name).first()


def document(document_id: UUID) -> Document:
    """Without its text, which may be megabytes. Raises NotFound."""
    found = Document.objects.filter(pk=document_id).first()
    if found is None:
        raise NotFound
    return found


def documents(ids: Sequence[UUID]) -> list[Document]:
    return list(Document.objects.filter(pk__in=ids))


def progress(document: Document) -> float:
    """0 to 1; reading counts for a tenth, embedding for the rest."""
    if document.state == State.READY:
        return 1.0
    if not document.chunks_total:
        return 0.0
    return round(0.1 + 0.9 * min(1.0, document.chunks_done / document.chunks_total), 3)


def error_sentence(document: Document) -> str:
    """What went wrong, in the active language; '' when nothing did."""
    return gettext(document.error) if document.error else ""


def document_data(document: Document) -> dict[str, Any]:
    """A document as scripts and pages see it."""
    return {
        "id": str(document.pk),
        "title": document.title,
        "filename": document.filename,
        "language": document.language,
        "bytes": document.bytes,
        "state": document.state,
        "progress": progress(document),
        "chunks": document.chunks_total,
        "chunks_done": document.chunks_done,
        "replaces": str(document.replaces_id) if document.replaces_id else None,
        "error": error_sentence(document),
        "error_code": document.error_code,
    }


def indexing_progress(base: KnowledgeBase) -> dict[str, Any]:
    """What waits in a base: documents_waiting, chunks_left, chunks_per_second, seconds_left.

    chunks_left         for files that were not read yet, as many as their bytes let expect
    chunks_per_second   as last measured; with seconds_left None before that
    """
    waiting = Document.objects.filter(base=base, state__in=(State.PENDING, State.PROCESSING)).aggregate(
        documents=Count("pk"),
        chunks=Sum(F("chunks_total") - F("chunks_done"), filter=Q(chunks_total__gt=0)),
        unread=Sum("bytes", filter=Q(chunks_total=0)),
    )
    left = waiting["chunks"] or 0
    if waiting["unread"]:
        known = Document.objects.filter(base=base, state=State.READY).aggregate(
            chunks=Sum("chunks_total"), bytes=Sum("bytes")
        )
        share = known["chunks"] / known["bytes"] if known["chunks"] else 1 / BYTES_PER_CHUNK
        left += max(waiting["documents"], round(waiting["unread"] * share))
    speeds = IndexGeneration.objects.filter(state=IndexGeneration.State.LIVE, chunks_per_second__gt=0)
    speed = speeds.filter(base=base).values_list("chunks_per_second", flat=True).first()
    return {
        "documents_waiting": waiting["documents"],
        "chunks_left": left,
        "chunks_per_second": speed,
        "seconds_left": round(left / speed) if speed else None,
    }


# --- index generations ---------------------------------------------------------------------------


def generation(base: KnowledgeBase, pk: str) -> IndexGeneration:
    """By its number, as an address gives it. Raises NotFound."""
    if not pk.isdecimal():
        raise NotFound
    found = IndexGeneration.objects.filter(base=base, pk=pk).select_related("base", "splitting").first()
    if found is None:
        raise NotFound
    return found


def generations_of(base: KnowledgeBase) -> list[IndexGeneration]:
    """Newest first."""
    return list(IndexGeneration.objects.filter(base=base).select_related("base", "splitting"))


def reembed_due() -> list[IndexGeneration]:
    """Live generations made with another embedder or rule than new ones are; they go on as they are."""
    live = IndexGeneration.objects.filter(state=IndexGeneration.State.LIVE).select_related("base", "splitting")
    return [generation for generation in live.order_by("base__name") if generations.due(generation)]


def generation_data(generation: IndexGeneration) -> dict[str, Any]:
    """A generation as scripts and pages see it.

    progress      0 to 1; seconds_left: None while the speed is not known, and when nothing is left
    passed        the recall gate let it through, or was not asked yet
    due           it is live, and new ones are made with another embedder or rule
    may           what can be done with it now: of switch, override, cancel, retry, remove, roll_back
    """
    state = IndexGeneration.State
    total, done = generation.chunks_total, generation.chunks_done
    building = generation.state == state.BUILDING
    speed = generation.chunks_per_second
    before = generations.before(generation.base_id) if generation.state == state.RETIRED else None
    passed = generations.passed(generation)
    may = {
        "switch": generation.state in (state.BUILDING, state.READY) and passed,
        "override": generation.state == state.READY and not passed,
        "cancel": generation.state in (state.BUILDING, state.READY),
        "retry": generation.state in (state.FAILED, state.CANCELLED),
        "remove": generation.state in (state.RETIRED, state.FAILED, state.CANCELLED),
        "roll_back": before is not None and before.pk == generation.pk,
    }
    return {
        "id": generation.pk,
        "base": generation.base.slug,
        "embedder": generation.embedder,
        "dimensions": generation.dimensions,
        "splitter": generation.splitting.splitter,
        "state": generation.state,
        "switch_when_ready": generation.switch_when_ready,
        "progress": round(done / total, 3) if total else float(not building),
        "chunks": total,
        "chunks_done": done,
        "chunks_per_second": speed or None,
        "seconds_left": round((total - done) / speed) if building and speed and total else None,
        "recall": {
            language: {**found, "why": gettext(found["why"]) if found.get("why") else ""}
            for language, found in generation.recall.items()
        },
        "passed": passed,
        "error": gettext(generation.error) if generation.error else "",
        "error_code": generation.error_code,
        "due": generation.state == state.LIVE and generations.due(generation),
        "created": generation.created,
        "live_since": generation.live_since,
        "retired": generation.retired,
        "may": [name for name, possible in may.items() if possible],
    }
