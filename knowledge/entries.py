"""Approved questions as extra entries of the indexes, which lead to their passage. For whoever reviews questions."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from . import lexical, passages, wake
from .models import IndexGeneration, QuestionAnswer


def add_questions(*, questions: Sequence[QuestionAnswer]) -> None:
    """Call it when they were approved, or their words changed: found by words at once, by meaning when the worker
    has embedded them."""
    with transaction.atomic():
        entries = passages.question_entries(questions)
        passages.write_questions(entries)
        _forget([entry.id for entry in entries], questions)
        wake.index_later()


def remove_questions(*, questions: Sequence[QuestionAnswer]) -> None:
    """Call it when they were rejected, and before they are deleted; none there is no error."""
    with transaction.atomic():
        ids = [entry.id for entry in passages.question_entries(questions)]
        lexical.remove(ids)
        _forget(ids, questions)


def _forget(ids: Sequence[int], questions: Sequence[QuestionAnswer]) -> None:
    documents = {question.document_id for question in questions}
    collections = IndexGeneration.objects.filter(base__documents__in=documents).distinct()
    wake.forget_later(list(collections.order_by().values_list("collection", flat=True)), ids)
