"""Pairs of answers to the same prompt: asked for again, rated or improved (coach/preferences.py), or written by a
rater."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from uuid import UUID

from coach.models import AnswerEdit, Turn
from coach.preferences import Pair, pairs
from coach.prompting import written
from coach.provenance import PromptDamaged, stored_prompt

from ..filters import TurnFilter
from .rows import Row, batches, plain_id, raters_answers

AT_ONCE = 2000  # questions
_UNUSED = set(Row._fields) - {"id", "conversation", "position"}

Place = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Question:
    """The answers to one question that passed the filter, by their turns, and the pairs among them.

    beside      turns of the pairs that did not pass (rated low, perhaps), by the reason for which they did not
    problem     why there is no pair: `no_pair`, `damaged` or `unsafe_past`
    """

    turns: tuple[UUID, ...]
    pairs: tuple[Pair, ...] = ()
    beside: tuple[tuple[UUID, str], ...] = ()
    problem: str = "no_pair"


def questions(wanted: TurnFilter, within: Sequence[UUID] | None = None) -> Iterator[Question]:
    """Every question with an answer that passes (within some conversations only); streamed."""
    rows = (row for batch in batches(wanted, within, without=_UNUSED) for row in batch)
    grouped = (list(turns) for _key, turns in groupby(rows, key=lambda row: (row.conversation, row.position)))
    while some := list(islice(grouped, AT_ONCE)):
        yield from _together(some, wanted)


def _together(groups: list[list[Row]], wanted: TurnFilter) -> Iterator[Question]:
    passed = {_place(group[0]): tuple(_uuid(row) for row in group) for group in groups}
    better, damaged = _ideal(groups)
    again = pairs(
        Turn(conversation_id=conversation, position=position) for conversation, position in _with_pairs(passed)
    )
    ideal = {pair.chosen_turn for pair in better}  # a rater's answer wins over that of the coachee
    found = [*better, *(pair for pair in again if pair.why != "edited" or pair.chosen_turn not in ideal)]
    named = {turn for pair in found for turn in (pair.chosen_turn, pair.rejected_turn)}
    rows = Turn.objects.filter(pk__in=named).order_by()
    places = {
        turn: (conversation, position)
        for turn, conversation, position in rows.values_list("pk", "conversation_id", "position")
    }
    unsafe = _unsafe_past(places)
    at: defaultdict[Place, list[Pair]] = defaultdict(list)
    for pair in found:
        if pair.chosen_turn not in places or pair.chosen_turn in unsafe:
            continue  # deleted in this moment, or its prompt holds what nothing may be learned from
        at[places[pair.chosen_turn]].append(pair)
    beside: defaultdict[Place, list[tuple[UUID, str]]] = defaultdict(list)
    for turn, why in wanted.why_not_each(list(named)).items():
        if why:
            beside[places[turn]].append((turn, why))
    for place, turns in passed.items():
        problem = (
            "damaged" if damaged.intersection(turns) else "unsafe_past" if unsafe.intersection(turns) else "no_pair"
        )
        yield Question(turns, tuple(at[place]), tuple(beside[place]), problem)


def _unsafe_past(places: Mapping[UUID, Place]) -> set[UUID]:
    """Those of these turns whose prompt holds a turn with a safety flag."""
    conversations = {conversation for conversation, _position in places.values()}
    flagged = Turn.objects.filter(conversation__in=conversations).exclude(safety="").order_by()
    unsafe = {str(turn) for turn in flagged.values_list("pk", flat=True)}
    if not unsafe:
        return set()
    pasts = Turn.objects.filter(pk__in=places).order_by().values_list("pk", "provenance__history")
    return {turn for turn, past in pasts if unsafe.intersection(past or ())}


def _with_pairs(passed: Collection[Place]) -> list[Place]:
    """Those that were asked again or whose answer was improved, in their order."""
    conversations = {conversation for conversation, _position in passed}
    again = Turn.objects.filter(conversation__in=conversations, regenerates__isnull=False)
    improved = AnswerEdit.objects.filter(turn__conversation__in=conversations)
    places = {*again.order_by().values_list("conversation_id", "position")}
    places |= {*improved.order_by().values_list("turn__conversation_id", "turn__position")}
    return sorted(places.intersection(passed))


def _ideal(groups: list[list[Row]]) -> tuple[list[Pair], set[UUID]]:
    """What raters wrote against what the model wrote, and the turns whose prompt is damaged."""
    texts = raters_answers([row.id for group in groups for row in group])
    turns = Turn.objects.select_related("conversation__coach").filter(pk__in=[plain_id(turn) for turn in texts])
    better = {plain_id(turn): text for turn, text in texts.items()}
    found, damaged = [], set()
    for turn in turns:
        chosen, rejected = better[str(turn.pk)], written(turn.answer, turn.language)
        if chosen.strip() == rejected.strip():
            continue
        try:
            prompt = stored_prompt(turn).messages
        except PromptDamaged:
            damaged.add(turn.pk)
            continue
        found.append(Pair(prompt, chosen, rejected, turn.pk, turn.pk, "ideal"))
    return found, damaged


def _place(row: Row) -> Place:
    return UUID(str(row.conversation)), row.position


def _uuid(row: Row) -> UUID:
    return UUID(str(row.id))
