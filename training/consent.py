"""What follows for data sets and models when somebody no longer wants to be learned from.

Nothing is deleted here: a frozen set stays what it was, and says that it must not be trained on again; the next
build leaves the person out (filters.py). What still waits for approval loses the person's examples at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from coach.models import Conversation

from .models import DataSet, Example, FineTune, TunedModel

OPEN = (DataSet.State.BUILDING, DataSet.State.REVIEW)


@dataclass(frozen=True, slots=True)
class Marked:
    """How many frozen sets and models were marked, and examples taken out of sets that wait for approval."""

    datasets: int = 0
    models: int = 0
    examples: int = 0


def withdrawn(user_id: int) -> Marked:
    """The person took consent back."""
    return _mark(Conversation.objects.filter(owner=user_id).values("pk"))


def kept_out(conversation_id: UUID) -> Marked:
    """Its owner keeps this conversation out of training."""
    return _mark([conversation_id])


def cloud_withdrawn(user_id: int) -> int:
    """The person did not agree, or no longer, to training at OpenAI: how many models from there were marked."""
    theirs = Example.objects.filter(turn__conversation__owner=user_id).exclude(state=Example.State.REJECTED)
    made = TunedModel.objects.filter(
        stale=None, finetune__where=FineTune.Where.OPENAI, finetune__dataset__in=theirs.values("dataset")
    )
    return made.update(stale=timezone.now())


def without_cloud(dataset: DataSet) -> int:
    """Examples of a set that may not leave this machine: their people agreed to training here only."""
    used = dataset.examples.exclude(state=Example.State.REJECTED)
    if dataset.synthetic:
        return 0
    return used.exclude(turn__conversation__owner__training_consent_cloud=True).count()


def deleted() -> Marked:
    """Conversations that were deleted: what is left of their turns in sets, as if consent had been taken back."""
    gone = Example.objects.filter(turn=None, dataset__synthetic=False)
    with transaction.atomic():
        removed, _ = gone.filter(dataset__state__in=OPEN).delete()
        frozen = list(
            gone.filter(dataset__state=DataSet.State.FROZEN, dataset__stale=None)
            .order_by()
            .values_list("dataset", flat=True)
            .distinct()
        )
        return Marked(*_stale(frozen), removed)


def _stale(frozen: list[int]) -> tuple[int, int]:
    """Marks sets and the models made of them."""
    now = timezone.now()
    datasets = DataSet.objects.filter(pk__in=frozen, stale=None).update(stale=now)
    return datasets, TunedModel.objects.filter(finetune__dataset__in=frozen, stale=None).update(stale=now)


def _mark(conversations: QuerySet[Conversation, Any] | list[UUID]) -> Marked:
    theirs = Example.objects.filter(Q(conversation__in=conversations) | Q(turn__conversation__in=conversations))
    used = theirs.exclude(state=Example.State.REJECTED)
    with transaction.atomic():
        waiting = Example.objects.filter(pk__in=used.filter(dataset__state__in=OPEN).values("pk"))
        examples = waiting.update(state=Example.State.REJECTED)
        frozen = list(
            used.filter(dataset__state=DataSet.State.FROZEN).order_by().values_list("dataset", flat=True).distinct()
        )
        return Marked(*_stale(frozen), examples)
