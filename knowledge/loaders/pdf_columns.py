"""Tables of a PDF page without lines: rows of words whose gaps stand under each other. Geometry and words alone.

Two columns of prose, a table of contents and three addresses side by side look the same from afar, so much is asked
for: gaps through all rows, short cells, most of them filled, and a first row that names the columns, either above
numbers or in letters of its own. What fails in one of these stays running text.

Of 156 tables on 238 pages of official documents (ICDAR 2013), ruled lines tell 70 and this another 8, none where there
is no table; 278 of their 282 pairs of neighbours are right. Most others have headers over several columns, or gaps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from .grids import Cell, Grid

Box = tuple[float, float, float, float]  # left, bottom, right, top

LEAST_ROWS, MOST_ROWS = 3, 400
# In heights of the page's usual letters: between two cells, between the widest cells of two columns, and between
# two rows.
_CELLS_APART, _COLUMNS_APART, _ROWS_APART = 1.0, 0.6, 2.2
# How wide a first cell, any other and a usual one are at most, in such heights; that of prose in columns is wider.
_WIDEST_FIRST, _WIDEST, _USUALLY_WIDE = 50, 32, 16
_OVERLAP = 0.3  # of words upon each other: they are of two lines, or struck twice
_ALIGNED = 2.0  # points

_FILLED, _NUMBERS = 0.75, 0.8  # shares of the cells
_LONGEST_FIRST, _LONGEST, _USUAL = 60, 40, 20  # characters of a cell
# Of a table of words alone.
_LEAST_COLUMNS, _LEAST_LINES, _MOST_WORDS, _WITH_DIGITS = 3, 4, 5, 0.1
_MOST_HEADERS = 3  # lines of a header

_LETTERS = re.compile(r"[^\W\d_]")
_NOTHING = frozenset(("-", "–", "—", "−", ".", "..", "...", "…", "n/a", "na", "n.a.", "x", "*"))
_SIGNS = frozenset(("%", "‰", "#", "№", "€", "$", "£", "₩"))  # that name a column
_NAMED = re.compile(r"(?:19|20)\d\d(?:\s?[-–/]\s?\d{2,4})?\W?|[^\W\d_]+ ?\d{1,2}")  # 2024, 2024/25, Q1
_LEADER = re.compile(r"\.{4,}|(?:\. ){4,}|…{2,}|_{4,}")
_ADDRESS = re.compile(r"@|www\.|://")
_WHOLE = re.compile(r"\d{1,4}")


@dataclass(slots=True)
class _Line:
    bottom: float
    top: float
    boxes: list[Box]

    def cells(self, gap: float, most: float) -> list[tuple[float, float]]:
        """From where to where its words go; none when some stand upon each other."""
        found: list[tuple[float, float]] = []
        for left, _, right, _ in sorted(self.boxes):
            if found and left < found[-1][1] - most:
                return []
            if found and left - found[-1][1] < gap:
                found[-1] = (found[-1][0], max(found[-1][1], right))
            else:
                found.append((left, right))
        return found


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of words that may be a table. flush: every column begins at one place in all rows."""

    grid: Grid
    flush: bool


def find(boxes: Sequence[Box]) -> list[Columns]:
    """From top to bottom; boxes: of words or runs of words in the order of reading, with y upwards."""
    boxes = [box for box in boxes if box[2] - box[0] > 0.5 and box[3] - box[1] > 0.5]
    # Some programs write word by word: without wide gaps there is nothing to look for.
    if sum(after[0] - box[2] >= _CELLS_APART * (box[3] - box[1]) for box, after in pairwise(boxes)) < LEAST_ROWS:
        return []
    lines = _lines(boxes)
    height = max(4.0, median(box[3] - box[1] for box in boxes))
    cells = [line.cells(_CELLS_APART * height, _OVERLAP * height) for line in lines]
    found: list[Columns] = []
    at = 0
    while at < len(lines):
        columns, end = _together(lines, cells, at, height)
        if end - at < LEAST_ROWS:
            at += 1
            continue
        if _narrow(cells[at:end], height):
            found.append(Columns(_grid(lines[at:end], columns), _flush(cells[at:end], columns)))
        at = end
    return found


def _lines(boxes: Sequence[Box]) -> list[_Line]:
    lines: list[_Line] = []
    for box in sorted(boxes, key=lambda box: -(box[1] + box[3])):
        for line in lines[:-4:-1]:
            over = min(line.top, box[3]) - max(line.bottom, box[1])
            if over > 0.5 * min(line.top - line.bottom, box[3] - box[1]):
                line.boxes.append(box)
                line.bottom, line.top = min(line.bottom, box[1]), max(line.top, box[3])
                break
        else:
            lines.append(_Line(box[1], box[3], [box]))
    return lines


Spans = list[tuple[float, float]]


def _together(lines: Sequence[_Line], cells: Sequence[Spans], at: int, height: float) -> tuple[Spans, int]:
    """The columns of the lines from `at` on whose gaps go through, and the line behind the last of them."""
    columns, end = cells[at], at + 1
    while len(columns) >= 2 and end < min(len(lines), at + MOST_ROWS) and len(cells[end]) >= 2:
        apart = lines[end - 1].bottom - lines[end].top
        wider = _union(columns, cells[end])
        if not -_OVERLAP * height <= apart <= _ROWS_APART * height or len(wider) < max(len(columns), len(cells[end])):
            break
        if min(right[0] - left[1] for left, right in pairwise(wider)) < _COLUMNS_APART * height:
            break
        columns, end = wider, end + 1
    return columns, end


def _union(one: Spans, other: Spans) -> Spans:
    found: Spans = []
    for left, right in sorted((*one, *other)):
        if found and left <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], right))
        else:
            found.append((left, right))
    return found


def _narrow(cells: Sequence[Spans], height: float) -> bool:
    widths = [right - left for row in cells for left, right in row[1:]]
    first = max(row[0][1] - row[0][0] for row in cells)
    return (
        first <= _WIDEST_FIRST * height and max(widths) <= _WIDEST * height and median(widths) <= _USUALLY_WIDE * height
    )


def _grid(lines: Sequence[_Line], columns: Spans) -> Grid:
    """As if lines were drawn in the middle between the words."""
    xs = (columns[0][0] - 1, *((left[1] + right[0]) / 2 for left, right in pairwise(columns)), columns[-1][1] + 1)
    ys = (lines[0].top + 1, *((upper.bottom + lower.top) / 2 for upper, lower in pairwise(lines)), lines[-1].bottom - 1)
    rows, across = len(lines), len(columns)
    cells = tuple(Cell(row, column, row + 1, column + 1) for row in range(rows) for column in range(across))
    return Grid(xs, ys, tuple(range(rows * across)), cells, rows, across)


def _flush(cells: Sequence[Spans], columns: Spans) -> bool:
    return all(
        any(abs(left - column[0]) <= _ALIGNED for column in columns)  #
        for row in cells
        for left, _ in row
    )


# --- what they say -------------------------------------------------------------------------------


def as_table(rows: Sequence[Sequence[str]], *, flush: bool, named: Callable[[], bool]) -> list[list[str]]:
    """The rows with their header in one, [] when they are no table.

    named    whether the first row is in letters of its own
    """
    told = [cell for row in rows for cell in row if cell]
    if len(told) < _FILLED * len(rows) * len(rows[0]) or any(sum(map(bool, row)) < 2 for row in rows):
        return []
    if any("\n" in cell or _LEADER.search(cell) or _ADDRESS.search(cell) for cell in told):
        return []
    if 2 * sum(row[0].endswith(":") for row in rows) >= len(rows):  # a form's fields
        return []
    lengths = [len(cell) for row in rows for cell in row[1:] if cell]
    if max(len(row[0]) for row in rows) > _LONGEST_FIRST or max(lengths) > _LONGEST or median(lengths) > _USUAL:
        return []
    head, body = _headed(rows)
    numbers = [at for at in range(1, len(head)) if _of_numbers([row[at] for row in body])]
    if numbers:
        names = [head[at] for at in numbers]
        told_apart = all(map(_names, names)) and len(set(names)) == len(names)
        return [head, *body] if told_apart and not _is_contents(body) else []
    return [list(row) for row in rows] if flush and _of_words(rows) and named() else []


def _headed(rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """The first row, with what stands below it in lines that begin with nothing and have no numbers; and the rest."""
    head, body = list(rows[0]), [list(row) for row in rows[1:]]
    for _ in range(_MOST_HEADERS - 1):
        if len(body) > 2 and not body[0][0] and not any(map(_has_digits, body[0])):
            head = [" ".join(filter(None, pair)) for pair in zip(head, body.pop(0), strict=True)]
    return head, body


def _of_numbers(cells: Sequence[str]) -> bool:
    told = [cell for cell in cells if cell]
    fits = sum(_is_number(cell) or cell.lower() in _NOTHING for cell in told)
    return sum(map(_is_number, told)) >= 2 and fits >= _NUMBERS * len(told)


def _is_number(cell: str) -> bool:
    return any(map(str.isdecimal, cell)) and len(_LETTERS.findall(cell)) <= 3


def _names(cell: str) -> bool:
    """Whether it may be the name of a column: what is above a number must be none."""
    if _has_digits(cell):
        return _NAMED.fullmatch(cell) is not None
    return cell in _SIGNS or (_LETTERS.search(cell) is not None and cell.lower() not in _NOTHING)


def _is_contents(body: Sequence[Sequence[str]]) -> bool:
    """Titles with the pages they begin on, which only grow."""
    last = [row[-1] for row in body]
    titles = len(body[0]) == 2 or (len(body[0]) == 3 and all(_is_number(row[0]) for row in body if row[0]))
    if not titles or not all(map(_WHOLE.fullmatch, last)):
        return False
    pages = list(map(int, last))
    return pages == sorted(pages)


def _of_words(rows: Sequence[Sequence[str]]) -> bool:
    told = [cell for row in rows for cell in row if cell]
    return (
        len(rows[0]) >= _LEAST_COLUMNS
        and len(rows) >= _LEAST_LINES
        and len(told) >= len(rows) * len(rows[0]) - 1
        and max(len(cell.split()) for cell in told) <= _MOST_WORDS
        and sum(map(_has_digits, told)) <= _WITH_DIGITS * len(told)
    )


def _has_digits(cell: str) -> bool:
    return any(map(str.isdecimal, cell))
