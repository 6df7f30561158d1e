"""Every read about conversations and turns. Owners see their own; nothing else exists for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import override

from knowledge.models import Document
from llm import limits, live_order
from llm.limits import Allowance

from . import statements
from .models import Coach, Conversation, RatingReason, Source, Turn
from .prompting import NumberedSource, PastTurn
from .questions import about_conversation

AFTER_ALL = 2**31 - 1  # a position that no turn reaches


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source that has its number in this conversation already."""

    n: int
    chunk: int | None
    document: str
    title: str
    location: str
    text: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class TurnContext:
    """Everything a runner needs to answer a turn, read at once: no database while the model runs."""

    turn: UUID
    conversation: UUID
    position: int
    question: str
    language: str
    coach: str
    mode: str
    coach_prompt: str
    language_models: str
    bases: tuple[int, ...]
    past: tuple[PastTurn, ...]
    sources: tuple[KnownSource, ...]
    sources_from: int
    stop_requested: bool
    created: datetime | None = None
    owner: int | None = None
    private: bool = False
    regenerates: bool = False  # the same question
    # Of the answer that this one shall be beside: n of its sources, in their order.
    sibling_sources: tuple[int, ...] = ()
    # Hashes of the messages that are stored already (provenance.py).
    known_messages: frozenset[str] = frozenset()
    allowance: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True, slots=True)
class OpenedConversation:
    """The part of a prompt that is known before the next question is."""

    conversation: UUID
    language: str
    mode: str
    coach_prompt: str
    language_models: str
    past: tuple[PastTurn, ...]
    sources_from: int
    private: bool = False
    coach: str = ""


def orders_of_models() -> list[str]:
    """What coaches say themselves of the models to ask."""
    return list(Coach.objects.exclude(language_models="").values_list("language_models", flat=True))


def active_coaches() -> QuerySet[Coach]:
    return Coach.objects.filter(active=True)


def rating_reasons(language: str) -> list[dict[str, str]]:
    """Those that are offered, in their order: `slug`, `text` in this language or English, `shown_for`."""
    found = RatingReason.objects.filter(active=True)
    return [
        {
            "slug": reason.slug,
            "text": reason.texts.get(language) or reason.texts.get("en") or reason.slug,
            "shown_for": reason.shown_for,
        }
        for reason in found
    ]


def conversations_of(user_id: int) -> QuerySet[Conversation]:
    return Conversation.objects.filter(owner_id=user_id).select_related("coach")


def conversation_of(user_id: int, conversation_id: UUID) -> Conversation | None:
    return conversations_of(user_id).filter(pk=conversation_id).first()


def turn_of(user_id: int, turn_id: UUID) -> Turn | None:
    return (
        Turn.objects.filter(pk=turn_id, conversation__owner_id=user_id)
        .select_related("conversation__coach", "rating", "edit")
        .first()
    )


def turns_of(conversation: Conversation) -> QuerySet[Turn]:
    return conversation.turns.select_related("rating", "edit").order_by("position", "created")


def claimable_turns(*, pending_for: float = 0.0) -> list[UUID]:
    """Turns that wait for a runner for at least `pending_for` seconds, or whose runner died; oldest first."""
    now = timezone.now()
    waiting = Q(state=Turn.State.PENDING, created__lte=now - timedelta(seconds=pending_for))
    orphaned = Q(state=Turn.State.RUNNING, lease_until__lt=now)
    return list(Turn.objects.filter(waiting | orphaned).order_by("created").values_list("pk", flat=True)[:200])


def turn_context(turn_id: UUID) -> TurnContext:
    """Raises Turn.DoesNotExist."""
    row, bases = statements.turn_with_coach(turn_id)
    conversation, position, question, language, stop, sources_from, coach, mode, prompt, language_models = row[:10]
    created, owner, private, regenerates, live, sibling_sources, provenance = row[10:]
    live_order.seen(live)
    sources = _known_sources(conversation)
    return TurnContext(
        turn=turn_id,
        conversation=conversation,
        position=position,
        question=question,
        language=language,
        coach=coach,
        mode=mode,
        coach_prompt=prompt,
        language_models=language_models,
        bases=bases,
        past=_path(conversation, position, sources),
        sources=tuple(sources.values()),
        sources_from=sources_from,
        stop_requested=stop,
        created=created,
        owner=owner,
        private=private,
        regenerates=regenerates,
        sibling_sources=tuple(entry["n"] for entry in sibling_sources),
        known_messages=frozenset(provenance.get("messages", ())),
        allowance=_allowance(owner, coach, language),
    )


def _allowance(owner: int, coach: str, language: str) -> Allowance:
    with override(language):  # its message is for the coachee
        return limits.allowance(owner, coach)


def opened_conversation(conversation_id: UUID) -> OpenedConversation | None:
    """What a model would have to read before the next question; None when the conversation is gone."""
    conversation = Conversation.objects.select_related("coach").filter(pk=conversation_id).first()
    if conversation is None:
        return None
    return OpenedConversation(
        conversation=conversation.pk,
        language=conversation.language,
        mode=conversation.coach.mode,
        coach_prompt=conversation.coach.prompt,
        language_models=conversation.coach.language_models,
        past=_path(conversation.pk, AFTER_ALL, _known_sources(conversation.pk)),
        sources_from=conversation.sources_from_turn,
        private=conversation.private,
        coach=conversation.coach.slug,
    )


def _known_sources(conversation_id: UUID) -> dict[int, KnownSource]:
    """By their numbers, in their order."""
    return {row[0]: KnownSource(*row) for row in statements.sources(conversation_id)}


def _known(source: Source) -> KnownSource:
    return KnownSource(
        n=source.n,
        chunk=source.chunk_id,
        document=str(source.document_id or ""),
        title=source.title,
        location=source.location,
        text=source.text,
        excerpt=source.excerpt,
    )


def _path(conversation_id: UUID, before: int, sources: dict[int, KnownSource]) -> tuple[PastTurn, ...]:
    """The last answered sibling of each position, each with the sources it was the first on the path to show."""
    last = {row[0]: row for row in statements.past(conversation_id, before)}
    shown: set[int] = set()
    path = []
    for position, question, answer, language, turn, entries in last.values():
        new = [entry["n"] for entry in entries if entry["n"] not in shown and entry["n"] in sources]
        shown.update(new)
        path.append(
            PastTurn(
                position=position,
                question=question,
                answer=answer,
                language=language,
                grounded=bool(entries) or about_conversation(question, language),
                sources=tuple(NumberedSource(n, sources[n].title, sources[n].excerpt) for n in new),
                turn=turn,
            )
        )
    return tuple(path)


def path_of(turn: Turn) -> tuple[tuple[PastTurn, ...], dict[int, NumberedSource]]:
    """The turns before this one as they are now, and the conversation's sources by number."""
    sources = _known_sources(turn.conversation_id)
    numbered = {n: NumberedSource(n, source.title, source.excerpt) for n, source in sources.items()}
    return _path(turn.conversation_id, turn.position, sources), numbered


def source_data(source: KnownSource, score: float | None) -> dict[str, Any]:
    """A source as it goes over the wire."""
    return {
        "n": source.n,
        "chunk": source.chunk,
        "document": source.document,
        "title": source.title,
        "location": source.location,
        "text": source.text,
        "score": score,
    }


def sources_of_turn(turn: Turn) -> list[dict[str, Any]]:
    """The sources of a turn, in the order of their scores."""
    scores = {entry["n"]: entry.get("score") for entry in turn.sources}
    found = Source.objects.filter(conversation_id=turn.conversation_id, n__in=scores)
    by_number = {source.n: _known(source) for source in found}
    return [source_data(by_number[n], score) for n, score in scores.items() if n in by_number]


def final_data(turn: Turn) -> dict[str, Any]:
    """The body of the `done` or `stopped` event of a stored turn."""
    return {
        "answer": turn.answer,
        "citations": turn.citations,
        "unsupported": turn.unsupported,
        "model": turn.model,
        "place": turn.place,
        "grounded": turn.grounded,
        "usage": turn.usage,
        "timings": turn.timings,
    }


AROUND = 1200  # characters of the document shown before and after a passage


def source_in_context(user_id: int, conversation_id: UUID, n: int) -> dict[str, Any] | None:
    """A source of one's own conversation with the text around it in its document."""
    source = (
        Source.objects.filter(conversation_id=conversation_id, conversation__owner_id=user_id, n=n)
        .select_related("chunk__document__body")
        .first()
    )
    if source is None:
        return None
    before = after = ""
    chunk = source.chunk
    if chunk is not None:
        text = chunk.document.text
        before, after = text[max(0, chunk.start - AROUND) : chunk.start], text[chunk.end : chunk.end + AROUND]
    return {
        "n": source.n,
        "title": source.title,
        "location": source.location,
        "text": source.text,
        "before": before,
        "after": after,
        "document": str(source.document_id) if source.document_id else None,
    }


def readable_document(document_id: UUID) -> Document | None:
    """A document that some active coach may cite; others are read in the admin only."""
    return Document.objects.filter(pk=document_id, base__coaches__active=True).select_related("body").distinct().first()
