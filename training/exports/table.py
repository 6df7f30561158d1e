"""Plain CSV, a turn a row: UTF-8, RFC 4180, and nothing in it that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io

import orjson

from ..filters import TurnFilter
from .rows import Row, batches, moment, plain_id
from .tally import Lines, Tally

COLUMNS = (
    "turn",
    "conversation",
    "position",
    "asked",
    "coach",
    "mode",
    "language",
    "model",
    "question",
    "answer",
    "rating",
    "helpful",
    "reasons",
    "comment",
)
HEAD = ",".join(COLUMNS).encode()
# Cells that begin so are formulas to some spreadsheet (OWASP, "CSV Injection"), also in their wide forms, and also
# behind blanks.
_FORMULA = tuple("=+-@＝＋－＠\t\r\n|%")


def lines(wanted: TurnFilter, tally: Tally) -> Lines:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="")
    for batch in batches(wanted, without=("provenance",)):
        tally.read += len(batch)
        for row in batch:
            writer.writerow(_cells(row))
            yield buffer.getvalue().encode(), [plain_id(row.id)]
            buffer.seek(0)
            buffer.truncate()


def safe(text: str) -> str:
    """A quote before what a spreadsheet would take for a formula; NUL, which no reader takes, is left out."""
    text = text.replace("\0", "")
    return f"'{text}" if text.lstrip(" \xa0\u3000").startswith(_FORMULA) else text


def _cells(row: Row) -> list[str | int]:
    helpful = "" if row.helpful is None else "yes" if row.helpful else "no"
    reasons = " ".join(map(str, orjson.loads(row.reasons))) if row.reasons else ""
    return [
        plain_id(row.id),
        plain_id(row.conversation),
        row.position,
        moment(row.created),
        safe(row.coach),
        row.mode,
        row.language,
        safe(row.model),
        safe(row.question),
        safe(row.answer),
        row.rating or "",
        helpful,
        safe(reasons),
        safe(row.comment or ""),
    ]
