"""Tables of a PDF page: what its ruled lines enclose becomes rows of cells, the rest stays running text.

Columns of words without lines may as well be two columns of prose, and a table that is none does more harm than one
that is missed: few of them are tables here (pdf_columns.py). PDFium gives lines and letters; grids.py finds what they
enclose.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from . import pdf_columns
from .grids import OUTSIDE, SNAP, Cell, Grid, could_be, grids
from .pdf_columns import Columns
from .pdf_geometry import Matrix, Point, apply, boxes, edges, height_of, turn_of

# Of a document: pages whose letters are looked at one by one (10 ms each), and seconds of processor time in all.
MOST_PAGES, SECONDS = 3000, 30.0
# Of a page.
MOST_LETTERS, MOST_GRIDS, MOST_BOXES = 60_000, 50, 3000
# A field with more is no cell but a part of the page: frames, columns, boxes around paragraphs.
_LONGEST_CELL = 1500
# Boxes that touch leave gaps between them, a table hardly any: one corner at most.
_ENCLOSED = 7 / 8
# A cell over several rows is told in each of them; a longer text only in the first.
_LONGEST_REPEATED = 200
# Page headers and footers between the two halves of a table.
_LONGEST_BETWEEN = 120
_HEAD, _FOOT = 0.3, 0.7  # of a page's height: where a table begins and ends that goes over two pages
_BLANK, _RUNNING = -2, -1  # owners of letters that are in no grid


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or the part of it on one page.

    rows           texts; the first row is the header
    columns        where they begin, in points from the left side of the table
    top, bottom    of the page's height, from 0 at its upper edge to 1
    """

    rows: tuple[tuple[str, ...], ...]
    columns: tuple[float, ...]
    top: float
    bottom: float

    def goes_on(self, other: Table) -> bool:
        """Whether `other`, on the next page, looks like the rest: same columns, no header of its own.

        A page of a form has the same columns, too, but its table does not go from one page's foot to the next
        one's head, and its first line begins with the same word.
        """
        return (
            self.bottom >= _FOOT
            and other.top <= _HEAD
            and other.rows[0][0] != self.rows[0][0]
            and len(self.columns) == len(other.columns)
            and all(abs(one - another) <= SNAP for one, another in zip(self.columns, other.columns, strict=True))
        )


Part = str | Table
Clean = Callable[[str], str]


class TableFinder:
    """For one document: it stops to look when the document has had its share."""

    def __init__(self, clean: Clean) -> None:
        self._clean = clean
        self._pages, self._seconds = MOST_PAGES, SECONDS

    def parts(self, page: pdfium.PdfPage, words: pdfium.PdfTextPage, text: str) -> tuple[Part, ...]:
        """The page's text with its tables, in order; () when it has none. Raises PdfiumError.

        text    as PDFium gives it: its lines are counted
        """
        if self._pages <= 0 or self._seconds <= 0:
            return ()
        started = time.process_time()
        try:
            turn = turn_of(page)
            across, upright = edges(page, turn)
            ruled = grids(across, upright)[:MOST_GRIDS] if could_be(across, upright) else []
            columns = _columns(words, text, turn)[:MOST_GRIDS]
            if not ruled and not columns:
                return ()
            self._pages -= 1
            letters = _Letters(words, turn, ruled, () if ruled else columns, self._clean)
            if ruled and columns:
                tables = letters.ruled_tables()
                columns = [one for one in columns if not any(one.grid.touches(table) for table in tables)]
                letters = _Letters(words, turn, tables, columns, self._clean) if columns else letters
            return letters.parts(height_of(page, turn))
        finally:
            self._seconds -= time.process_time() - started


def with_headers(pages: Sequence[tuple[Part, ...]]) -> Iterator[tuple[Part, ...]]:
    """The pages with the header of a table again where it goes on at the top of the next page."""
    open_table: Table | None = None
    for parts in pages:
        first = next((at for at, part in enumerate(parts) if isinstance(part, Table)), None)
        if first is None or open_table is None or _length(parts[:first]) > _LONGEST_BETWEEN:
            joined = parts
        else:
            table = parts[first]
            assert isinstance(table, Table)  # noqa: S101
            if open_table.goes_on(table):
                table = replace(table, rows=(open_table.rows[0], *table.rows))
            joined = (*parts[:first], table, *parts[first + 1 :])
        yield joined
        last = next((at for at in reversed(range(len(joined))) if isinstance(joined[at], Table)), None)
        ends = last is not None and _length(joined[last + 1 :]) <= _LONGEST_BETWEEN
        found = joined[last] if ends and last is not None else None
        open_table = found if isinstance(found, Table) else None


def _length(parts: Sequence[Part]) -> int:
    return sum(len(part.strip()) for part in parts if isinstance(part, str))


def _columns(words: pdfium.PdfTextPage, text: str, turn: Matrix) -> list[Columns]:
    """A row of three cells is three boxes for PDFium, a line of prose is one: most pages end at that."""
    count = raw.FPDFText_CountRects(words, 0, -1)
    if not text.count("\n") + pdf_columns.LEAST_ROWS < count <= MOST_BOXES:
        return []
    return pdf_columns.find(boxes(words, turn, count))


# --- letters -------------------------------------------------------------------------------------


class _Letters:
    """The letters of a page in their order, in runs of those that stand in one cell or in none.

    _runs: (owner, text); an owner is a number of `_owners`, _RUNNING or _BLANK.
    """

    def __init__(
        self,
        words: pdfium.PdfTextPage,
        turn: Matrix,
        ruled: Sequence[Grid],
        columns: Sequence[Columns],
        clean: Clean,
    ) -> None:
        self._grids = [*ruled, *(one.grid for one in columns)]
        self._flush = dict(enumerate((one.flush for one in columns), start=len(ruled)))
        self._words, self._clean = words, clean
        self._first: dict[int, int] = {}  # of each owner: the number of its first letter
        self._owners: dict[tuple[int, int], int] = {}
        self._runs: list[tuple[int, str]] = []
        self._level: dict[int, float] = {}  # of each grid: how far its writing goes across
        self._plumb: dict[int, float] = {}  # and how far up or down
        if words.count_chars() <= MOST_LETTERS:
            self._read(words, turn)

    def _read(self, words: pdfium.PdfTextPage, turn: Matrix) -> None:
        left, right, bottom, top = (ctypes.c_double() for _ in range(4))
        owner, before = _BLANK, (0.0, 0.0)
        run: list[str] = []
        blanks: list[str] = []  # after the run; they belong to it if it goes on
        for at in range(words.count_chars()):
            letter = _letter(raw.FPDFText_GetUnicode(words, at))
            if letter.isspace():
                blanks.append(letter)
                continue
            now = owner
            if raw.FPDFText_GetCharBox(words, at, left, right, bottom, top):
                x, y = apply(turn, (left.value + right.value) / 2, (bottom.value + top.value) / 2)
                now = self._owner(x, y)
                if now == owner:
                    self._follow(now, x - before[0], y - before[1])
                before = (x, y)
            if now != owner:
                self._first.setdefault(now, at)
                self._runs += [(owner, "".join(run)), (_BLANK, "".join(blanks))]
                owner, run, blanks = now, [], []
            run += [*blanks, letter]
            blanks.clear()
        self._runs.append((owner, "".join(run)))

    def _owner(self, x: float, y: float) -> int:
        for number, grid in enumerate(self._grids):
            cell = grid.cell_at(x, y)
            if cell != OUTSIDE:
                return self._owners.setdefault((number, cell), len(self._owners))
        return _RUNNING

    def _follow(self, owner: int, across: float, down: float) -> None:
        self._level[owner] = self._level.get(owner, 0.0) + abs(across)
        self._plumb[owner] = self._plumb.get(owner, 0.0) + abs(down)

    def parts(self, height: Point) -> tuple[Part, ...]:
        """() when no grid is a table. height: where the page ends below and above."""
        tables: dict[int, tuple[Part, ...]] = {}
        for number, texts in self._tables().items():
            grid = self._grids[number]
            if number not in self._flush:
                tables[number] = _parts_of(grid, texts, height)
            elif rows := self._rows_of_words(number, grid, texts):
                tables[number] = (_table(grid, rows, height),)
        return self._assembled(tables) if tables else ()

    def ruled_tables(self) -> list[Grid]:
        return [self._grids[number] for number in self._tables() if number not in self._flush]

    def _tables(self) -> dict[int, dict[int, str]]:
        """Of each grid that is one the texts of its cells."""
        written: dict[int, list[str]] = {}
        for owner, text in self._runs:
            written.setdefault(owner, []).append(text)
        cells: list[dict[int, str]] = [{} for _ in self._grids]
        sideways = [0.0] * len(self._grids)
        for (number, cell), owner in self._owners.items():
            cells[number][cell] = self._clean(_paired("\n".join(written.get(owner, [])))).strip()
            sideways[number] += self._plumb.get(owner, 0.0) - self._level.get(owner, 0.0)
        return {
            number: cells[number]
            for number, grid in enumerate(self._grids)
            if sideways[number] <= 0 and _is_table(grid, cells[number])
        }

    def _rows_of_words(self, number: int, grid: Grid, texts: dict[int, str]) -> list[list[str]]:
        rows = [[texts.get(row * grid.columns + at, "") for at in range(grid.columns)] for row in range(grid.rows)]

        def named() -> bool:
            """The first column may be in the header's letters, too."""
            starts = range(0, len(grid.cells), grid.columns)
            first, *others = (self._fonts(number, range(at + 1, at + grid.columns)) for at in starts)
            return len(first) == 1 and not any(first & other for other in others)

        return pdf_columns.as_table(rows, flush=self._flush[number], named=named)

    def _fonts(self, number: int, cells: Sequence[int]) -> set[tuple[bytes, int]]:
        """Names and weights of the letters that these cells begin with."""
        found = set()
        for cell in cells:
            owner = self._owners.get((number, cell))
            if owner in self._first:
                name = ctypes.create_string_buffer(100)
                raw.FPDFText_GetFontInfo(self._words, self._first[owner], name, 100, None)
                found.add((name.value, raw.FPDFText_GetFontWeight(self._words, self._first[owner])))
        return found

    def _assembled(self, tables: dict[int, tuple[Part, ...]]) -> tuple[Part, ...]:
        """Each table where its first letter stood."""
        grid_of = {owner: number for (number, _), owner in self._owners.items()}
        parts: list[Part] = []
        running: list[str] = []
        told: set[int] = set()
        in_table = False
        for owner, text in self._runs:
            number = grid_of.get(owner, OUTSIDE)
            if number in tables and number not in told:
                told.add(number)
                parts += [self._clean(_paired("".join(running))), *tables[number]]
                running = []
            elif number not in tables and owner != _BLANK and in_table:
                running += ["\n", text]  # what follows the table does so in a new line
            elif number not in tables and not in_table:
                running.append(text)
            in_table = number in tables or (in_table and owner == _BLANK)
        parts.append(self._clean(_paired("".join(running))))
        return tuple(part for part in parts if not isinstance(part, str) or part.strip())


def _letter(code: int) -> str:
    """A blank for none, and a mark for what a broken font table gives."""
    return chr(code or 32) if code <= sys.maxunicode else "\ufffd"


def _paired(text: str) -> str:
    """Halves of surrogate pairs, which PDFium tells one by one, put together."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- tables --------------------------------------------------------------------------------------


def _is_table(grid: Grid, texts: dict[int, str]) -> bool:
    """Two rows and two columns at least, most of it filled, few cells joined, none so full as a part of the page."""
    filled = {number for number, text in texts.items() if text}
    sizes = [(cell.bottom - cell.top) * (cell.right - cell.left) for cell in grid.cells]
    fields, told = grid.rows * grid.columns, sum(size for at, size in enumerate(sizes) if at in filled)
    if len(filled) < 4 or told * 2 <= fields or len(sizes) * 2 < fields or sum(sizes) < fields * _ENCLOSED:
        return False
    if max(map(len, texts.values())) > _LONGEST_CELL:
        return False
    tops = [grid.cells[number].top for number in filled]
    lefts = {grid.cells[number].left for number in filled}
    pairs = sum(tops.count(top) >= 2 for top in set(tops))
    return len(set(tops)) >= 2 and len(lefts) >= 2 and pairs >= min(2, len(set(tops)) - 1)


def _parts_of(grid: Grid, texts: dict[int, str], height: Point) -> tuple[Part, ...]:
    """A title over all columns goes before the table, whose first row is its header."""
    table = [[""] * grid.columns for _ in range(grid.rows)]
    titles: dict[int, str] = {}
    for number, text in texts.items():
        cell: Cell = grid.cells[number]
        if cell.right - cell.left == grid.columns and cell.bottom - cell.top == 1:
            titles[cell.top] = text
        for row in range(cell.top, cell.bottom if len(text) <= _LONGEST_REPEATED else cell.top + 1):
            table[row][cell.left] = text
    skip = 0
    while skip in titles and grid.rows - skip > 2:
        skip += 1
    captions = [titles[row] for row in range(skip) if titles[row]]
    return (*captions, _table(grid, [row for row in table[skip:] if any(row)], height))


def _table(grid: Grid, rows: Sequence[Sequence[str]], height: Point) -> Table:
    low, high = height
    top, bottom = ((high - y) / max(high - low, 1.0) for y in (grid.ys[0], grid.ys[-1]))
    return Table(tuple(map(tuple, rows)), tuple(x - grid.xs[0] for x in grid.xs), top, bottom)
