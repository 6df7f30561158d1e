"""Makes Chroma agree with SQL, which is the truth: after deletions, kills, and the loss of a whole index.

`reconcile` only looks, and is quick when all is well; reindex.py mends.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from . import generations, index, passages
from .errors import AlreadyBuilding, IndexUnavailable, WrongState
from .models import Chunk, Document, IndexGeneration, Splitting

log = logging.getLogger(__name__)

State = Document.State
FORGOTTEN_SECONDS = 60
TIDY_SECONDS, TIDY_BATCH = 10.0, 400


def _(text: str) -> str:
    """Marks a sentence for makemessages; it is stored in English and translated where it is shown."""
    return text


DAMAGED = ("index_damaged", _("The vector index is damaged; it is made anew, and meanwhile only words are searched."))

_told: set[tuple[int, str]] = set()


def forgotten() -> bool:
    """True when documents wait and nothing has happened for a minute, or a worker's lease ran out.

    Whatever was put back or uploaded just now has woken the worker itself: to wake it again each time would fill its
    queue while it has a thousand files to do.
    """
    now = timezone.now()
    if Document.objects.filter(state=State.PROCESSING, lease_until__lt=now).exists():
        return True
    waiting = Document.objects.filter(state=State.PENDING)
    recent = Q(updated__gte=now - timedelta(seconds=FORGOTTEN_SECONDS)) | Q(state=State.PROCESSING)
    unfinished = Document.objects.filter(state__in=(State.PENDING, State.PROCESSING))
    return waiting.exists() and not unfinished.filter(recent).exists()


def reconcile() -> int:
    """Compare every index with SQL; gives how many of them reindex.py has to complete.

    A live one whose documents are being read is left for the next time, as is one that a worker is completing or has
    queued again. A Chroma that is away is no error.
    """
    lacking = 0
    now = timezone.now()
    busy = set(Document.objects.filter(state=State.PROCESSING).values_list("base_id", flat=True))
    for generation in generations.maintained():
        live = generation.state == IndexGeneration.State.LIVE
        if generation.lease_until is not None and generation.lease_until > now:
            continue
        if live and generation.base_id in busy:
            continue
        try:
            lacking += _lacks(generation)
            if live:
                _look_for_damage(generation)
                _tell_due(generation)
        except IndexUnavailable:
            log.warning("Chroma does not answer; the indexes are compared with the documents later")
            break
    return lacking


def _lacks(generation: IndexGeneration) -> bool:
    if generation.state == IndexGeneration.State.BUILDING or not generations.is_verified(generation):
        return True
    wanted = generation.verified["chunks"] + generation.verified.get("entries", 0)
    more = index.count(generation.collection) - wanted
    if more == 0 or 0 < more <= _unfinished(generation):
        return False
    log.warning("the index %s does not hold what it should; it is completed", generation.collection)
    IndexGeneration.objects.filter(pk=generation.pk).update(verified={})
    return True


def _unfinished(generation: IndexGeneration) -> int:
    """Passages whose vectors may be there already, because their documents wait or are being read."""
    states = (State.PENDING, State.PROCESSING)
    return Chunk.objects.filter(splitting=generation.splitting_id, document__state__in=states).count()


def _look_for_damage(generation: IndexGeneration) -> None:
    """Seen for the first time it is noted, for the second time (half a minute later) another one is begun."""
    noted = generation.error_code == DAMAGED[0]
    rows = IndexGeneration.objects.filter(pk=generation.pk)
    if not index.damaged(generation.collection, generation.dimensions):
        if noted:
            rows.update(error_code="", error="")
    elif not noted:
        log.error("the index %s cannot be searched", generation.collection)
        rows.update(error_code=DAMAGED[0], error=DAMAGED[1])
    else:
        try:
            generations.rebuild(base=generation.base)
            log.error("the index %s is damaged; it is made anew", generation.collection)
        except AlreadyBuilding:
            log.info("the index %s is damaged, and another one is on its way", generation.collection)


def _tell_due(generation: IndexGeneration) -> None:
    key = (generation.pk, generation.splitting.splitter)
    if generations.due(generation) and key not in _told:
        _told.add(key)
        log.warning(
            "the index of %s was made with %s and goes on with it; `manage.py reembed --base %s` makes a new one",
            generation.base.slug,
            generation.embedder,
            generation.base.slug,
        )


# --- what nobody needs any more ------------------------------------------------------------------


def drop(collections: list[str]) -> None:
    """Remove collections that no generation names any more; a Chroma that is away is no error."""
    used = set(IndexGeneration.objects.filter(collection__in=collections).values_list("collection", flat=True))
    for collection in sorted(set(collections) - used):
        try:
            index.drop(collection)
        except IndexUnavailable:
            log.warning("Chroma does not answer; the collection %s stays behind", collection)


def forget(collections: list[str], ids: list[int]) -> None:
    """Remove vectors of deleted passages and questions; a Chroma that is away is no error, the sweeper finds them."""
    try:
        for collection in collections:
            index.delete(collection, ids)
    except IndexUnavailable:
        log.warning("Chroma does not answer; %d vectors are removed later", len(ids))


def tidy(seconds: float = TIDY_SECONDS) -> bool:
    """Remove old generations, and the passages of splittings that no generation uses; True when some are left."""
    deadline = time.monotonic() + seconds
    for generation in _outlived():
        try:
            generations.remove(generation=generation)
        except WrongState:
            continue  # gone back to just now
    for splitting in Splitting.objects.filter(generations=None):
        chunks = Chunk.objects.filter(splitting=splitting).order_by("pk")
        while (document := chunks.values_list("document", flat=True).first()) is not None:
            if time.monotonic() >= deadline:
                return True
            with transaction.atomic():
                if IndexGeneration.objects.filter(splitting=splitting).exists():
                    break
                passages.remove(document_id=document, splitting_id=splitting.pk, most=TIDY_BATCH)
        with transaction.atomic():
            Splitting.objects.filter(pk=splitting.pk, generations=None, chunks=None).delete()
    return False


def _outlived() -> list[IndexGeneration]:
    """Retired, failed and cancelled ones after some days; a damaged one as soon as no search remembers it."""
    now = timezone.now()
    states = (IndexGeneration.State.RETIRED, IndexGeneration.State.FAILED, IndexGeneration.State.CANCELLED)
    found = IndexGeneration.objects.filter(state__in=states)
    old = list(found.filter(retired__lt=now - generations.KEEP))
    for generation in found.filter(retired__gte=now - generations.KEEP, retired__lt=now - generations.SWITCH_GRACE):
        live = generations.live(generation.base_id)
        if generation.state == generation.State.RETIRED and live and generations.same_way(generation, live):
            old.append(generation)
    return old
