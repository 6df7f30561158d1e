"""The statements of every turn, as SQL. Everything else goes through the ORM.

The ORM takes 0.3 ms to put one statement together, which SQLite answers in 0.03: half of the CPU of a turn, in the
one process that answers all of them. SQLite and PostgreSQL both run these; tests/coach/test_statements.py holds them
against the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from knowledge.database import rows

from .models import Turn

Row = Sequence[Any]

# The attempt's number when the turn was claimed. Turns of one conversation run one after the other.
_CLAIM = """
UPDATE coach_turn SET state = 'running', lease_owner = %(runner)s, lease_until = %(until)s, attempts = attempts + 1
WHERE id = %(turn)s AND attempts < %(most)s
    AND (state = 'pending' OR (state = 'running' AND lease_until < %(now)s))
    AND NOT EXISTS (
        SELECT 1 FROM coach_turn AS earlier
        WHERE earlier.conversation_id = coach_turn.conversation_id AND earlier.position < coach_turn.position
            AND earlier.state IN ('pending', 'running')
    )
RETURNING attempts
"""
# One row for each knowledge base of the coach, one with NULL when it has none. A turn whose question was changed is
# no other answer to the same one.
_TURN = """
SELECT turn.conversation_id, turn.position, turn.question, turn.language, turn.stop_requested,
    conversation.sources_from_turn, coach.slug, coach.mode, coach.prompt, coach.language_models,
    turn.created, conversation.owner_id, conversation.private,
    EXISTS (SELECT 1 FROM coach_turn AS sibling WHERE sibling.id = turn.regenerates_id
        AND sibling.question = turn.question),
    (SELECT max(live.id) * 1000000 + count(live.ended) FROM llm_liveorder AS live),
    (SELECT sibling.sources FROM coach_turn AS sibling WHERE sibling.id = turn.regenerates_id
        AND sibling.question = turn.question),
    (SELECT last.provenance FROM coach_turn AS last
        WHERE last.conversation_id = turn.conversation_id AND last.finished IS NOT NULL AND last.provenance <> '{}'
        ORDER BY last.position DESC, last.created DESC LIMIT 1),
    link.knowledgebase_id
FROM coach_turn AS turn
JOIN coach_conversation AS conversation ON conversation.id = turn.conversation_id
JOIN coach_coach AS coach ON coach.id = conversation.coach_id
LEFT JOIN coach_coach_knowledge_bases AS link ON link.coach_id = coach.id
WHERE turn.id = %s ORDER BY link.knowledgebase_id
"""
_SOURCES = """
SELECT n, chunk_id, document_id, title, location, text, excerpt FROM coach_source WHERE conversation_id = %s ORDER BY n
"""
_PAST = """
SELECT position, question, answer, language, id, sources FROM coach_turn
WHERE conversation_id = %s AND position < %s AND state IN ('done', 'stopped') AND answer <> ''
ORDER BY position, created
"""
# The person's conversation, and what decides whether this turn may be saved there.
_ASKED = """
SELECT title, language,
    (SELECT conversation_id FROM coach_turn WHERE id = %(turn)s),
    (SELECT max(position) FROM coach_turn WHERE conversation_id = %(conversation)s),
    (SELECT count(*) FROM coach_turn AS recent JOIN coach_conversation AS own ON own.id = recent.conversation_id
        WHERE own.owner_id = %(owner)s AND recent.created >= %(since)s)
FROM coach_conversation WHERE id = %(conversation)s AND owner_id = %(owner)s
"""

_NEW_TURN = """
INSERT INTO coach_turn (id, conversation_id, position, regenerates_id, question, language, answer, state, sources,
    citations, notices, grounded, model, place, usage, timings, safety, failure_code, failure, stop_requested, attempts,
    lease_owner, lease_until, created, finished, provenance, unsupported)
VALUES (%(turn)s, %(conversation)s, %(position)s, %(regenerates)s, %(question)s, %(language)s, '', 'pending', '[]',
    '[]', '[]', %(no)s, '', '', '{}', '{}', '', '', '', %(no)s, 0, '', NULL, %(now)s, NULL, '{}', '[]')
ON CONFLICT (id) DO NOTHING RETURNING id
"""
_TOUCH = """
UPDATE coach_conversation SET updated = %(now)s, language = %(language)s, title = %(title)s WHERE id = %(conversation)s
"""
_FINISH = """
UPDATE coach_turn SET state = %(state)s, answer = %(answer)s, sources = %(sources)s, citations = %(citations)s,
    unsupported = %(unsupported)s, notices = %(notices)s, grounded = %(grounded)s, model = %(model)s,
    place = %(place)s, usage = %(usage)s, timings = %(timings)s, safety = %(safety)s,
    failure_code = %(failure_code)s, failure = %(failure)s, provenance = %(provenance)s,
    finished = %(finished)s, lease_until = NULL
WHERE id = %(turn)s AND lease_owner = %(runner)s AND state = 'running' RETURNING conversation_id
"""
# A passage or document that went while the model wrote leaves a source without a link, as it would later.
_SOURCE = """
INSERT INTO coach_source (conversation_id, n, chunk_id, document_id, title, location, text, excerpt)
VALUES (%s, %s, (SELECT id FROM knowledge_chunk WHERE id = %s), (SELECT id FROM knowledge_document WHERE id = %s),
    %s, %s, %s, %s)
"""
# What is there already stays: the opening is there from the first conversation of its coach.
_MESSAGES = "INSERT INTO coach_promptmessage (conversation_id, sha256, role, text) VALUES %s ON CONFLICT DO NOTHING"
_SOURCES_FROM = "UPDATE coach_conversation SET sources_from_turn = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Asked:
    """About a question that came in: `turn_in` is the conversation that has a turn of this id already."""

    title: str
    language: str
    turn_in: UUID | None
    last_position: int | None
    recent: int


def claim(*, turn: UUID, runner: str, now: datetime, until: datetime, most: int) -> int:
    """The attempt's number from 1, or 0 when the turn is not to be had."""
    values = {"turn": _id(turn), "runner": runner, "now": _time(now), "until": _time(until), "most": most}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        found = cursor.fetchone()
    return int(found[0]) if found else 0


def turn_with_coach(turn: UUID) -> tuple[Row, tuple[int, ...]]:
    """Its row without the base, and the ids of the coach's knowledge bases. Raises Turn.DoesNotExist.

    The last two of the row: the sources of the turn that is answered again ([] for none), and the provenance of the
    last turn of the conversation that has one ({} for none).
    """
    found = rows(_TURN, [_id(turn)], columns=18)
    if not found:
        raise Turn.DoesNotExist
    conversation, position, question, language, stop, *coach = found[0][:10]
    created, owner, private, again, live, sibling_sources, last_provenance, _base = found[0][10:]
    bases = tuple(row[-1] for row in found if row[-1] is not None)
    asked = (_moment(created), owner, bool(private), bool(again), live or 0)
    earlier = (_json(sibling_sources) or [], _json(last_provenance) or {})
    return (_uuid(conversation), position, question, language, bool(stop), *coach, *asked, *earlier), bases


def sources(conversation: UUID) -> list[Row]:
    """n, chunk, document, title, location, text, excerpt; in their order."""
    found = rows(_SOURCES, [_id(conversation)], columns=7)
    return [(n, chunk, str(_uuid(document) or ""), *texts) for n, chunk, document, *texts in found]


def past(conversation: UUID, before: int) -> list[Row]:
    """position, question, answer, language, id, sources of every answered turn before a position."""
    found = rows(_PAST, [_id(conversation), before], columns=6)
    return [(*row[:4], _uuid(row[4]), _json(row[5])) for row in found]


def asked(*, turn: UUID, conversation: UUID, owner: int, since: datetime) -> Asked | None:
    """None when this person has no such conversation."""
    values = {"turn": _id(turn), "conversation": _id(conversation), "owner": owner, "since": _time(since)}
    found = rows(_ASKED, values, columns=5)
    if not found:
        return None
    title, language, turn_in, last, recent = found[0]
    return Asked(title, language, _uuid(turn_in), last, recent)


def new_turn(
    *,
    turn: UUID,
    conversation: UUID,
    position: int,
    regenerates: UUID | None,
    question: str,
    language: str,
    now: datetime,
) -> bool:
    """Save a pending turn. False when there is one of this id."""
    values = {"turn": _id(turn), "conversation": _id(conversation), "position": position, "question": question}
    values |= {"regenerates": _id(regenerates), "language": language, "no": False, "now": _time(now)}
    with connection.cursor() as cursor:
        cursor.execute(_NEW_TURN, values)
        return cursor.fetchone() is not None


def touch(*, conversation: UUID, language: str, title: str, now: datetime) -> None:
    """What a new question changes of its conversation."""
    values = {"conversation": _id(conversation), "language": language, "title": title, "now": _time(now)}
    with connection.cursor() as cursor:
        cursor.execute(_TOUCH, values)


def finish(*, turn: UUID, runner: str, values: Mapping[str, Any], finished: datetime) -> UUID | None:
    """Store how a turn ended, by column; gives its conversation, None when it is no longer this runner's."""
    prepared = {name: _text(value) if isinstance(value, list | dict) else value for name, value in values.items()}
    prepared |= {"turn": _id(turn), "runner": runner, "finished": _time(finished)}
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, prepared)
        found = cursor.fetchone()
    return _uuid(found[0]) if found else None


def add_sources(*, conversation: UUID, rows: Sequence[Row]) -> None:
    """rows: n, chunk, document, title, location, text, excerpt of passages that get their number."""
    prepared = [
        (_id(conversation), n, chunk, _id(UUID(document) if document else None), *texts)
        for n, chunk, document, *texts in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_SOURCE, prepared)


def add_messages(*, conversation: UUID, rows: Sequence[tuple[str, str, str, bool]]) -> None:
    """rows: sha256, role, text of what a model was shown, and whether it is shared by all conversations."""
    values: list[Any] = []
    for sha256, role, text, shared in rows:
        values += [None if shared else _id(conversation), sha256, role, text]
    with connection.cursor() as cursor:
        cursor.execute(_MESSAGES % ", ".join(["(%s, %s, %s, %s)"] * len(rows)), values)


def set_sources_from(*, conversation: UUID, position: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES_FROM, [position, _id(conversation)])


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _id(value: UUID | None) -> Any:
    return Turn._meta.get_field("id").get_db_prep_value(value, connection)


def _time(value: datetime) -> Any:
    return Turn._meta.get_field("created").get_db_prep_value(value, connection)


def _moment(value: Any) -> datetime:
    """SQLite hands out the text it stores: UTC, without saying so."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)


def _uuid(value: Any) -> UUID | None:
    return value if value is None or isinstance(value, UUID) else UUID(value)


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value
