"""Excel (.xlsx), read as a stream: each sheet is a heading, each area of filled rows a table.

Formulas give the value that was last computed; dates are written as 2026-01-31.
"""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import tables
from .errors import TooLargeInside
from .ooxml import attribute, core_title, events, free, local, opened, relations, tree
from .types import MAX_CHARACTERS, LoadedDocument, TextBuilder

MAIN = re.compile(r"xl/workbook\d*\.xml")
MOST_ROWS = 200_000
_STYLES, _STRINGS = "xl/styles.xml", "xl/sharedStrings.xml"
_COLUMN = re.compile(r"([A-Z]{1,3})\d")
_ROW = re.compile(r"\d{1,7}")
_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_PERCENT = frozenset((9, 10))
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_EPOCH, _EPOCH_1904 = datetime.datetime(1899, 12, 30), datetime.datetime(1904, 1, 1)
_LAST_DAY = 2_958_465  # 9999-12-31


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    builder = TextBuilder()
    with opened(path) as archive:
        book = _Book(archive)
        builder.title = core_title(archive)
        for name, part in book.sheets:
            builder.heading(2, name)
            for rows in _areas(book.rows(part)):
                tables.add(builder, rows)
    return builder.finish()


def _areas(rows: Iterator[tuple[int, list[str]]]) -> Iterator[list[list[str]]]:
    """Filled rows with an empty one above and below; a caption above a table becomes an area of its own."""
    area: list[list[str]] = []
    last = 0
    for number, row in rows:
        if area and (number > last + 1 or not any(row)):
            yield area
            area = []
        if any(row):
            area.append(row)
        last = number
    if area:
        yield area


class _Book:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        main = next(name for name in archive.namelist() if MAIN.fullmatch(name))
        targets = relations(archive, main)
        root = tree(archive, main)
        properties = next(root.iter("{*}workbookPr"), None)
        since_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        self._epoch = _EPOCH_1904 if since_1904 else _EPOCH
        shown = {
            targets[attribute(sheet, "id")][1]: sheet.get("name", "")
            for sheet in root.iter("{*}sheet")
            if attribute(sheet, "id") in targets and sheet.get("state", "visible") == "visible"
        }
        self.sheets = [(name, part) for part, name in shown.items()]
        self._strings = list(self._shared())
        self._kinds = self._styles()

    def _shared(self) -> Iterator[str]:
        if _STRINGS not in self._archive.NameToInfo:
            return
        total = 0
        with self._archive.open(_STRINGS) as stream:
            for event, element in events(stream):
                if event == "end" and local(element) == "si":
                    text = _plain(element)
                    total += len(text)
                    if total > MAX_CHARACTERS:
                        raise TooLargeInside
                    yield text
                    free(element)

    def _styles(self) -> list[str]:
        """What each cell format shows: 'date', 'percent' or ''."""
        root = tree(self._archive, _STYLES)
        if root is None:
            return []
        custom = {
            one.get("numFmtId", ""): _QUOTED.sub("", one.get("formatCode", "")).lower()
            for one in root.iter("{*}numFmt")
        }
        kinds = []
        for formats in root.iter("{*}cellXfs"):
            for one in formats:
                number = one.get("numFmtId", "0")
                code = custom.get(number, "")
                known = int(number) if number.isdigit() else 0
                date = known in _DATES or (bool(re.search(r"[ymdhs]", code)) and "general" not in code)
                kinds.append("date" if date else "percent" if known in _PERCENT or "%" in code else "")
        return kinds

    def rows(self, part: str) -> Iterator[tuple[int, list[str]]]:
        """(number from 1, cells) of the rows that the sheet holds."""
        if part not in self._archive.NameToInfo:
            return
        number = count = 0
        with self._archive.open(part) as stream:
            for event, element in events(stream):
                if event == "end" and local(element) == "row":
                    said = element.get("r", "")
                    number = int(said) if _ROW.fullmatch(said) else number + 1
                    count += 1
                    if count > MOST_ROWS:
                        raise TooLargeInside
                    yield number, self._cells(element)
                    free(element)

    def _cells(self, row: Any) -> list[str]:
        cells: list[str] = []
        for cell in row.iter("{*}c"):
            at = _column(cell.get("r", ""), len(cells))
            if at >= tables.MOST_COLUMNS:
                break
            cells += [""] * (at - len(cells))
            cells[at:] = [self._value(cell)]
        return cells

    def _value(self, cell: Any) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _plain(cell)
        text = next((one.text or "" for one in cell if local(one) == "v"), "")
        if kind == "s":
            return self._strings[int(text)] if text.isdigit() and int(text) < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if text == "1" else "FALSE"
        if kind == "e":
            return ""  # '#REF!' and its like say nothing
        if kind == "n" and text:
            style = cell.get("s", "")
            shown = self._kinds[int(style)] if style.isdigit() and int(style) < len(self._kinds) else ""
            return self._number(text, shown)
        return text

    def _number(self, text: str, shown: str) -> str:
        try:
            value = float(text)
            if shown == "date" and 0 <= value <= _LAST_DAY:
                return _date(self._epoch + datetime.timedelta(days=value), value)
        except (ValueError, OverflowError):
            return text
        return f"{value * 100:.12g} %" if shown == "percent" else f"{value:.15g}"


def _date(moment: datetime.datetime, days: float) -> str:
    moment = (moment + datetime.timedelta(microseconds=500_000)).replace(microsecond=0)
    clock = moment.strftime("%H:%M") if not moment.second else moment.strftime("%H:%M:%S")
    if days < 1:
        return clock
    return moment.date().isoformat() if clock == "00:00" else f"{moment.date().isoformat()} {clock}"


def _plain(element: Any) -> str:
    """The text of a rich or plain string, without the reading aids (rPh) of East Asian ones."""
    return "".join(
        one.text or "" for one in element.iter("{*}t") if one.getparent() is None or local(one.getparent()) != "rPh"
    )


def _column(reference: str, following: int) -> int:
    """'C7' → 2; `following` when there is no reference or it goes back."""
    found = _COLUMN.match(reference)
    if not found:
        return following
    number = 0
    for letter in found.group(1):
        number = number * 26 + ord(letter) - 64
    return max(number - 1, following)
