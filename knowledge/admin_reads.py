"""Figures about knowledge bases and documents for the admin panel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from .models import Document, KnowledgeBase
from .selectors import document_data, error_sentence

# The sweeper hands waiting documents out again after a minute: longer than this, nobody reads them.
OVERDUE = timedelta(seconds=120)
UNFINISHED = (Document.State.PENDING, Document.State.PROCESSING)


@dataclass(frozen=True, slots=True)
class DocumentFigures:
    """`states` holds (state, label, count) in the order of a document's life, `failures` (document, sentence);
    `overdue` documents wait and nobody reads them."""

    states: Sequence[tuple[str, str, int]]
    total: int
    overdue: int
    failures: Sequence[tuple[Document, str]]
    bases: QuerySet[KnowledgeBase]


def document_figures() -> DocumentFigures:
    now = timezone.now()
    counts: dict[str, int] = dict(Document.objects.order_by().values_list("state").annotate(Count("pk")))
    waiting = Document.objects.filter(state=Document.State.PENDING, updated__lt=now - OVERDUE)
    being_read = Document.objects.filter(state=Document.State.PROCESSING, lease_until__gte=now)
    failed = Document.objects.filter(state=Document.State.FAILED)
    return DocumentFigures(
        states=[(str(value), str(label), counts.get(value, 0)) for value, label in Document.State.choices],
        total=sum(counts.values()),
        overdue=0 if being_read.exists() else waiting.count(),
        failures=[
            (document, error_sentence(document)) for document in failed.select_related("base").order_by("-updated")[:6]
        ],
        bases=bases_with_counts(),
    )


def bases_with_counts() -> QuerySet[KnowledgeBase]:
    """Knowledge bases with `total`, `ready`, `failed` documents and `passages` of the ready ones."""
    ready = Q(documents__state=Document.State.READY)
    return KnowledgeBase.objects.annotate(
        total=Count("documents"),
        ready=Count("documents", filter=ready),
        failed=Count("documents", filter=Q(documents__state=Document.State.FAILED)),
        passages=Coalesce(Sum("documents__chunks_total", filter=ready), 0),
    ).order_by("name")


def states_of(base: KnowledgeBase, ids: Iterable[UUID]) -> list[dict[str, Any]]:
    """These documents of a base as the REST API shows them; what was deleted since is left out."""
    found = base.documents.filter(pk__in=list(ids))
    return [document_data(document) for document in found]


def open_documents(base: KnowledgeBase, limit: int = 500) -> list[dict[str, Any]]:
    """Documents that need waiting or a decision, oldest first: what a person sees who comes back to the page."""
    found = base.documents.filter(state__in=(*UNFINISHED, Document.State.FAILED))
    return [document_data(document) for document in found.order_by("created")[:limit]]
