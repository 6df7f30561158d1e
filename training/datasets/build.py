"""Builds a data set in slices, so that other work of the worker goes on and a killed worker loses little.

    conversations in the order of their ids, some at a time ─► examples and cursor, committed together
    all there ─► doubles removed, parts chosen, state REVIEW: one transaction

While it is built, `counts["build"]` holds the cursor, the worker's name, the time of its last sign of life and the
number of attempts. A row is claimed by compare-and-set; a worker that lost it writes nothing more.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from coach.errors import Refusal

from ..exports.errors import Cancelled, NothingPasses
from ..filters import TurnFilter
from ..models import DataSet, Example
from . import split
from .examples import Made, make, question_of
from .similar import doubles, near_pairs

log = logging.getLogger(__name__)
State = DataSet.State

SLICE_SECONDS = 20.0
CONVERSATIONS_AT_ONCE = 25
ATTEMPTS = 3
LOST = timedelta(seconds=120)  # no sign of life for so long: longer than any step between two of them
FORGOTTEN = timedelta(seconds=25)


def run_slice(*, dataset_id: int) -> bool:
    """Build for a while; True when it goes on in another slice at once."""
    held = _claim(dataset_id)
    if held is None:
        return False
    until = time.monotonic() + SLICE_SECONDS
    try:
        while _step(held):
            if time.monotonic() >= until:
                return held.release()
    except Cancelled:
        held.rows.filter(cancel_requested=True).update(state=State.CANCELLED)
    except Refusal as error:
        held.fail(str(error))
    return False


def run(*, dataset_id: int, seen: Any = None) -> DataSet:
    """All of it here and now; seen(done, total) between the slices."""
    while run_slice(dataset_id=dataset_id):
        if seen is not None:
            seen(*DataSet.objects.values_list("done", "total").get(pk=dataset_id))
    return DataSet.objects.get(pk=dataset_id)


def forgotten() -> list[int]:
    """Sets to hand out again; what was lost ATTEMPTS times or cancelled meanwhile is ended here."""
    found = []
    for dataset in DataSet.objects.filter(state=State.BUILDING):
        held = dataset.counts.get("build", {})
        if not _is_free(dataset) or (not held and timezone.now() - dataset.created < FORGOTTEN):
            continue
        rows = DataSet.objects.filter(pk=dataset.pk, state=State.BUILDING)
        if dataset.cancel_requested:
            rows.update(state=State.CANCELLED)
        elif held.get("attempts", 0) >= ATTEMPTS:
            rows.update(state=State.FAILED, error=_("The worker stopped three times; look into its log and try again."))
        else:
            found.append(dataset.pk)
    return found


class _Held:
    """A worker's hold on a set. Every write raises Cancelled when it holds it no longer."""

    def __init__(self, dataset: DataSet, owner: str) -> None:
        self.dataset = dataset
        everything = DataSet.objects.filter(pk=dataset.pk, state=State.BUILDING)
        self.rows: QuerySet[DataSet] = everything.filter(counts__build__owner=owner)
        self.wanted = TurnFilter.from_json(dataset.filter)

    @property
    def build(self) -> dict[str, Any]:
        found: dict[str, Any] = self.dataset.counts["build"]
        return found

    def write(self, **values: Any) -> None:
        self.build["beat"] = time.time()
        if not self.rows.filter(cancel_requested=False).update(counts=self.dataset.counts, **values):
            raise Cancelled

    def release(self) -> bool:
        self.build.update(owner="", attempts=0)
        return bool(self.rows.filter(cancel_requested=False).update(counts=self.dataset.counts))

    def fail(self, sentence: str) -> None:
        log.warning("a data set was not built: %s", sentence)
        with transaction.atomic():
            if self.rows.update(state=State.FAILED, error=sentence):
                self.dataset.examples.all().delete()


def _claim(dataset_id: int) -> _Held | None:
    dataset = DataSet.objects.filter(pk=dataset_id, state=State.BUILDING).first()
    if dataset is None or not _is_free(dataset):
        return None
    before, owner = dataset.counts.get("build"), uuid.uuid4().hex
    rows = DataSet.objects.filter(pk=dataset_id, state=State.BUILDING)
    rows = rows.filter(counts__build__isnull=True) if before is None else rows.filter(counts__build=before)
    build = {"cursor": None, **(before or {}), "owner": owner, "beat": time.time()}
    build["attempts"] = build.get("attempts", 0) + 1
    dataset.counts = {**dataset.counts, "build": build}
    return _Held(dataset, owner) if rows.update(counts=dataset.counts) else None


def _is_free(dataset: DataSet) -> bool:
    held = dataset.counts.get("build", {})
    return not held.get("owner") or time.time() - held.get("beat", 0) > LOST.total_seconds()


def _step(held: _Held) -> bool:
    """One commit; False when the set is built."""
    dataset, build = held.dataset, held.build
    if "left_out" not in dataset.counts:
        _begin(held)
    conversations = _next(held.wanted, build["cursor"])
    if not conversations:
        _finish(held)
        return False
    made = make(dataset, held.wanted, conversations)
    with transaction.atomic():
        Example.objects.bulk_create(made.examples, batch_size=200)
        build["cursor"] = str(conversations[-1])
        build["attempts"] = 0
        _count(dataset.counts, made)
        dataset.done += made.turns
        held.write(done=dataset.done)
    return True


def _begin(held: _Held) -> None:
    """What the filter leaves out. Raises NothingPasses."""
    counts = held.wanted.counts()
    total = counts.pop("")
    if not total:
        raise NothingPasses(counts)
    dataset = held.dataset
    dataset.counts = {**dataset.counts, "turns": total + sum(counts.values()), "left_out": counts, "replaced": {}}
    dataset.total = total
    held.write(total=total)


def _next(wanted: TurnFilter, cursor: str | None) -> list[UUID]:
    turns = wanted.queryset()
    if cursor:
        turns = turns.filter(conversation_id__gt=UUID(cursor))
    found = turns.order_by("conversation_id").values_list("conversation_id", flat=True).distinct()
    return list(found[:CONVERSATIONS_AT_ONCE])


def _count(counts: dict[str, Any], made: Made) -> None:
    for name, more in (("left_out", made.left_out), ("replaced", made.replaced)):
        sums = Counter(counts[name])
        sums.update(more)
        counts[name] = {code: n for code, n in sums.items() if code and n > 0}


def _finish(held: _Held) -> None:
    """Doubles go, parts are chosen. Raises NothingPasses."""
    dataset = held.dataset
    examples = list(
        dataset.examples.order_by("pk").only("pk", "conversation", "language", "prompt", "answer", "rejected")
    )
    double = _doubles(examples, held)
    kept = [example for place, example in enumerate(examples) if place not in double]
    if not kept:
        raise NothingPasses({code: n for code, n in dataset.counts["left_out"].items() if n})
    chosen = split.held_out(
        [str(example.conversation) for example in kept], _alike(kept, held), share=dataset.held_out, seed=dataset.seed
    )
    _count(dataset.counts, Made(left_out=Counter({"double": len(double)})))
    counts = {key: value for key, value in dataset.counts.items() if key != "build"} | {"examples": len(kept)}
    with transaction.atomic():
        dataset.examples.filter(pk__in=[examples[place].pk for place in double]).delete()
        for part, inside in ((Example.Split.HELD_OUT, True), (Example.Split.TRAIN, False)):
            rows = [example.pk for place, example in enumerate(kept) if (place in chosen) == inside]
            for at in range(0, len(rows), 500):
                dataset.examples.filter(pk__in=rows[at : at + 500]).update(split=part)
        if not held.rows.filter(cancel_requested=False).update(state=State.REVIEW, counts=counts, done=dataset.total):
            raise Cancelled


def _doubles(examples: list[Example], held: _Held) -> set[int]:
    """Of those that are nearly the same all through, the first stays."""
    whole = [f"{question_of(example)}\n{example.answer}\n{example.rejected}" for example in examples]
    return doubles(whole, seen=lambda _done: held.write())


def _alike(examples: list[Example], held: _Held) -> Iterable[tuple[int, int]]:
    """Places with nearly the same question, and with nearly the same answer."""
    for texts in ([question_of(example) for example in examples], [example.answer for example in examples]):
        yield from near_pairs(texts, seen=lambda _done: held.write())
