"""Pairs of answers to the same prompt of which one was preferred: what regenerating and improving leave behind.

A pair has one prompt, byte for byte (provenance.py); answers to different prompts are never compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Literal
from uuid import UUID

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from llm.types import Message

from .models import AnswerEdit, Rating, Turn
from .prompting import written
from .provenance import PromptDamaged, stored_prompt

GOOD, BAD = 4, 2
CONVERSATIONS_AT_ONCE = 200

Place = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Pair:
    """chosen and rejected are answers as the model wrote them, without the words that were put before it.

    why     'rated': one was rated higher; 'regenerated': the coachee had it written again and kept the later one;
            'edited': the coachee wrote how it should have been, and `chosen_turn` is the turn it was written for;
            'ideal' is training's: a rater did
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    chosen_turn: UUID
    rejected_turn: UUID
    why: Literal["regenerated", "edited", "ideal", "rated"]


def pairs(turns: Iterable[Turn] | QuerySet[Turn]) -> Iterator[Pair]:
    """The pairs among these turns and those beside them; in constant memory when they come by conversation.

    A sibling counts though it is not one of `turns`: what is rejected may well fail their filter. It belongs to the
    same person and conversation, is answered, and has no safety flag.
    """
    if isinstance(turns, QuerySet):
        turns = turns.order_by("conversation", "position", "created").iterator(chunk_size=1000)
    places: set[Place] = set()
    conversations = 0
    for _conversation, group in groupby(turns, key=lambda turn: turn.conversation_id):
        places.update((turn.conversation_id, turn.position) for turn in group)
        conversations += 1
        if conversations >= CONVERSATIONS_AT_ONCE:
            yield from _pairs_at(places)
            places, conversations = set(), 0
    yield from _pairs_at(places)


def _pairs_at(places: set[Place]) -> Iterator[Pair]:
    yield from _edited(places)
    chosen = {conversation for conversation, _position in places}
    again = Turn.objects.filter(conversation__in=chosen, regenerates__isnull=False).order_by()
    wanted = places & set(again.values_list("conversation", "position").distinct())
    if not wanted:
        return
    # Nearly all turns are done: by the index of states the database would read them all, each time.
    answered = Turn.objects.alias(ended=Coalesce("state", Value(""))).filter(
        conversation__in={conversation for conversation, _position in wanted}, ended=Turn.State.DONE, safety=""
    )
    by_place: defaultdict[Place, list[Turn]] = defaultdict(list)
    gone_on: set[str] = set()
    rows = answered.select_related("conversation__coach", "rating").order_by("conversation", "position", "created")
    for turn in rows.iterator(chunk_size=1000):
        gone_on.update(turn.provenance.get("history", ()))
        if (turn.conversation_id, turn.position) in wanted:
            by_place[turn.conversation_id, turn.position].append(turn)
    for siblings in by_place.values():
        yield from _pairs_of(siblings, gone_on)


def _edited(places: set[Place]) -> Iterator[Pair]:
    """What coachees wrote against what the model wrote; neither needs an answer beside it."""
    edits = (
        AnswerEdit.objects.alias(ended=Coalesce("turn__state", Value("")))
        .filter(
            turn__conversation__in={conversation for conversation, _position in places},
            ended=Turn.State.DONE,
            turn__safety="",
        )
        .select_related("turn__conversation__coach")
    )
    for edit in edits.order_by("turn__conversation", "turn__position", "turn__created"):
        turn = edit.turn
        chosen, rejected = written(edit.text, turn.language), written(turn.answer, turn.language)
        if (turn.conversation_id, turn.position) not in places or chosen.strip() in ("", rejected.strip()):
            continue
        try:
            messages = stored_prompt(turn).messages
        except PromptDamaged:
            continue
        yield Pair(messages, chosen, rejected, turn.pk, turn.pk, "edited")


def _pairs_of(siblings: Sequence[Turn], gone_on: set[str]) -> Iterator[Pair]:
    """siblings: in the order they were written. gone_on: turns that are the past of a later one."""
    for first, second in combinations(siblings, 2):
        prompt = first.provenance.get("sha256")
        answers = [written(turn.answer, turn.language).strip() for turn in (first, second)]
        if not prompt or prompt != second.provenance.get("sha256") or not all(answers) or answers[0] == answers[1]:
            continue
        decided = _preferred(first, second, gone_on)
        if decided is None:
            continue
        chosen, rejected, why = decided
        try:
            messages = stored_prompt(chosen).messages
        except PromptDamaged:
            continue
        yield Pair(
            prompt=messages,
            chosen=written(chosen.answer, chosen.language),
            rejected=written(rejected.answer, rejected.language),
            chosen_turn=chosen.pk,
            rejected_turn=rejected.pk,
            why=why,
        )


def _preferred(
    first: Turn, second: Turn, gone_on: set[str]
) -> tuple[Turn, Turn, Literal["regenerated", "rated"]] | None:
    """(chosen, rejected, why), or None where nobody said."""
    before, after = _stars(first), _stars(second)
    if before is not None and after is not None and before != after:
        return (first, second, "rated") if before > after else (second, first, "rated")
    # Of one that was liked as well, or that was gone on from, too, nobody said that it is the worse one.
    liked = before is not None and before >= GOOD
    if liked or str(first.pk) in gone_on or (after is not None and after <= BAD):
        return None
    kept = str(second.pk) in gone_on or (after is not None and after >= GOOD)
    return (second, first, "regenerated") if kept else None


def _stars(turn: Turn) -> int | None:
    rating: Rating | None = getattr(turn, "rating", None)
    return rating.rating if rating else None
