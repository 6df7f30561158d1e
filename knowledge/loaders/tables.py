"""Tables as Markdown: one line a row, with a line under the first one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .types import TextBuilder

# A long table becomes several, each with the first row again: a passage cut out of the middle still says what
# its columns are. About as long as a passage: the splitter would cut a longer one within a row.
PIECE_CHARACTERS = 500
# A first row longer than this is no list of column names.
LONGEST_HEADER = 400
MOST_COLUMNS = 200


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """'' when all is blank; a table of one column becomes plain lines."""
    return "\n\n".join(pieces(rows, most=0))


def add(builder: TextBuilder, rows: Iterable[Sequence[str]], page: int | None = None) -> None:
    """The table as blocks, each of about PIECE_CHARACTERS and with the first row on top."""
    for piece in pieces(list(rows)):
        builder.add(piece, page=page)


def pieces(rows: Sequence[Sequence[str]], most: int = PIECE_CHARACTERS) -> list[str]:
    """Markdown tables of about `most` characters, all in one for 0."""
    clean = [[_cell(cell) for cell in row[:MOST_COLUMNS]] for row in rows]
    clean = [row for row in clean if any(row)]
    columns = [at for at in range(max(map(len, clean), default=0)) if any(at < len(row) and row[at] for row in clean)]
    if not columns:
        return []
    if len(columns) == 1:
        return ["\n".join(row[columns[0]] for row in clean if columns[0] < len(row) and row[columns[0]])]
    lines = ["| " + " | ".join(row[at] if at < len(row) else "" for at in columns) + " |" for row in clean]
    rule = "|" + "---|" * len(columns)
    return ["\n".join(some) for some in _cut(lines, rule, most)]


def _cut(lines: Sequence[str], rule: str, most: int) -> Iterable[list[str]]:
    first = lines[0]
    piece, size = [first, rule], len(first)
    for line in lines[1:]:
        if most and len(piece) > 2 and size + len(line) > most:
            yield piece
            again = first if len(first) <= LONGEST_HEADER else "|" + " |" * (rule.count("|") - 1)
            piece, size = [again, rule], len(again)
        piece.append(line)
        size += len(line)
    yield piece


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
