"""What PDFium knows of a page's geometry: lines that are drawn and boxes of words, as a reader sees them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from .grids import Edge
from .pdf_columns import Box

# Of a page.
MOST_OBJECTS, MOST_SEGMENTS = 20_000, 20_000
_DEPTH = 3  # of forms within forms
_STRAIGHT = 1.0  # points by which a line may lean
Point = tuple[float, float]
Matrix = tuple[float, float, float, float, float, float]
_SAME: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def turn_of(page: pdfium.PdfPage) -> Matrix:
    """From the page's own coordinates to those of a reader, who sees it turned."""
    turns: dict[int, Matrix] = {
        90: (0.0, -1.0, 1.0, 0.0, 0.0, 0.0),
        180: (-1.0, 0.0, 0.0, -1.0, 0.0, 0.0),
        270: (0.0, 1.0, -1.0, 0.0, 0.0, 0.0),
    }
    return turns.get(page.get_rotation(), _SAME)


def height_of(page: pdfium.PdfPage, turn: Matrix) -> Point:
    """Where the reader's page ends below and above."""
    left, bottom, right, top = page.get_mediabox()
    ends = (apply(turn, left, bottom)[1], apply(turn, right, top)[1])
    return min(ends), max(ends)


def _times(inner: Matrix, outer: Matrix) -> Matrix:
    a, b, c, d, e, f = inner
    return (*apply(outer, a, b, 0), *apply(outer, c, d, 0), *apply(outer, e, f))


def apply(matrix: Matrix, x: float, y: float, moved: int = 1) -> Point:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e * moved, b * x + d * y + f * moved


def edges(page: pdfium.PdfPage, turn: Matrix) -> tuple[list[Edge], list[Edge]]:
    """Lines across and upright, those of filled boxes among them; none of a page that is a drawing."""
    across: list[Edge] = []
    upright: list[Edge] = []
    segments = 0
    for number, (path, matrix) in enumerate(_paths(page, turn)):
        count = raw.FPDFPath_CountSegments(path)
        segments += max(0, count)
        if number > MOST_OBJECTS or segments > MOST_SEGMENTS:
            return [], []
        for (x, y), (to_x, to_y) in _lines(path, count, matrix):
            if abs(y - to_y) <= _STRAIGHT < abs(x - to_x):
                across.append(Edge((y + to_y) / 2, min(x, to_x), max(x, to_x)))
            elif abs(x - to_x) <= _STRAIGHT < abs(y - to_y):
                upright.append(Edge((x + to_x) / 2, min(y, to_y), max(y, to_y)))
    return across, upright


def _paths(page: pdfium.PdfPage, turn: Matrix) -> Iterator[tuple[object, Matrix]]:
    """Paths that are drawn, with the matrix to the reader's coordinates; at most MOST_OBJECTS are looked at."""
    looked = 0
    waiting = [(page.raw, turn, 0, raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject)]
    while waiting:
        holder, outer, depth, count, get = waiting.pop()
        for at in range(min(count(holder), MOST_OBJECTS - looked)):
            looked += 1
            found = get(holder, at)
            kind = raw.FPDFPageObj_GetType(found)
            if kind == raw.FPDF_PAGEOBJ_FORM and depth < _DEPTH:
                within = _times(_matrix(found), outer)
                waiting.append((found, within, depth + 1, raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject))
            elif kind == raw.FPDF_PAGEOBJ_PATH and _is_drawn(found):
                yield found, _times(_matrix(found), outer)


def _matrix(found: object) -> Matrix:
    matrix = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(found, matrix):
        return _SAME
    return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f


def _is_drawn(path: object) -> bool:
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    return bool(raw.FPDFPath_GetDrawMode(path, fill, stroke) and (fill.value or stroke.value))


def _lines(path: object, count: int, matrix: Matrix) -> Iterator[tuple[Point, Point]]:
    """The straight segments of a path."""
    x, y = ctypes.c_float(), ctypes.c_float()
    first = last = (0.0, 0.0)
    for at in range(count):
        segment = raw.FPDFPath_GetPathSegment(path, at)
        if not raw.FPDFPathSegment_GetPoint(segment, x, y):
            continue
        point = apply(matrix, x.value, y.value)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_MOVETO:
            first = point
        elif kind == raw.FPDF_SEGMENT_LINETO:
            yield last, point
        last = point
        if raw.FPDFPathSegment_GetClose(segment):
            yield point, first
            last = first


def boxes(words: pdfium.PdfTextPage, turn: Matrix, count: int) -> list[Box]:
    """Of runs of words in one line; count: how many PDFium has."""
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    places = tuple(map(ctypes.byref, (left, top, right, bottom)))
    get = raw.FPDFText_GetRect
    found = [(left.value, bottom.value, right.value, top.value) for at in range(count) if get(words, at, *places)]
    return found if turn == _SAME else [_turned(box, turn) for box in found]


def _turned(box: Box, turn: Matrix) -> Box:
    (x, y), (to_x, to_y) = apply(turn, box[0], box[1]), apply(turn, box[2], box[3])
    return min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)
