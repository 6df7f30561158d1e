"""What people do with a data set: ask for it, look through its examples, freeze it. A frozen set never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, ProtectedError, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from coach.errors import NotFound
from coach.provenance import APP

from ..exports import kinds
from ..filters import TurnFilter
from ..models import DataSet, Example
from . import files
from .errors import BadSet, NotOpen, TooFew
from .examples import question_of, with_question
from .personal import LIMITS
from .similar import near_pairs

State = DataSet.State
FEWEST = 10  # for training; fewer would be learned by heart
MOST_HELD_OUT = 0.5
EXPORT_OF = {DataSet.Kind.ANSWERS: "openai", DataSet.Kind.PREFERENCES: "preferences"}


def create(
    *,
    name: str,
    kind: str = DataSet.Kind.ANSWERS,
    given: dict[str, Any] | None = None,
    held_out: float = 0.2,
    seed: int = 0,
    synthetic: bool = False,
    by: Any = None,
) -> DataSet:
    """A set for a worker to build (wake_data.build_soon); `given` is laid over the filter of its kind.

    Raises WrongFilter, BadSet.
    """
    name = name.strip()
    if not name or len(name) > 120:
        raise BadSet(_("Give the data set a name of at most 120 characters."))
    if kind not in DataSet.Kind.values:
        raise BadSet(_("A data set holds answers or preferences."))
    if isinstance(held_out, bool) or not 0 <= held_out <= MOST_HELD_OUT:
        raise BadSet(_("The share held out is from 0 to 0.5."))
    if not 0 <= seed <= 2**31 - 1:
        raise BadSet(_("The seed is a whole number from 0 on."))
    wanted = kinds.wanted(EXPORT_OF[DataSet.Kind(kind)], given)
    return DataSet.objects.create(
        name=name,
        kind=kind,
        filter=wanted.to_json(),
        held_out=held_out,
        seed=seed,
        synthetic=synthetic,
        created_by=by,
    )


def get(dataset_id: int) -> DataSet:
    """Raises NotFound."""
    found = DataSet.objects.filter(pk=dataset_id).first()
    if found is None:
        raise NotFound
    return found


def example(*, dataset: DataSet, example_id: int) -> Example:
    """Raises NotFound."""
    found = dataset.examples.select_related("dataset").filter(pk=example_id).first()
    if found is None:
        raise NotFound
    return found


def named(name_or_id: str) -> DataSet:
    """By id, else the newest of this name. Raises NotFound."""
    found = DataSet.objects.filter(pk=int(name_or_id)).first() if name_or_id.isdecimal() else None
    found = found or DataSet.objects.filter(name=name_or_id).order_by("-created").first()
    if found is None:
        raise NotFound
    return found


def cancel(*, dataset_id: int) -> DataSet:
    """While it is built or waits for approval; a worker that is at it stops within seconds."""
    rows = DataSet.objects.filter(pk=dataset_id)
    if not rows.filter(state=State.REVIEW).update(state=State.CANCELLED, cancel_requested=True):
        building = rows.filter(state=State.BUILDING)
        idle = building.filter(counts__build__isnull=True) | building.filter(counts__build__owner="")
        if not idle.update(state=State.CANCELLED, cancel_requested=True):
            building.update(cancel_requested=True)
    return get(dataset_id)


def delete(*, dataset_id: int) -> None:
    """With its examples. Raises NotFound, BadSet when a model was made of it."""
    try:
        get(dataset_id).delete()
    except ProtectedError:
        raise BadSet(_("A model was trained on this data set; it stays as long as that job does.")) from None


def decide(
    *, dataset: DataSet, state: str, by: Any, examples: Iterable[int] | None = None, split: str | None = None
) -> int:
    """Approve or reject some, or (None) all that are proposed; how many changed. Raises NotOpen, BadSet."""
    if state not in Example.State.values:
        raise BadSet(_("An example is proposed, approved or rejected."))
    with transaction.atomic():
        _open(dataset)
        rows = dataset.examples.exclude(state=state)
        rows = rows.filter(state=Example.State.PROPOSED) if examples is None else rows.filter(pk__in=list(examples))
        rows = rows.filter(split=split) if split else rows
        return rows.update(state=state, reviewed_by=by)


def edit(
    *, example: Example, by: Any, question: str | None = None, answer: str | None = None, rejected: str | None = None
) -> Example:
    """Another text, by hand; the example is proposed again. Sources around a question stay. Raises NotOpen, BadSet."""
    texts = {"question": question, "answer": answer, "rejected": rejected}
    for name, text in texts.items():
        needed = name != "rejected" or example.rejected
        if text is not None and needed and not text.strip():
            raise BadSet(_("A text cannot be empty; reject the example instead."))
    with transaction.atomic():
        _open(example.dataset)
        if question is not None:
            example.prompt = [*example.prompt[:-1], {**example.prompt[-1], "content": with_question(example, question)}]
        example.answer = example.answer if answer is None else answer
        if rejected is not None and example.rejected:
            example.rejected = rejected
        example.state, example.reviewed_by = Example.State.PROPOSED, by
        example.save(update_fields=["prompt", "answer", "rejected", "state", "reviewed_by"])
    return example


def freeze(*, dataset: DataSet, by: Any = None) -> DataSet:
    """What is approved, for good, with its manifest. Whoever took consent back meanwhile is left out, and what would
    be in both parts is left out of the one held out. Raises NotOpen, TooFew."""
    with transaction.atomic():
        dataset = _open(dataset)
        left_out = {"consent": _without_consent(dataset), "overlap": _without_overlap(dataset)}
        manifest = _manifest(dataset, left_out)
        train, held = (manifest["files"][f"{split}.jsonl"]["lines"] for split in files.PARTS)
        if train < FEWEST or (dataset.held_out and not held):
            raise TooFew(train, held, FEWEST)
        dataset.manifest, dataset.sha256 = manifest, manifest["sha256"]
        dataset.counts = {**dataset.counts, "approved": train + held}
        dataset.state, dataset.frozen = State.FROZEN, timezone.now()
        dataset.save(update_fields=["manifest", "sha256", "counts", "state", "frozen"])
    return dataset


def funnel(*, kind: str, given: dict[str, Any] | None) -> dict[str, Any]:
    """What a set or export with this filter would be made of now. Raises WrongFilter."""
    wanted = kinds.wanted(EXPORT_OF[DataSet.Kind(kind)] if kind in DataSet.Kind.values else kind, given)
    counts = wanted.counts()
    passed = counts.pop("")
    return {"in": passed + sum(counts.values()), "out": passed, "left_out": counts, "filter": wanted.to_json()}


def by_state(dataset: DataSet) -> dict[str, dict[str, int]]:
    """{"train": {"proposed": 12, …}, "held_out": …}"""
    found: dict[str, dict[str, int]] = {split: dict.fromkeys(Example.State.values, 0) for split in files.PARTS}
    for split, state, n in dataset.examples.order_by().values_list("split", "state").annotate(n=Count("pk")):
        found[split][state] = n
    return found


def data(dataset: DataSet) -> dict[str, Any]:
    """A set as pages, commands and the API see it."""
    counts = {key: value for key, value in dataset.counts.items() if key != "build"}
    building = dataset.state == State.BUILDING
    return {
        "id": dataset.pk,
        "name": dataset.name,
        "kind": dataset.kind,
        "state": dataset.state,
        "progress": dataset.done / dataset.total if building and dataset.total else float(not building),
        "done": dataset.done,
        "total": dataset.total,
        "synthetic": dataset.synthetic,
        "stale": dataset.stale,
        "filter": dataset.filter,
        "held_out": dataset.held_out,
        "seed": dataset.seed,
        "counts": counts,
        "examples": by_state(dataset),
        "sha256": dataset.sha256,
        "error": dataset.error,
        "created": dataset.created,
        "frozen": dataset.frozen,
    }


def _open(dataset: DataSet) -> DataSet:
    found = DataSet.objects.select_for_update().filter(pk=dataset.pk, state=State.REVIEW).first()
    if found is None:
        raise NotOpen
    return found


def _approved(dataset: DataSet) -> QuerySet[Example]:
    return dataset.examples.filter(state=Example.State.APPROVED).order_by("pk")


def _without_consent(dataset: DataSet) -> int:
    """Of turns that do not pass any more: consent taken back, kept out, deleted."""
    usable = TurnFilter(min_rating=0, min_question=0, min_answer=0)
    turns = list(_approved(dataset).exclude(turn=None).values_list("turn", flat=True))
    gone: list[UUID] = []
    for at in range(0, len(turns), 500):
        gone += [turn for turn, why in usable.why_not_each(turns[at : at + 500]).items() if why]
    rows = _approved(dataset)
    return rows.filter(turn__in=gone).update(state=Example.State.REJECTED) + (
        0 if dataset.synthetic else rows.filter(turn=None).update(state=Example.State.REJECTED)
    )


def _without_overlap(dataset: DataSet) -> int:
    """Edits may have made two examples alike: one that is held out must not be like one to train with."""
    examples = list(_approved(dataset).only("pk", "split", "language", "prompt", "answer", "conversation"))
    held = Example.Split.HELD_OUT
    trained = {example.conversation for example in examples if example.split != held}
    bad = {e.pk for e in examples if e.split == held and e.conversation is not None and e.conversation in trained}
    for texts in ([question_of(example) for example in examples], [example.answer for example in examples]):
        for one, other in near_pairs(texts):
            if examples[one].split != examples[other].split:
                bad.add(next(examples[at].pk for at in (one, other) if examples[at].split == held))
    return dataset.examples.filter(pk__in=bad).update(state=Example.State.REJECTED)


def _manifest(dataset: DataSet, late: dict[str, int]) -> dict[str, Any]:
    shas = {split: files.part_sha256(dataset, split) for split in files.PARTS}
    left_out = {code: n for code, n in dataset.counts.get("left_out", {}).items() if n}
    states = by_state(dataset)
    rejected = sum(part[Example.State.REJECTED] for part in states.values()) - sum(late.values())
    proposed = sum(part[Example.State.PROPOSED] for part in states.values())
    after = {"rejected": rejected, "not_approved": proposed, **late}
    whole = hashlib.sha256("\n".join(sha256 for sha256, _n in shas.values()).encode()).hexdigest()
    return {
        "format": 1,
        "name": dataset.name,
        "kind": dataset.kind,
        "synthetic": dataset.synthetic,
        "made": timezone.now().isoformat(timespec="seconds"),
        "app": APP,
        "sha256": whole,
        "files": {f"{split}.jsonl": {"sha256": sha, "lines": n} for split, (sha, n) in shas.items()},
        "filter": dataset.filter,
        "held_out": dataset.held_out,
        "seed": dataset.seed,
        "counts": {
            "in": dataset.counts.get("turns", 0),
            "out": sum(n for _sha256, n in shas.values()),
            "left_out": left_out,
            "examples_left_out": {code: n for code, n in after.items() if n},
        },
        "replaced": dataset.counts.get("replaced", {}),
        "limits": LIMITS,
        "ids": {
            split: [
                {"example": pk, "turn": str(turn) if turn else None}
                for pk, turn in _approved(dataset).filter(split=part).values_list("pk", "turn")
            ]
            for split, part in files.PARTS.items()
        },
    }
