"""Finds tables by their ruled lines: geometry alone, in points with y upwards.

A grid is what lines that cross each other enclose. Where a line between two fields is missing, they are one cell.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# Double lines and the two sides of a thick one are one line; letters are higher than that.
SNAP = 3.0
# A row or column that is smaller is a gap between two lines.
LEAST_ROOM = 5.0
# Of a page, after lines upon each other have become one: a drawing or a map has more.
MOST_LINES, MOST_CROSSINGS = 1500, 250_000
MOST_FIELDS = 20_000
OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Edge:
    """A line parallel to an axis: at `at` of the other one, from `low` to `high`."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows [top, bottom) and columns [left, right), counted from the upper left corner."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The lines, and what they enclose.

    xs, ys          of the lines, from left to right and from top to bottom
    fields          between the lines, row by row: the number of its cell, or OUTSIDE
    cells           counted in rows and columns that differ from their neighbours and have room for letters
    rows, columns   how many of these there are
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    fields: tuple[int, ...]
    cells: tuple[Cell, ...]
    rows: int
    columns: int

    def cell_at(self, x: float, y: float) -> int:
        """Number of the cell that holds this point; OUTSIDE for none."""
        column, row = bisect_right(self.xs, x) - 1, bisect_right(self.ys, -y, key=lambda at: -at) - 1
        if not (0 <= column < len(self.xs) - 1 and 0 <= row < len(self.ys) - 1):
            return OUTSIDE
        return self.fields[row * (len(self.xs) - 1) + column]

    def touches(self, other: Grid) -> bool:
        """Whether the two have a part of the page in common."""
        return (
            self.xs[0] < other.xs[-1]
            and other.xs[0] < self.xs[-1]
            and self.ys[-1] < other.ys[0]
            and other.ys[-1] < self.ys[0]
        )


def could_be(across: Sequence[Edge], upright: Sequence[Edge]) -> bool:
    """Whether there are lines enough for two rows and two columns; the outer ones may be missing at the sides."""
    return _differ(across, 3) and _differ(upright, 1)


def _differ(edges: Iterable[Edge], least: int) -> bool:
    places: list[float] = []
    for edge in edges:
        if all(abs(edge.at - place) > SNAP for place in places):
            places.append(edge.at)
            if len(places) == least:
                return True
    return False


def grids(across: Sequence[Edge], upright: Sequence[Edge]) -> list[Grid]:
    """All grids of at least two rows and two columns, from top to bottom; none within another."""
    level, plumb = _merged(across), _merged(upright)
    plumb = _merged([*plumb, *_open_sides(level, plumb)])
    if not level or not plumb or len(level) + len(plumb) > MOST_LINES or len(level) * len(plumb) > MOST_CROSSINGS:
        return []
    found = [grid for some, others in _connected(level, plumb) if (grid := _grid(some, others))]
    found.sort(key=lambda grid: (grid.xs[0] - grid.xs[-1]) * (grid.ys[0] - grid.ys[-1]))  # the largest one first
    outer: list[Grid] = []
    for grid in found:
        if not any(_within(grid, other) for other in outer):
            outer.append(grid)
    return sorted(outer, key=lambda grid: (-grid.ys[0], grid.xs[0]))


def _merged(edges: Iterable[Edge]) -> list[Edge]:
    """Lines at about the same place that touch become one."""
    rows: list[list[Edge]] = []
    for edge in sorted(edges, key=lambda edge: edge.at):
        if rows and edge.at - rows[-1][0].at <= SNAP:
            rows[-1].append(edge)
        else:
            rows.append([edge])
    found: list[Edge] = []
    for row in rows:
        at = sum(edge.at for edge in row) / len(row)
        row.sort(key=lambda edge: edge.low)
        low, high = row[0].low, row[0].high
        for edge in row[1:]:
            if edge.low > high + SNAP:
                found.append(Edge(at, low, high))
                low, high = edge.low, edge.high
            high = max(high, edge.high)
        found.append(Edge(at, low, high))
    return [edge for edge in found if edge.high - edge.low > SNAP]


def _open_sides(level: Sequence[Edge], plumb: Sequence[Edge]) -> list[Edge]:
    """The outer lines of tables that have only inner ones: three lines of one width, crossed by an upright one."""
    groups: dict[tuple[int, int], list[Edge]] = {}
    for edge in level:
        groups.setdefault((round(edge.low / SNAP), round(edge.high / SNAP)), []).append(edge)
    sides = []
    for group in groups.values():
        bottom, top = group[0].at, group[-1].at
        left, right = group[0].low, group[0].high
        if len(group) >= 3 and any(_crosses(one, group[0]) and _crosses(one, group[-1]) for one in plumb):
            sides += [Edge(left, bottom, top), Edge(right, bottom, top)]
    return sides


def _crosses(one: Edge, other: Edge) -> bool:
    return (
        one.low - SNAP <= other.at <= one.high + SNAP  #
        and other.low - SNAP <= one.at <= other.high + SNAP
    )


def _connected(level: Sequence[Edge], plumb: Sequence[Edge]) -> Iterable[tuple[list[Edge], list[Edge]]]:
    """Groups of lines that cross each other."""
    groups = _Groups(len(level) + len(plumb))
    for number, line in enumerate(level):
        for other, upright in enumerate(plumb, start=len(level)):
            if _crosses(line, upright):
                groups.join(number, other)
    found: dict[int, tuple[list[Edge], list[Edge]]] = {}
    for number, line in enumerate((*level, *plumb)):
        found.setdefault(groups.first(number), ([], []))[number >= len(level)].append(line)
    return found.values()


@dataclass(slots=True)
class _Groups:
    size: int
    _above: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._above = list(range(self.size))

    def first(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = self._above[self._above[number]]
            number = self._above[number]
        return number

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._above[high] = low


def _grid(level: Sequence[Edge], plumb: Sequence[Edge]) -> Grid | None:
    xs, ys = sorted({edge.at for edge in plumb}), sorted({edge.at for edge in level}, reverse=True)
    rows, columns = len(ys) - 1, len(xs) - 1
    if rows < 2 or columns < 2 or rows * columns > MOST_FIELDS:
        return None
    outside = rows * columns
    groups = _Groups(outside + 1)
    middles = [(high + low) / 2 for high, low in pairwise(ys)]
    centres = [(left + right) / 2 for left, right in pairwise(xs)]
    for at, x in enumerate(xs):
        lines = [edge for edge in plumb if edge.at == x]
        for row, y in enumerate(middles):
            if not any(edge.low <= y <= edge.high for edge in lines):
                left = row * columns + at - 1 if at else outside
                groups.join(left, row * columns + at if at < columns else outside)
    for at, y in enumerate(ys):
        lines = [edge for edge in level if edge.at == y]
        for column, x in enumerate(centres):
            if not any(edge.low <= x <= edge.high for edge in lines):
                above = (at - 1) * columns + column if at else outside
                groups.join(above, at * columns + column if at < rows else outside)
    return _with_cells(xs, ys, groups, outside)


def _with_cells(xs: Sequence[float], ys: Sequence[float], groups: _Groups, outside: int) -> Grid | None:
    columns = len(xs) - 1
    none = groups.first(outside)
    firsts = [groups.first(number) for number in range(outside)]
    rows = [tuple(firsts[start : start + columns]) for start in range(0, outside, columns)]
    down = _told([high - low for high, low in pairwise(ys)], rows)
    across = _told([right - left for left, right in pairwise(xs)], list(zip(*rows, strict=True)))
    members: dict[int, list[tuple[int, int]]] = {}
    for number, first in enumerate(firsts):
        row, column = down[number // columns], across[number % columns]
        if first != none and row >= 0 and column >= 0:
            members.setdefault(first, []).append((row, column))
    numbers = {first: number for number, first in enumerate(members)}
    cells = tuple(
        Cell(min(tops), min(lefts), max(tops) + 1, max(lefts) + 1)
        for tops, lefts in (zip(*places, strict=True) for places in members.values())
    )
    if len({cell.top for cell in cells}) < 2 or len({cell.left for cell in cells}) < 2:
        return None
    fields = tuple(numbers.get(first, OUTSIDE) for first in firsts)
    return Grid(tuple(xs), tuple(ys), fields, cells, max(down) + 1, max(across) + 1)


def _told(widths: Sequence[float], lines: Sequence[tuple[int, ...]]) -> list[int]:
    """The number of each row or column among those that are told; -1 for one without room for letters.

    One with the same cells as the one before it has its number.
    """
    found: list[int] = []
    number = -1
    before: tuple[int, ...] = ()
    for width, line in zip(widths, lines, strict=True):
        if width < LEAST_ROOM:
            found.append(-1)
            continue
        if line != before:
            number, before = number + 1, line
        found.append(number)
    return found


def _within(inner: Grid, outer: Grid) -> bool:
    return (
        outer.xs[0] - SNAP <= inner.xs[0]
        and inner.xs[-1] <= outer.xs[-1] + SNAP
        and outer.ys[-1] - SNAP <= inner.ys[-1]
        and inner.ys[0] <= outer.ys[0] + SNAP
    )
