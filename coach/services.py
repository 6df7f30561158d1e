"""Every write about conversations, turns and ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from llm import limits

from . import statements
from .errors import Empty, LimitReached, NotFinished, NotFound, NotLast, TooLong, TooMany, UnknownReason
from .language import detect_language
from .models import Coach, Conversation, Rating, RatingChange, RatingReason, Turn

LEASE = timedelta(seconds=5)
MAX_ATTEMPTS = 3
UNFINISHED = (Turn.State.PENDING, Turn.State.RUNNING)


@dataclass(frozen=True, slots=True)
class NewSource:
    """A passage that gets its number with this turn."""

    n: int
    chunk: int
    document: str
    title: str
    location: str
    text: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message of the prompt that is not stored yet. shared: nothing of this conversation is in it."""

    sha256: str
    role: str
    text: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended; everything that is stored about it."""

    state: Turn.State
    answer: str = ""
    sources: Sequence[dict[str, Any]] = ()
    new_sources: Sequence[NewSource] = ()
    citations: Sequence[int] = ()
    unsupported: Sequence[Sequence[int]] = ()
    notices: Sequence[dict[str, Any]] = ()
    grounded: bool = False
    model: str = ""
    place: str = ""
    usage: dict[str, Any] | None = None
    timings: dict[str, float] | None = None
    safety: str = ""
    failure_code: str = ""
    failure: str = ""
    sources_from: int = 0
    provenance: dict[str, Any] | None = None
    new_messages: Sequence[NewMessage] = ()


def start_conversation(*, owner_id: int, coach: str, language: str, private: bool = False) -> Conversation:
    """`private`: only language models on this machine will ever answer in it."""
    found = Coach.objects.filter(slug=coach, active=True).first()
    if found is None:
        raise NotFound
    return Conversation.objects.create(owner_id=owner_id, coach=found, language=language, private=private)


def take_over_conversations(*, guest_id: int, owner_id: int) -> int:
    """A guest signed in to an account: the conversations move there. How many there were."""
    return Conversation.objects.filter(owner_id=guest_id, owner__is_guest=True).update(owner_id=owner_id)


def delete_conversation(*, owner_id: int, conversation_id: UUID) -> None:
    deleted, _rows = Conversation.objects.filter(pk=conversation_id, owner_id=owner_id).delete()
    if not deleted:
        raise NotFound


def rename_conversation(*, owner_id: int, conversation_id: UUID, title: str) -> Conversation:
    """Under what name its owner finds it. Raises Empty, TooLong or NotFound."""
    title = " ".join(title.replace("\x00", "").split())
    longest = Conversation._meta.get_field("title").max_length or 0
    if not title:
        raise Empty
    if len(title) > longest:
        raise TooLong(longest)
    changed = Conversation.objects.filter(pk=conversation_id, owner_id=owner_id).update(title=title)
    if not changed:
        raise NotFound
    return Conversation.objects.select_related("coach").get(pk=conversation_id)


def keep_out_of_training(*, owner_id: int, conversation_id: UUID, kept_out: bool) -> Conversation:
    """Whether a conversation of one's own is left out, whatever its owner agreed to for the others."""
    changed = Conversation.objects.filter(pk=conversation_id, owner_id=owner_id).update(kept_out=kept_out)
    if not changed:
        raise NotFound
    return Conversation.objects.select_related("coach").get(pk=conversation_id)


def ask(*, user_id: int, turn_id: UUID, conversation_id: UUID, text: str, language: str = "") -> bool:
    """Save a question as a pending turn. False when this turn was there already (a resend).

    `language` is that of the answer; empty: the language the question is written in.
    """
    text = _question(text)
    _check_limits(user_id, conversation_id)
    with transaction.atomic():
        asked = _asked(user_id, turn_id, conversation_id)
        language = language or detect_language(text, asked.language)
        if not _new_turn(asked, turn_id, conversation_id, text, language, None):
            return False
        title = asked.title or _title(text)
        statements.touch(conversation=conversation_id, language=language, title=title, now=timezone.now())
    return True


def regenerate(*, user_id: int, turn_id: UUID, new_turn_id: UUID, text: str | None = None) -> bool:
    """Ask the same question again as a sibling turn. False when the sibling was there already.

    text: asked in its place; only the last question of a conversation can be changed. Raises NotFound, NotFinished,
    NotLast, and what `ask` raises.
    """
    turn = _finished(user_id, turn_id)
    question = turn.question if text is None else _question(text)
    _check_limits(user_id, turn.conversation_id)
    with transaction.atomic():
        asked = _asked(user_id, new_turn_id, turn.conversation_id)
        if question == turn.question:
            return _new_turn(asked, new_turn_id, turn.conversation_id, question, turn.language, turn)
        if asked.turn_in is None and asked.last_position != turn.position:
            raise NotLast
        language = detect_language(question, asked.language)
        if not _new_turn(asked, new_turn_id, turn.conversation_id, question, language, turn):
            return False
        title = _title(question) if asked.title == _title(turn.question) else asked.title
        statements.touch(conversation=turn.conversation_id, language=language, title=title, now=timezone.now())
    return True


def _question(text: str) -> str:
    """Raises Empty, TooLong."""
    text = text.replace("\x00", "").strip()
    if not text:
        raise Empty
    if len(text) > settings.QUESTION_MAX_CHARACTERS:
        raise TooLong(settings.QUESTION_MAX_CHARACTERS)
    return text


def _check_limits(user_id: int, conversation_id: UUID) -> None:
    """Before the transaction, for counting may take a while. Raises NotFound, LimitReached."""
    if not limits.any_set():
        return
    own = Conversation.objects.filter(pk=conversation_id, owner_id=user_id)
    coach = own.values_list("coach__slug", flat=True).first()
    if coach is None:
        raise NotFound
    allowed = limits.allowance(user_id, coach)
    if not allowed.local:
        raise LimitReached(allowed.message)


def _asked(user_id: int, turn_id: UUID, conversation_id: UUID) -> statements.Asked:
    since = timezone.now() - timedelta(minutes=1)
    asked = statements.asked(turn=turn_id, conversation=conversation_id, owner=user_id, since=since)
    if asked is None or asked.turn_in not in (None, conversation_id):
        raise NotFound
    return asked


def _new_turn(
    asked: statements.Asked, turn_id: UUID, conversation_id: UUID, text: str, language: str, regenerates: Turn | None
) -> bool:
    if asked.turn_in is not None:
        return False
    if asked.recent >= settings.TURNS_PER_MINUTE:
        raise TooMany
    following = 0 if asked.last_position is None else asked.last_position + 1
    return statements.new_turn(  # False when the same id arrived twice at the same moment
        turn=turn_id,
        conversation=conversation_id,
        position=following if regenerates is None else regenerates.position,
        regenerates=None if regenerates is None else regenerates.pk,
        question=text,
        language=language,
        now=timezone.now(),
    )


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59].rsplit(" ", 1)[0] + "…"


def request_stop(*, user_id: int, turn_id: UUID) -> None:
    """Ask the runner to stop; a turn nobody has claimed yet is stopped here and now."""
    mine = Turn.objects.filter(pk=turn_id, conversation__owner_id=user_id)
    if not mine.filter(state=Turn.State.PENDING).update(state=Turn.State.STOPPED, finished=timezone.now()):
        changed = mine.filter(state=Turn.State.RUNNING).update(stop_requested=True)
        if not changed and not mine.exists():
            raise NotFound


def claim(*, turn_id: UUID, runner: str) -> int:
    """Take the turn: pending, or running with an expired lease. The attempt's number from 1, or 0.

    Turns of one conversation run one after the other: sources are numbered in their order.
    """
    now = timezone.now()
    return statements.claim(turn=turn_id, runner=runner, now=now, until=now + LEASE, most=MAX_ATTEMPTS)


def renew_leases(*, runner: str) -> set[UUID]:
    """Renew every lease of this runner; the turns whose coachee asked to stop."""
    mine = Turn.objects.filter(lease_owner=runner, state=Turn.State.RUNNING)
    if mine.update(lease_until=timezone.now() + LEASE) == 0:
        return set()
    return set(mine.filter(stop_requested=True).values_list("pk", flat=True))


def release(*, turn_id: UUID, runner: str) -> None:
    """Give a turn back unharmed: this runner is shutting down."""
    Turn.objects.filter(pk=turn_id, lease_owner=runner, state=Turn.State.RUNNING).update(
        state=Turn.State.PENDING, lease_owner="", lease_until=None, attempts=F("attempts") - 1
    )


def give_up_exhausted() -> list[tuple[UUID, int]]:
    """Fail turns whose third attempt died as well; (turn, attempts) of each."""
    now = timezone.now()
    dead = Turn.objects.filter(state=Turn.State.RUNNING, lease_until__lt=now, attempts__gte=MAX_ATTEMPTS)
    given_up = []
    for turn_id, attempts in dead.values_list("pk", "attempts"):
        changed = dead.filter(pk=turn_id).update(
            state=Turn.State.FAILED, finished=now, failure_code="runner_lost", failure="The runner died three times."
        )
        if changed:
            given_up.append((turn_id, attempts))
    return given_up


def finish_turn(*, turn_id: UUID, runner: str, outcome: Outcome) -> bool:
    """Store the outcome in one commit. False when another runner has taken the turn over."""
    values = {
        "state": outcome.state.value,
        "answer": outcome.answer,
        "sources": list(outcome.sources),
        "citations": list(outcome.citations),
        "unsupported": list(outcome.unsupported),
        "notices": list(outcome.notices),
        "grounded": outcome.grounded,
        "model": outcome.model,
        "place": outcome.place,
        "usage": outcome.usage or {},
        "timings": outcome.timings or {},
        "safety": outcome.safety,
        "failure_code": outcome.failure_code,
        "failure": outcome.failure,
        "provenance": outcome.provenance or {},
    }
    with transaction.atomic():
        conversation = statements.finish(turn=turn_id, runner=runner, values=values, finished=timezone.now())
        if conversation is None:
            return False
        if outcome.new_sources:
            statements.add_sources(conversation=conversation, rows=[_row(new) for new in outcome.new_sources])
        if outcome.new_messages:
            new = [(message.sha256, message.role, message.text, message.shared) for message in outcome.new_messages]
            statements.add_messages(conversation=conversation, rows=new)
        if outcome.sources_from:
            statements.set_sources_from(conversation=conversation, position=outcome.sources_from)
    return True


def _row(new: NewSource) -> statements.Row:
    return (new.n, new.chunk, new.document, new.title, new.location, new.text, new.excerpt)


def rate(
    *,
    user_id: int,
    turn_id: UUID,
    rating: int,
    helpful: bool | None,
    comment: str,
    reasons: Sequence[str] = (),
) -> Rating:
    """Set or change the rating of a finished turn of one's own; what it was before is kept, too.

    reasons: short names of RatingReason. Raises UnknownReason for one that is not offered.
    """
    turn = _finished(user_id, turn_id)
    given = list(dict.fromkeys(reasons))
    values = {"rating": rating, "helpful": helpful, "comment": comment.strip(), "reasons": given}
    with transaction.atomic():
        before = Rating.objects.select_for_update().filter(turn=turn).first()
        if before is not None and all(getattr(before, name) == value for name, value in values.items()):
            return before
        _check_reasons(given, before)
        found, _created = Rating.objects.update_or_create(turn=turn, defaults=values)
        RatingChange.objects.create(turn=turn, changed_by_id=user_id, **values)
    return found


def take_rating_back(*, user_id: int, turn_id: UUID) -> None:
    """Raises NotFound, also when the turn is not rated."""
    turn = _finished(user_id, turn_id)
    with transaction.atomic():
        deleted, _rows = Rating.objects.filter(turn=turn).delete()
        if not deleted:
            raise NotFound
        RatingChange.objects.create(turn=turn, changed_by_id=user_id, rating=None)


def _finished(user_id: int, turn_id: UUID) -> Turn:
    turn = Turn.objects.filter(pk=turn_id, conversation__owner_id=user_id).first()
    if turn is None:
        raise NotFound
    if turn.state in UNFINISHED:
        raise NotFinished
    return turn


def _check_reasons(reasons: Sequence[str], before: Rating | None) -> None:
    """One that was switched off since stays with the rating it was given with."""
    offered = set(RatingReason.objects.filter(active=True, slug__in=reasons).values_list("slug", flat=True))
    unknown = [slug for slug in reasons if slug not in offered and (before is None or slug not in before.reasons)]
    if unknown:
        raise UnknownReason(unknown[0])
