"""Index generations: which one is live, and how another one takes its place. See docs/adr and `IndexGeneration`.

A generation is complete when its collection holds exactly its splitting's passages of ready documents and the
approved questions. reindex.py makes it so, and notes in `verified` what the splitting held when it was. A generation
goes live only if its splitting still holds that, in the transaction of the switch: nothing is lost in between.
No call here needs Chroma or an embedder.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery, Sum
from django.utils import timezone

from . import passages, wake
from .embedding.registry import check
from .errors import AlreadyBuilding, BelowLive, NothingBefore, UnknownEmbedder, WrongState
from .models import Chunk, Document, IndexGeneration, KnowledgeBase, Splitting
from .splitting import splitter_id
from .types import LiveIndex

State = IndexGeneration.State
# A retired generation can be gone back to for so long; what arrives meanwhile is written to it, too.
KEEP = timedelta(days=settings.INDEX_KEEP_DAYS)
# Searches remember which generation is live for five seconds; a damaged one is removed by itself after more.
REMEMBERED, SWITCH_GRACE = timedelta(seconds=15), timedelta(minutes=2)


class NotComplete(Exception):
    """Something has arrived that the generation does not hold yet."""


# --- which one -----------------------------------------------------------------------------------


def live_indexes(base_ids: Iterable[int]) -> list[LiveIndex]:
    """The live generation of each base that has one."""
    live = IndexGeneration.objects.filter(base__in=list(base_ids), state=State.LIVE).order_by("base")
    return [index_of(generation) for generation in live]


def index_of(generation: IndexGeneration) -> LiveIndex:
    """What a search in this generation needs, be it live or not."""
    return LiveIndex(
        generation.base_id,
        generation.pk,
        generation.splitting_id,
        generation.embedder,
        generation.collection,
        generation.coverage,
    )


def live(base_id: int) -> IndexGeneration | None:
    return IndexGeneration.objects.filter(base=base_id, state=State.LIVE).first()


def before(base_id: int) -> IndexGeneration | None:
    """The one that `roll_back` goes back to."""
    retired = IndexGeneration.objects.filter(base=base_id, state=State.RETIRED).order_by("-retired")
    now = live(base_id)
    for generation in retired:
        if now is None or not same_way(generation, now):
            return generation
    return None


def same_way(one: IndexGeneration, other: IndexGeneration) -> bool:
    """They hold the same: one of them was made because the other was damaged."""
    return (one.embedder, one.splitting_id) == (other.embedder, other.splitting_id)


def maintained() -> list[IndexGeneration]:
    """Those that are kept complete, in order of importance: live ones, new ones, those one can go back to."""
    order = {State.LIVE: 0, State.BUILDING: 1, State.READY: 2}
    found = list(IndexGeneration.objects.filter(state__in=order).select_related("splitting", "base"))
    found.sort(key=lambda generation: (order[State(generation.state)], generation.created))
    bases = IndexGeneration.objects.filter(state=State.RETIRED).order_by().values_list("base", flat=True).distinct()
    return found + [generation for base in bases if (generation := before(base)) is not None]


def others_wait() -> bool:
    """Some base has a generation beside the live one, to which new documents have to be written, and no worker is at
    it or has queued it again."""
    idle = Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())
    return IndexGeneration.objects.filter(idle, state__in=(State.BUILDING, State.READY, State.RETIRED)).exists()


def due(generation: IndexGeneration) -> bool:
    """It was made with another embedder, or cut by another rule, than new ones are."""
    return generation.embedder != settings.COACH_EMBEDDER or generation.splitting.splitter != splitter_id(
        generation.embedder
    )


def content(generation: IndexGeneration) -> dict[str, int]:
    """What its collection has to hold, as counts and sums of ids.

    Ids are given once and ascend, so equal counts and sums mean equal sets: what came later weighs more than
    what went.
    """
    ready = Chunk.objects.filter(splitting=generation.splitting_id, document__state=Document.State.READY)
    chunks = ready.order_by().aggregate(n=Count("pk"), sum=Sum("pk"))
    asked = passages.approved().filter(document__base=generation.base_id, document__state=Document.State.READY)
    questions = asked.order_by().aggregate(n=Count("pk"), sum=Sum("pk"))
    return {
        "chunks": chunks["n"],
        "sum": int(chunks["sum"] or 0),
        "questions": questions["n"],
        "question_sum": int(questions["sum"] or 0),
    }


def is_verified(generation: IndexGeneration) -> bool:
    """The collection was found to hold all that the splitting holds now."""
    known = {name: value for name, value in generation.verified.items() if name != "entries"}
    return known == content(generation) and not passages.uncut(generation.base_id, generation.splitting_id).exists()


# --- a new one -----------------------------------------------------------------------------------


def start(*, base: KnowledgeBase, embedder: str = "", switch_when_ready: bool = True) -> IndexGeneration:
    """Begin another index beside the live one, by default with COACH_EMBEDDER; the worker builds it.

    Raises UnknownEmbedder, or AlreadyBuilding.
    """
    embedder = embedder or settings.COACH_EMBEDDER
    wrong = check(embedder)
    if wrong:
        raise UnknownEmbedder(wrong.replace("COACH_EMBEDDER", "The embedder", 1))
    with transaction.atomic():
        splitting = Splitting.objects.get_or_create(base=base, splitter=splitter_id(embedder))[0]
        return _begin(base, splitting, embedder, 0, switch_when_ready)


def rebuild(*, base: KnowledgeBase) -> IndexGeneration | None:
    """Begin the live index anew in another collection, from SQL; None when the base has none.

    Raises AlreadyBuilding.
    """
    with transaction.atomic():
        found = live(base.pk)
        if found is None:
            return None
        return _begin(base, found.splitting, found.embedder, found.dimensions, True, found.coverage)


def _begin(
    base: KnowledgeBase,
    splitting: Splitting,
    embedder: str,
    dimensions: int,
    switch_when_ready: bool,
    coverage: dict[str, float] | None = None,
) -> IndexGeneration:
    list(KnowledgeBase.objects.select_for_update().filter(pk=base.pk))  # one start after the other
    if IndexGeneration.objects.filter(base=base, state__in=(State.BUILDING, State.READY)).exists():
        raise AlreadyBuilding
    made = IndexGeneration.objects.create(
        base=base,
        splitting=splitting,
        embedder=embedder,
        dimensions=dimensions,
        collection=f"kb{base.pk}-{uuid.uuid4().hex[:12]}",
        switch_when_ready=switch_when_ready,
        coverage=coverage or {},
    )
    wake.index_later()
    return made


def cancel(*, generation: IndexGeneration) -> None:
    """Stop one that is being built or waits to go live. Raises WrongState."""
    _move(generation, (State.BUILDING, State.READY), state=State.CANCELLED, retired=timezone.now())


def retry(*, generation: IndexGeneration) -> None:
    """Go on with one that failed or was cancelled, where it was. Raises WrongState or AlreadyBuilding."""
    with transaction.atomic():
        list(KnowledgeBase.objects.select_for_update().filter(pk=generation.base_id))
        if IndexGeneration.objects.filter(base=generation.base_id, state__in=(State.BUILDING, State.READY)).exists():
            raise AlreadyBuilding
        _move(generation, (State.FAILED, State.CANCELLED), state=State.BUILDING, retired=None, recall={})
        wake.index_later()


def remove(*, generation: IndexGeneration) -> None:
    """Forget one that is neither live nor on its way; the worker takes its passages and vectors.

    Raises WrongState, also while searches may still remember that it was live.
    """
    if generation.retired and generation.state == State.RETIRED and timezone.now() - generation.retired < REMEMBERED:
        raise WrongState
    with transaction.atomic():
        _move(generation, (State.RETIRED, State.FAILED, State.CANCELLED), switch_when_ready=False)
        IndexGeneration.objects.filter(pk=generation.pk).delete()
        wake.drop_later([generation.collection])
        wake.index_later()


def _move(generation: IndexGeneration, states: tuple[str, ...], **values: Any) -> None:
    """Compare and set; leaves the row as it is in the database in `generation`. Raises WrongState."""
    clean = {"attempts": 0, "lease_owner": "", "lease_until": None, "error": "", "error_code": ""}
    if not IndexGeneration.objects.filter(pk=generation.pk, state__in=states).update(**clean, **values):
        raise WrongState
    generation.refresh_from_db()


# --- the switch ----------------------------------------------------------------------------------


def passed(generation: IndexGeneration) -> bool:
    """It finds as much as the live one in every language that could be measured."""
    return all(found.get("passed", True) for found in generation.recall.values())


def switch(*, generation: IndexGeneration, override: bool = False) -> IndexGeneration:
    """Let it go live: now if it is complete, else as soon as it is.

    override    although it finds less than the live one
    Raises WrongState, or BelowLive without `override`.
    """
    generation.refresh_from_db()
    if generation.state not in (State.BUILDING, State.READY):
        raise WrongState
    if not passed(generation):
        if not override:
            raise BelowLive
        recall = {name: {**found, "passed": True, "overridden": True} for name, found in generation.recall.items()}
        _move(generation, (State.BUILDING, State.READY), recall=recall)
    _soon(generation, at_once=generation.state == State.READY)
    return generation


def roll_back(*, base: KnowledgeBase) -> IndexGeneration:
    """Make the generation that was live before live again: now if it is complete, else as soon as it is.

    Raises NothingBefore, or AlreadyBuilding when it needs to be completed and another one is on its way.
    """
    target = before(base.pk)
    if target is None:
        raise NothingBefore
    _soon(target, at_once=True)
    return target


def _soon(generation: IndexGeneration, *, at_once: bool) -> None:
    if at_once:
        try:
            go_live(generation)
        except NotComplete:
            pass
        else:
            return
    with transaction.atomic():
        busy = IndexGeneration.objects.filter(base=generation.base_id, state__in=(State.BUILDING, State.READY))
        if busy.exclude(pk=generation.pk).exists():
            raise AlreadyBuilding
        states = (State.BUILDING, State.READY, State.RETIRED)
        _move(generation, states, state=State.BUILDING, switch_when_ready=True, retired=None)
        wake.index_later()


def go_live(generation: IndexGeneration) -> None:
    """Retire the live one and put this one in its place, in one transaction.

    The retired one keeps its collection and passages, so a search that still asks for it finds everything.
    Documents that are being read begin again, for this one. Raises NotComplete, or WrongState.
    """
    now = timezone.now()
    with transaction.atomic():
        list(KnowledgeBase.objects.select_for_update().filter(pk=generation.base_id))
        _put_back(generation)
        generation.refresh_from_db()
        if generation.state not in (State.BUILDING, State.READY, State.RETIRED):
            raise WrongState
        if not is_verified(generation):
            raise NotComplete
        IndexGeneration.objects.filter(base=generation.base_id, state=State.LIVE).update(
            state=State.RETIRED, retired=now
        )
        _move(generation, (generation.state,), state=State.LIVE, live_since=now, retired=None)


def _put_back(generation: IndexGeneration) -> None:
    """Count the documents' passages as this generation cuts them; take unfinished ones from their workers."""
    mine = Chunk.objects.filter(document=OuterRef("pk"), splitting=generation.splitting_id).order_by()
    count = Subquery(mine.values("document").annotate(n=Count("pk")).values("n"), output_field=IntegerField())
    documents = Document.objects.filter(base=generation.base_id)
    documents.filter(state=Document.State.PROCESSING).update(
        state=Document.State.PENDING, attempts=F("attempts") - 1, lease_owner="", lease_until=None
    )
    whole = documents.filter(passages.whole(generation.splitting_id))
    whole.filter(state=Document.State.READY).update(chunks_total=count, chunks_done=count)
    whole.filter(state=Document.State.PENDING).update(chunks_total=count, chunks_done=0)
    lost = documents.filter(state=Document.State.PENDING).exclude(passages.whole(generation.splitting_id))
    lost.filter(~Q(chunks_total=0) | ~Q(chunks_done=0)).update(chunks_total=0, chunks_done=0)
