"""The conversation before a turn, for the example of that turn: earlier questions and answers, oldest first.

As the model was shown it, sources and all; where that was not kept, as the conversation is now. It begins after the
last turn that nothing may be learned from: one with a safety flag, or one that was stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from coach.models import PromptMessage, Turn
from coach.prompting import written
from llm.tokens import estimate_tokens

from ..filters import TurnFilter
from .openai_rules import MESSAGE_TOKENS, MOST_TOKENS, answered
from .rows import Asked, Row, plain_id

Messages = list[dict[str, str]]


class Exchange(NamedTuple):
    turn: UUID
    question: str
    answer: str


class _Past(NamedTuple):
    """Of some conversations. texts: by conversation and hash; turns: by conversation, (position, what was said)."""

    usable: set[UUID]
    texts: dict[tuple[UUID, str], str]
    turns: dict[UUID, list[tuple[int, Exchange]]]


def before(batch: Sequence[Row], shown: Sequence[Asked], wanted: TurnFilter) -> list[Messages]:
    """For each row so much of it as fits into `wanted.history` tokens, with three statements for all of them."""
    if not wanted.history:
        return [[] for _row in batch]
    kept = [orjson.loads(row.provenance or "{}") for row in batch]
    past = _past(batch, kept, wanted)
    found = []
    for row, provenance, asked in zip(batch, kept, shown, strict=True):
        rest = answered(asked.system, asked.user, asked.answer).tokens
        exchanges = _as_shown(row, provenance, past) if provenance.get("messages") else _as_it_is(row, past)
        found.append(_fitting(exchanges, past.usable, min(wanted.history, MOST_TOKENS - rest)))
    return found


def _past(batch: Sequence[Row], kept: Sequence[dict[str, Any]], wanted: TurnFilter) -> _Past:
    conversations = {_conversation(row) for row in batch}
    usable = TurnFilter(min_rating=0, min_question=0, min_answer=0, ideal=False, cloud=wanted.cloud).queryset()
    messages = PromptMessage.objects.filter(conversation__in=conversations)
    rows = messages.values_list("conversation", "sha256", "text")
    return _Past(
        set(usable.filter(conversation__in=conversations).order_by().values_list("pk", flat=True)),
        {(conversation, sha256): text for conversation, sha256, text in rows},
        _turns({_conversation(row) for row, found in zip(batch, kept, strict=True) if not found.get("messages")}),
    )


def _turns(conversations: set[UUID]) -> dict[UUID, list[tuple[int, Exchange]]]:
    """What a prompt may hold of these conversations, in its order."""
    found: defaultdict[UUID, list[tuple[int, Exchange]]] = defaultdict(list)
    if conversations:
        rows = Turn.objects.filter(conversation__in=conversations).exclude(answer="").order_by("position", "created")
        names = ("conversation", "position", "pk", "question", "answer", "language", "state")
        for conversation, position, pk, question, answer, language, state in rows.values_list(*names):
            if state in (Turn.State.DONE, Turn.State.STOPPED):
                said = Exchange(pk, question, written(answer, language))
                found[conversation].append((position, said))
    return found


def _as_shown(row: Row, provenance: dict[str, Any], past: _Past) -> list[Exchange]:
    """From the prompt that was kept: opening, two messages for each turn, the question."""
    hashes = provenance["messages"][provenance.get("opening", 0) : -1]
    turns = provenance.get("history", [])
    if len(hashes) != 2 * len(turns):
        return []
    conversation = _conversation(row)
    texts = [past.texts.get((conversation, sha256), "") for sha256 in hashes]
    return [Exchange(UUID(turn), *texts[2 * at : 2 * at + 2]) for at, turn in enumerate(turns)]


def _as_it_is(row: Row, past: _Past) -> list[Exchange]:
    """The last answer to each question before."""
    turns = past.turns.get(_conversation(row), ())
    return list({position: said for position, said in turns if position < row.position}.values())


def _fitting(exchanges: Sequence[Exchange], usable: set[UUID], room: int) -> Messages:
    """The newest that fit, up to the first that must not be used."""
    found: Messages = []
    for turn, question, answer in reversed(exchanges):
        room -= estimate_tokens(question) + estimate_tokens(answer) + 2 * MESSAGE_TOKENS
        if room < 0 or turn not in usable or not question.strip() or not answer.strip():
            break
        found[:0] = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return found


def _conversation(row: Row) -> UUID:
    return UUID(plain_id(row.conversation))
