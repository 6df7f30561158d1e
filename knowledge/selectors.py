"""Reads of the knowledge app."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext

from .embedding.registry import is_cloud
from .errors import NotFound
from .models import Document, IndexGeneration, KnowledgeBase

State = Document.State


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
        "error": error_sentence(document),
        "error_code": document.error_code,
    }
