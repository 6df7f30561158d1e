"""One conversation a line: `session_id`, `timestamp`, `mode`, `conversation` (CONTRACT.md)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

import orjson

from ..filters import TurnFilter
from .rows import Row, batches, moment, plain_id
from .tally import Line, Lines, Tally

_UNUSED = ("language", "model", "provenance", "reasons", "comment", "coach", "coach_prompt")


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    """A question that was answered twice is there twice, each time with its answer."""
    rows = (row for batch in batches(wanted, without=_UNUSED) for row in batch)
    for _conversation, turns in groupby(rows, key=attrgetter("conversation")):
        yield _line(list(turns), tally)


def _line(turns: list[Row], tally: Tally) -> Line:
    tally.read += len(turns)
    first = turns[0]
    session = {
        "session_id": plain_id(first.conversation),
        "timestamp": moment(first.started),
        "mode": first.mode,
        "conversation": list(_messages(turns)),
    }
    return orjson.dumps(session), [plain_id(turn.id) for turn in turns]


def _messages(turns: Iterable[Row]) -> Iterable[dict[str, Any]]:
    for turn in turns:
        yield {"role": "user", "content": turn.question, "timestamp": moment(turn.created)}
        answer: dict[str, Any] = {
            "role": "assistant",
            "content": turn.answer,
            "timestamp": moment(turn.finished or turn.created),
        }
        if turn.rating is not None:
            answer["feedback"] = {"rating": turn.rating, "helpful": turn.helpful}
        yield answer
