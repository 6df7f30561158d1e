"""Figures about knowledge bases and documents for the admin panel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Prefetch, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from .models import Document, IndexGeneration, KnowledgeBase
from .selectors import document_data, error_sentence
from .splitting import splitter_id

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


@dataclass(frozen=True, slots=True)
class BaseFigures:
    """`states` as in DocumentFigures, without those that have none; `bytes` of the files; `due` as in `embed_due`."""

    states: Sequence[tuple[str, str, int]]
    total: int
    passages: int
    bytes: int
    overdue: bool
    live: IndexGeneration | None
    due: str
    generations: int


def document_figures() -> DocumentFigures:
    counts: dict[str, int] = dict(Document.objects.order_by().values_list("state").annotate(Count("pk")))
    failed = Document.objects.filter(state=Document.State.FAILED)
    return DocumentFigures(
        states=_labelled(counts),
        total=sum(counts.values()),
        overdue=overdue_documents(),
        failures=[
            (document, error_sentence(document)) for document in failed.select_related("base").order_by("-updated")[:6]
        ],
        bases=bases_with_counts(),
    )


def overdue_documents() -> int:
    """How many wait although nothing is being read; 0 as long as a worker is at work."""
    now = timezone.now()
    if Document.objects.filter(state=Document.State.PROCESSING, lease_until__gte=now).exists():
        return 0
    return Document.objects.filter(state=Document.State.PENDING, updated__lt=now - OVERDUE).count()


def _labelled(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    return [(str(value), str(label), counts.get(value, 0)) for value, label in Document.State.choices]


def bases_with_counts() -> QuerySet[KnowledgeBase]:
    """Knowledge bases with `total`, `ready`, `failed`, `open` documents, their `size` in bytes, `passages` of the
    ready ones, and as `live_generation` a list that holds the live generation, if there is one."""
    ready = Q(documents__state=Document.State.READY)
    live = IndexGeneration.objects.filter(state=IndexGeneration.State.LIVE).select_related("splitting")
    return (
        KnowledgeBase.objects.annotate(
            total=Count("documents"),
            ready=Count("documents", filter=ready),
            failed=Count("documents", filter=Q(documents__state=Document.State.FAILED)),
            open=Count("documents", filter=Q(documents__state__in=UNFINISHED)),
            size=Coalesce(Sum("documents__bytes"), 0),
            passages=Coalesce(Sum("documents__chunks_total", filter=ready), 0),
        )
        .prefetch_related(Prefetch("generations", queryset=live, to_attr="live_generation"))
        .order_by("name")
    )


def base_figures(base: KnowledgeBase) -> BaseFigures:
    counts = {
        state: (n, passages, size)
        for state, n, passages, size in base.documents.order_by()
        .values_list("state")
        .annotate(n=Count("pk"), passages=Sum("chunks_total"), size=Sum("bytes"))
    }
    live = base.generations.filter(state=IndexGeneration.State.LIVE).select_related("splitting").first()
    return BaseFigures(
        states=[one for one in _labelled({state: row[0] for state, row in counts.items()}) if one[2]],
        total=sum(row[0] for row in counts.values()),
        passages=counts.get(Document.State.READY, (0, 0, 0))[1],
        bytes=sum(row[2] for row in counts.values()),
        overdue=Document.State.PENDING in counts and overdue_documents() > 0,
        live=live,
        due=embed_due(live),
        generations=base.generations.count(),
    )


def embed_due(live: IndexGeneration | None) -> str:
    """Why a new generation is due: 'embedder' (the setting names another one), 'splitter' (an older way of cutting),
    '' when it is not."""
    if live is None:
        return ""
    if live.embedder != settings.COACH_EMBEDDER:
        return "embedder"
    return "" if live.splitting.splitter == splitter_id(live.embedder) else "splitter"


def languages_of(base: KnowledgeBase) -> list[tuple[str, int]]:
    """(language, documents) of those whose language is known, most first."""
    known = base.documents.exclude(language="").order_by().values_list("language").annotate(n=Count("pk"))
    return sorted(known, key=lambda one: (-one[1], one[0]))


def states_of(base: KnowledgeBase, ids: Iterable[UUID]) -> list[dict[str, Any]]:
    """These documents of a base as the REST API shows them; what was deleted since is left out."""
    found = base.documents.filter(pk__in=list(ids))
    return [document_data(document) for document in found]


@dataclass(frozen=True, slots=True)
class Progress:
    """`moved`: documents that no longer wait; `gone`: ids of deleted ones; `waiting`: how many wait in the base."""

    moved: list[dict[str, Any]]
    gone: list[str]
    waiting: int


def progress_of(base: KnowledgeBase, ids: Sequence[UUID]) -> Progress:
    """What happened to these documents, in two statements however many they are."""
    wanted = base.documents.filter(pk__in=ids).defer("file", "sha256", "filename")
    found = {document.pk: document for document in wanted}
    return Progress(
        moved=[_short(document) for document in found.values() if document.state != Document.State.PENDING],
        gone=[str(pk) for pk in ids if pk not in found],
        waiting=base.documents.filter(state=Document.State.PENDING).count(),
    )


def _short(document: Document) -> dict[str, Any]:
    return {
        "id": str(document.pk),
        "state": document.state,
        "done": document.chunks_done,
        "chunks": document.chunks_total,
        "error": error_sentence(document),
    }


def open_documents(base: KnowledgeBase, limit: int = 500) -> list[dict[str, Any]]:
    """Documents that need waiting or a decision, oldest first: what a person sees who comes back to the page."""
    found = base.documents.filter(state__in=(*UNFINISHED, Document.State.FAILED))
    return [document_data(document) for document in found.order_by("created")[:limit]]
