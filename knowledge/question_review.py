"""A person's verdict on proposed questions: approved ones are extra entries of the index from then on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from . import entries, jobs
from .models import Job, KnowledgeBase, QuestionAnswer

State = QuestionAnswer.State
LONGEST_QUESTION, LONGEST_ANSWER = 500, 4000


def ask_for(*, base: KnowledgeBase, documents: Iterable[UUID], cloud: bool = False) -> Job:
    """Have a worker propose questions for these documents; `cloud`: their text may be sent to a cloud model."""
    options = {"documents": sorted(str(document) for document in documents), "cloud": cloud}
    return jobs.ask(base=base, kind=Job.Kind.QUESTIONS, options=options)


def judge(*, base: KnowledgeBase, ids: Iterable[int], state: QuestionAnswer.State, person: Any) -> int:
    """Approve, reject, or put back to the proposals; how many changed."""
    with transaction.atomic():
        chosen = list(_of(base).filter(pk__in=list(ids)).exclude(state=state))
        were = [question for question in chosen if question.state == State.APPROVED]
        rows = QuestionAnswer.objects.filter(pk__in=[question.pk for question in chosen])
        rows.update(state=state, reviewed_by=person, reviewed=timezone.now())
        if state == State.APPROVED:
            entries.add_questions(questions=chosen)
        elif were:
            entries.remove_questions(questions=were)
    return len(chosen)


def edit(*, base: KnowledgeBase, pair_id: int, question: str, answer: str, person: Any) -> bool:
    """A person's own words need no check. False when a text is empty or too long, or the pair is gone."""
    question, answer = question.strip(), answer.strip()
    if not (0 < len(question) <= LONGEST_QUESTION and 0 < len(answer) <= LONGEST_ANSWER):
        return False
    with transaction.atomic():
        found = _of(base).filter(pk=pair_id).first()
        if found is None:
            return False
        found.question, found.answer, found.reviewed_by, found.reviewed = question, answer, person, timezone.now()
        found.save(update_fields=["question", "answer", "reviewed_by", "reviewed"])
        if found.state == State.APPROVED:
            entries.add_questions(questions=[found])  # its words are in the index
    return True


def _of(base: KnowledgeBase) -> QuerySet[QuestionAnswer]:
    return QuestionAnswer.objects.filter(document__base=base)
