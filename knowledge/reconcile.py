"""Makes Chroma agree with SQL, which is the truth: after deletions, kills, and the loss of a whole index."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from . import index
from .errors import IndexUnavailable
from .models import Chunk, Document, IndexGeneration

log = logging.getLogger(__name__)

State = Document.State
FORGOTTEN_SECONDS = 60


def forgotten() -> bool:
    """True when a document waits for more than a minute or its worker's lease ran out."""
    now = timezone.now()
    waiting = Q(state=State.PENDING, updated__lt=now - timedelta(seconds=FORGOTTEN_SECONDS))
    return Document.objects.filter(waiting | Q(state=State.PROCESSING, lease_until__lt=now)).exists()


def reconcile() -> int:
    """Delete orphan vectors and queue documents whose vectors are missing; gives how many were queued.

    A base in which a document is being read is left for the next time. A Chroma that is away is no error.
    """
    queued = 0
    busy = set(Document.objects.filter(state=State.PROCESSING).values_list("base_id", flat=True))
    for generation in IndexGeneration.objects.filter(state=IndexGeneration.State.LIVE).exclude(base__in=busy):
        try:
            queued += _reconcile(generation)
        except IndexUnavailable:
            log.warning("Chroma does not answer; vectors are compared with the documents later")
            break
    return queued


def _reconcile(generation: IndexGeneration) -> int:
    chunks = Chunk.objects.filter(splitting=generation.splitting_id)
    ready = chunks.filter(document__state=State.READY)
    if index.count(generation.collection) == ready.count():
        return 0
    # In this order a vector that is added or a document that is finished meanwhile is never taken for wrong.
    expected = dict(ready.values_list("pk", "document_id"))
    stored = index.ids(generation.collection)
    known = set(chunks.values_list("pk", flat=True))
    orphans = sorted(stored - known)
    if orphans:
        index.delete(generation.collection, orphans)
    lacking = {document for chunk, document in expected.items() if chunk not in stored}
    return Document.objects.filter(pk__in=lacking, state=State.READY).update(
        state=State.PENDING, chunks_done=0, attempts=0, updated=timezone.now()
    )


def drop(collections: list[str]) -> None:
    """Remove collections that no generation names any more; a Chroma that is away is no error."""
    used = set(IndexGeneration.objects.filter(collection__in=collections).values_list("collection", flat=True))
    for collection in sorted(set(collections) - used):
        try:
            index.drop(collection)
        except IndexUnavailable:
            log.warning("Chroma does not answer; the collection %s stays behind", collection)
