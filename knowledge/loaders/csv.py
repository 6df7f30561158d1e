"""Comma- and tab-separated tables, also with the semicolons of Swedish and Norwegian Excel."""

from __future__ import annotations

import csv
from pathlib import Path

from . import tables
from .encoding import decode
from .errors import Damaged, TooLargeInside
from .types import LoadedDocument, TextBuilder

_DELIMITERS = ",;\t|"
_SAMPLE_LINES, _SAMPLE_WIDTH = 50, 20_000
MOST_ROWS = 200_000
_LONGEST_FIELD = 1_000_000


def load(path: Path) -> LoadedDocument:
    """Raises WrongType, Damaged, NoText, TooLargeInside."""
    text = decode(path.read_bytes())
    csv.field_size_limit(_LONGEST_FIELD)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(text.split("\n"), delimiter=delimiter(text), strict=False):
            rows.append(row)
            if len(rows) > MOST_ROWS:
                raise TooLargeInside
    except csv.Error as error:
        raise Damaged from error
    if rows and _announced(text.partition("\n")[0]):
        del rows[0]
    builder = TextBuilder()
    tables.add(builder, rows)
    return builder.finish()


def delimiter(text: str) -> str:
    """The one that gives the most lines the same number of columns, and the most of them; ',' when none does."""
    first = text.partition("\n")[0]
    if _announced(first):
        return first[4]
    lines = [line[:_SAMPLE_WIDTH] for line in text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line.strip()]

    def score(character: str) -> tuple[float, int]:
        counts = [len(next(csv.reader([line], delimiter=character), [])) for line in lines]
        usual = max(set(counts), key=counts.count, default=1)
        return (0.0, 0) if usual < 2 else (counts.count(usual) / len(counts), usual)

    best = max(_DELIMITERS, key=score)
    return best if score(best) > (0.0, 0) else ","


def _announced(line: str) -> bool:
    """Excel's own 'sep=;'."""
    return line.lower().startswith("sep=") and len(line.strip()) == len("sep=;")
