"""What the knowledge does not cover: questions without an answer, answers that did not help, documents nobody needs.

Everything is read in six statements, however many turns there are. Private conversations are left out wholly. Of the
others the text of a question is shown only where its coachee gave it (admin_conversations.may_be_read); the rest is
counted, so that an admin sees how much is missing without reading what people told the coach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from knowledge.models import Document
from knowledge.open_questions import OpenQuestion, ShownQuestion

from .models import Source, Turn
from .prompting import grams
from .questions import asks_for_knowledge

MOST_TURNS = 5000
MAP_DAYS = 365
LOW_RATING = 2
# Of the character n-grams of both questions: 'How do I make a habit?' and 'how do I make habits'.
SAME = 0.55
FIELDS = (
    *("pk", "conversation_id", "position", "question", "language", "created", "grounded", "safety", "sources"),
    *("citations", "conversation__coach", "rating__rating", "rating__helpful", "rating__comment"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at. 0 and '' mean all."""

    days: int = 30
    coach: int = 0
    language: str = ""
    base: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn. `text` is '' where it is private."""

    turn: UUID
    text: str
    language: str
    created: datetime
    coach: int
    rating: int | None = None


@dataclass(slots=True)
class Group:
    """Questions that are nearly the same; `shown` is the newest that may be read, else the newest."""

    shown: Asked
    count: int
    last: datetime


@dataclass(frozen=True, slots=True)
class DocumentUse:
    id: UUID
    title: str
    language: str
    base: str
    shown: int = 0
    cited: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """`turns` were answered in the period, `questions` of them asked something; `cut`: only the newest were read."""

    turns: int
    questions: int
    cut: bool
    unanswered: Sequence[Group]
    low_rated: Sequence[Group]
    uncited: Sequence[Asked]
    cited: Sequence[DocumentUse]
    never_cited: Sequence[DocumentUse]
    never_found: Sequence[DocumentUse]


@dataclass(slots=True)
class _Row:
    """A turn as it is read."""

    asked: Asked
    words: str  # the question, for grouping only
    conversation: UUID
    answered: bool
    low: bool
    is_question: bool
    shown: frozenset[int] = field(default_factory=frozenset)
    cited: frozenset[int] = field(default_factory=frozenset)


def coverage(wanted: Wanted) -> Coverage:
    found = _turns(wanted)
    rows = _rows(found[:MOST_TURNS])
    asked = [row for row in rows if row.is_question]
    cited, never_cited, never_found = _documents(rows, wanted)
    return Coverage(
        turns=len(rows),
        questions=len(asked),
        cut=len(found) > MOST_TURNS,
        unanswered=_grouped([row for row in asked if not row.answered]),
        low_rated=_grouped([row for row in rows if row.low]),
        uncited=[row.asked for row in rows if row.answered and row.shown and not row.cited],
        cited=cited,
        never_cited=never_cited,
        never_found=never_found,
    )


def _turns(wanted: Wanted) -> list[dict[str, Any]]:
    turns = _readable_turns(wanted.days)
    if wanted.coach:
        turns = turns.filter(conversation__coach=wanted.coach)
    if wanted.language:
        turns = turns.filter(language=wanted.language)
    if wanted.base:
        turns = turns.filter(conversation__coach__knowledge_bases=wanted.base)
    return list(turns.values(*FIELDS)[: MOST_TURNS + 1])


def _readable_turns(days: int) -> QuerySet[Turn]:
    """Finished turns that are neither private nor about safety, newest first."""
    since = timezone.now() - timedelta(days=days)
    turns = Turn.objects.filter(state=Turn.State.DONE, safety="", conversation__private=False, created__gte=since)
    return turns.order_by("-created")


def _rows(found: Iterable[Mapping[str, Any]]) -> list[_Row]:
    """As questions, only the newest of answers that were written again counts."""
    rows: list[_Row] = []
    seen: set[tuple[UUID, int]] = set()
    for turn in found:
        place = turn["conversation_id"], turn["position"]
        again = place in seen
        seen.add(place)
        rating, helpful = turn["rating__rating"], turn["rating__helpful"]
        text = turn["question"] if (turn["rating__comment"] or "").strip() else ""
        asked = Asked(
            turn["pk"], text, turn["language"], turn["created"], turn["conversation__coach"], turn["rating__rating"]
        )
        rows.append(
            _Row(
                asked=asked,
                words=turn["question"],
                conversation=turn["conversation_id"],
                answered=turn["grounded"],
                low=rating is not None and (rating <= LOW_RATING or helpful is False),
                is_question=not again and asks_for_knowledge(turn["question"], turn["language"]),
                shown=frozenset(source["n"] for source in turn["sources"]),
                cited=frozenset(turn["citations"]),
            )
        )
    return rows


def _grouped(rows: Sequence[_Row]) -> list[Group]:
    """Questions that are nearly the same, in one language, together; those that may be read first, then the most asked.

    Two sets of which SAME of all is common share one of the rarest of each, so only those are looked up: 5,000
    different questions take 2.2 s, and took 4.5 without that.
    """
    words = [grams(row.words) for row in rows]
    frequency = Counter(gram for own in words for gram in own)
    groups: list[tuple[Group, frozenset[str]]] = []
    by_gram: dict[tuple[str, str], list[int]] = {}
    for row, own in zip(rows, words, strict=True):  # newest first
        rarest = sorted(own, key=lambda gram: (frequency[gram], gram))[: len(own) - ceil(SAME * len(own)) + 1]
        keys = [(row.asked.language, gram) for gram in rarest]
        candidates = {number for key in keys for number in by_gram.get(key, ())}
        alike, number = max(((_shared(own, groups[n][1]), n) for n in candidates), default=(0.0, 0))
        if alike < SAME:
            for key in keys:
                by_gram.setdefault(key, []).append(len(groups))
            groups.append((Group(row.asked, 1, row.asked.created), own))
            continue
        group = groups[number][0]
        group.count += 1
        if row.asked.text and not group.shown.text:
            group.shown = row.asked
    return sorted((group for group, _own in groups), key=lambda group: (not group.shown.text, -group.count))


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def _documents(rows: Sequence[_Row], wanted: Wanted) -> tuple[list[DocumentUse], list[DocumentUse], list[DocumentUse]]:
    """(cited, most first; shown but never cited; never found), of the documents that can be found now."""
    documents = Document.objects.filter(state=Document.State.READY)
    if wanted.base:
        documents = documents.filter(base=wanted.base)
    elif wanted.coach:
        documents = documents.filter(base__coaches=wanted.coach)
    if wanted.language:
        documents = documents.filter(Q(language=wanted.language) | Q(language=""))
    turns = _readable_turns(wanted.days).values("conversation")
    used = Source.objects.filter(conversation__in=turns, document__isnull=False)
    place = {(conversation, n): document for conversation, n, document in used.values_list(*_SOURCE_FIELDS)}
    shown: Counter[UUID] = Counter()
    cited: Counter[UUID] = Counter()
    for row in rows:
        shown.update({place[key] for n in row.shown if (key := (row.conversation, n)) in place})
        cited.update({place[key] for n in row.cited if (key := (row.conversation, n)) in place})
    uses = [
        DocumentUse(pk, title, language, base, shown[pk], cited[pk])
        for pk, title, language, base in documents.order_by("title").values_list(
            "pk", "title", "language", "base__name"
        )
    ]
    return (
        sorted((use for use in uses if use.cited), key=lambda use: (-use.cited, use.title)),
        sorted((use for use in uses if use.shown and not use.cited), key=lambda use: (-use.shown, use.title)),
        [use for use in uses if not use.shown],
    )


_DOCUMENT_FIELDS = ("pk", "title", "language", "base__name")
_SOURCE_FIELDS = ("conversation_id", "n", "document_id")


class UnansweredQuestions:
    """knowledge/open_questions.py asks this for the map."""

    def unanswered(self, base: int, limit: int) -> list[OpenQuestion]:
        turns = _readable_turns(MAP_DAYS).filter(grounded=False, conversation__coach__knowledge_bases=base)
        found: list[OpenQuestion] = []
        for pk, question, language in turns.values_list("pk", "question", "language")[:MOST_TURNS]:
            if asks_for_knowledge(question, language):
                found.append(OpenQuestion(str(pk), question, language))
            if len(found) == limit:
                break
        return found

    def shown(self, ids: Iterable[str]) -> dict[str, ShownQuestion]:
        rows = _readable_turns(2 * MAP_DAYS).filter(pk__in=list(ids))
        return {
            str(pk): ShownQuestion(
                question if (comment or "").strip() else "", reverse("admin:coach_turn_change", args=[pk])
            )
            for pk, question, comment in rows.values_list("pk", "question", "rating__comment")
        }
