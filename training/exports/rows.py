"""Turns as plain rows, streamed: a million of them need no more memory than a thousand.

Django's compiler writes the SQL, the cursor is read in batches (on PostgreSQL a server-side one), and no model
instance is made: that is five times as fast.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Value

from coach.prompting import opening, written

from ..filters import TurnFilter

BATCH = 1000
_FIELDS = (
    "id",
    "conversation_id",
    "position",
    "question",
    "answer",
    "language",
    "model",
    "created",
    "finished",
    "provenance",
    "rating__rating",
    "rating__helpful",
    "rating__reasons",
    "rating__comment",
    "conversation__created",
    "conversation__coach__slug",
    "conversation__coach__mode",
    "conversation__coach__prompt",
)


class Row(NamedTuple):
    """A turn, its rating and its conversation, as the database gives them: ids are written with `plain_id`, JSON
    columns are text, times are UTC and naive on SQLite."""

    id: Any
    conversation: Any
    position: int
    question: str
    answer: str
    language: str
    model: str
    created: datetime
    finished: datetime | None
    provenance: str
    rating: int | None
    helpful: bool | None
    reasons: str | None
    comment: str | None
    started: datetime
    coach: str
    mode: str
    coach_prompt: str


class Asked(NamedTuple):
    """What a model is taught with: its own system text, what it was shown, and what it shall write."""

    system: str
    user: str
    answer: str


def batches(
    wanted: TurnFilter, within: Sequence[UUID] | None = None, size: int = BATCH, without: Collection[str] = ()
) -> Iterator[list[Row]]:
    """What passes (within some conversations only), turns of a conversation together and in their order.

    without     of a Row, what is not needed and shall be '': `provenance` is half of what a turn weighs, and reading
                the three times of a turn takes longer than writing it
    """
    turns = wanted.queryset() if within is None else wanted.queryset().filter(conversation__in=within)
    fields = [Value("") if short in without else name for name, short in zip(_FIELDS, Row._fields, strict=True)]
    sql, parameters = turns.values_list(*fields).query.sql_with_params()
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, parameters)
        while found := cursor.fetchmany(size):
            yield list(map(Row._make, found))


@contextmanager
def not_mapped() -> Iterator[None]:
    """SQLite maps the file into memory (settings): good for pages, but here all of it would pass through."""
    before = _mapped(0) if connection.vendor == "sqlite" else 0
    try:
        yield
    finally:
        if before:
            _mapped(before)


def _mapped(size: int) -> int:
    """Set it, give what it was; 0 for a database in memory."""
    with connection.cursor() as cursor:
        row = cursor.execute("PRAGMA mmap_size").fetchone()
        cursor.execute(f"PRAGMA mmap_size={size}")
    return int(row[0]) if row else 0


def plain_id(value: Any) -> str:
    """SQLite keeps a UUID as 32 digits."""
    text = str(value)
    return text if len(text) == 36 else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def moment(value: datetime) -> str:
    """As `2026-01-31T09:30:00Z`."""
    plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return f"{plain.isoformat(timespec='seconds')}Z"


def asked(batch: list[Row]) -> list[Asked]:
    """For each row, with three statements for the whole batch.

    The model is shown sources in production, so it is taught with them: the user's message is the one that was sent,
    and the plain question where nothing is known of it. An ideal answer takes the place of the answer, which is
    without the words that were put before it ("not covered by the knowledge").
    """
    shown, ideal = _shown(batch), ideal_answers([row.id for row in batch])
    return [
        Asked(
            opening(row.mode, row.language, row.coach_prompt)[0].content,
            shown.get((row.conversation, last_message(row.provenance)), row.question),
            ideal.get(row.id) or written(row.answer, row.language),
        )
        for row in batch
    ]


def last_message(provenance: str) -> str:
    """The hash of the user's message in the prompt of a turn; '' when it is not known."""
    found = orjson.loads(provenance) if provenance and provenance != "{}" else {}
    messages = found.get("messages") or [""]
    return str(messages[-1])


def _shown(batch: list[Row]) -> dict[tuple[Any, str], str]:
    """(conversation, hash) → text of the user's messages of these conversations."""
    conversations = {row.conversation for row in batch if row.provenance and row.provenance != "{}"}
    sql = "SELECT conversation_id, sha256, text FROM coach_promptmessage WHERE role = 'user' AND conversation_id IN "
    return {(conversation, sha256): text for conversation, sha256, text in _select(sql, list(conversations))}


def ideal_answers(turns: list[Any]) -> dict[Any, str]:
    """turn → what should have been answered: the ideal answer that a rater wrote last, else what its coachee made of
    the answer; ids as a Row has them."""
    edits = (
        "SELECT edit.turn_id, edit.text, turn.language FROM coach_answeredit AS edit "
        "JOIN coach_turn AS turn ON turn.id = edit.turn_id WHERE edit.turn_id IN "
    )
    edited = {turn: written(text, language) for turn, text, language in _select(edits, turns)}
    return edited | raters_answers(turns)


def raters_answers(turns: list[Any]) -> dict[Any, str]:
    """turn → the ideal answer that a rater wrote last."""
    sql = "SELECT turn_id, ideal_answer, updated FROM training_review WHERE ideal_answer <> '' AND turn_id IN "
    return {turn: text for turn, text, _updated in sorted(_select(sql, turns), key=itemgetter(2))}


def _select(sql: str, ids: list[Any]) -> Iterable[Any]:
    """Without Django's conversion of ids, which takes longer than the statement."""
    if not ids:
        return ()
    with connection.cursor() as cursor:
        cursor.execute(sql + f"({', '.join(['%s'] * len(ids))})", ids)
        return cursor.fetchall()
