"""Every read about conversations and turns. Owners see their own; nothing else exists for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from knowledge.models import Document

from .models import Coach, Conversation, Source, Turn
from .prompting import NumberedSource, PastTurn


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


def active_coaches() -> QuerySet[Coach]:
    return Coach.objects.filter(active=True)


def conversations_of(user_id: int) -> QuerySet[Conversation]:
    return Conversation.objects.filter(owner_id=user_id).select_related("coach")


def conversation_of(user_id: int, conversation_id: UUID) -> Conversation | None:
    return conversations_of(user_id).filter(pk=conversation_id).first()


def turn_of(user_id: int, turn_id: UUID) -> Turn | None:
    return (
        Turn.objects.filter(pk=turn_id, conversation__owner_id=user_id)
        .select_related("conversation__coach", "rating")
        .first()
    )


def turns_of(conversation: Conversation) -> QuerySet[Turn]:
    return conversation.turns.select_related("rating").order_by("position", "created")


def claimable_turns(*, pending_for: float = 0.0) -> list[UUID]:
    """Turns that wait for a runner for at least `pending_for` seconds, or whose runner died; oldest first."""
    now = timezone.now()
    waiting = Q(state=Turn.State.PENDING, created__lte=now - timedelta(seconds=pending_for))
    orphaned = Q(state=Turn.State.RUNNING, lease_until__lt=now)
    return list(Turn.objects.filter(waiting | orphaned).order_by("created").values_list("pk", flat=True)[:200])


def turn_context(turn_id: UUID) -> TurnContext:
    turn = Turn.objects.select_related("conversation__coach").get(pk=turn_id)
    conversation, coach = turn.conversation, turn.conversation.coach
    sources = tuple(_known(source) for source in Source.objects.filter(conversation=conversation))
    earlier = _answered(conversation.pk).filter(position__lt=turn.position)
    return TurnContext(
        turn=turn.pk,
        conversation=conversation.pk,
        position=turn.position,
        question=turn.question,
        language=turn.language,
        coach=coach.slug,
        mode=coach.mode,
        coach_prompt=coach.prompt,
        language_models=coach.language_models,
        bases=tuple(coach.knowledge_bases.values_list("pk", flat=True)),
        past=_path(earlier, {source.n: source for source in sources}),
        sources=sources,
        sources_from=conversation.sources_from_turn,
        stop_requested=turn.stop_requested,
    )


def opened_conversation(conversation_id: UUID) -> OpenedConversation | None:
    """What a model would have to read before the next question; None when the conversation is gone."""
    conversation = Conversation.objects.select_related("coach").filter(pk=conversation_id).first()
    if conversation is None:
        return None
    sources = {source.n: _known(source) for source in Source.objects.filter(conversation=conversation)}
    return OpenedConversation(
        conversation=conversation.pk,
        language=conversation.language,
        mode=conversation.coach.mode,
        coach_prompt=conversation.coach.prompt,
        language_models=conversation.coach.language_models,
        past=_path(_answered(conversation.pk), sources),
        sources_from=conversation.sources_from_turn,
    )


def _answered(conversation_id: UUID) -> QuerySet[Turn]:
    states = (Turn.State.DONE, Turn.State.STOPPED)
    return Turn.objects.filter(conversation_id=conversation_id, state__in=states).order_by("position", "created")


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


def _path(turns: QuerySet[Turn], sources: dict[int, KnownSource]) -> tuple[PastTurn, ...]:
    """The last sibling of each position, each with the sources it was the first on the path to show."""
    last = {turn.position: turn for turn in turns if turn.answer}
    shown: set[int] = set()
    path = []
    for turn in last.values():
        new = [entry["n"] for entry in turn.sources if entry["n"] not in shown and entry["n"] in sources]
        shown.update(new)
        path.append(
            PastTurn(
                position=turn.position,
                question=turn.question,
                answer=turn.answer,
                language=turn.language,
                grounded=bool(turn.sources),
                sources=tuple(NumberedSource(n, sources[n].title, sources[n].excerpt) for n in new),
            )
        )
    return tuple(path)


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
        .select_related("chunk__document", "document")
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
    return Document.objects.filter(pk=document_id, base__coaches__active=True).distinct().first()
