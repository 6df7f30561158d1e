"""Word (.docx), read as a stream from its XML: python-docx needed 3 GiB for a file of 1.5 MB.

Paragraphs, headings (by outline level, so in Word of any language), lists, tables and footnotes become text.
Deleted text, field codes and the second copy of drawings are left out.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import IO, Any

from . import tables
from .ooxml import core_title, events, free, opened
from .types import LoadedDocument, TextBuilder

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT_W = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
MAIN = re.compile(r"word/document\d*\.xml")
_STYLES, _NOTES = "word/styles.xml", ("word/footnotes.xml", "word/endnotes.xml")
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_OUTLINE_LEVELS = frozenset("012345678")
_HEADING_NAME = re.compile(r"heading ([1-9])$", re.I)
_MOST_SPANNED = 60


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    builder = TextBuilder()
    with opened(path) as archive:
        names = archive.namelist()
        levels = _heading_levels(archive) if _STYLES in names else {}
        for part in (*filter(MAIN.fullmatch, names), *(note for note in _NOTES if note in names)):
            with archive.open(part) as stream:
                _Body(builder, levels).read(stream)
        return builder.finish(core_title(archive))


def _name(element: Any) -> str:
    """The local name of a Word element, '' for any other."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    for prefix in (_W, _STRICT_W):
        if tag.startswith(prefix):
            return tag[len(prefix) :]
    return ""


def _value(element: Any, name: str = "val") -> str:
    return str(element.get(_W + name) or element.get(_STRICT_W + name) or "")


def _heading_levels(archive: zipfile.ZipFile) -> dict[str, int]:
    """Style id → heading level from 1; a title counts as 1. The ids are translated ('Rubrik1'), the names are not."""
    levels: dict[str, int] = {}
    with archive.open(_STYLES) as stream:
        style = ""
        for event, element in events(stream):
            kind = _name(element)
            if event == "start":
                if kind == "style":
                    style = _value(element, "styleId")
                continue
            if kind == "name" and style:
                found = _HEADING_NAME.match(_value(element))
                if found:
                    levels[style] = int(found.group(1))
                elif _value(element).lower() == "title":
                    levels[style] = 1
            elif kind == "outlineLvl" and style and _value(element) in _OUTLINE_LEVELS:
                levels.setdefault(style, int(_value(element)) + 1)
    return levels


class _Body:
    """Reads one XML part; elements are freed as soon as their paragraph is read."""

    def __init__(self, builder: TextBuilder, levels: dict[str, int]) -> None:
        self._builder = builder
        self._levels = levels
        self._runs: list[list[str]] = []  # one per open paragraph: text boxes nest
        self._level = 0
        self._item = False
        self._tables = 0
        self._rows: list[list[str]] = []
        self._cells: list[str] = []
        self._cell: list[str] = []
        self._span = 1
        self._skipped = 0

    def read(self, stream: IO[bytes]) -> None:
        for event, element in events(stream):
            kind = _name(element)
            if element.tag == _FALLBACK or kind == "del":
                self._skipped += 1 if event == "start" else -1
            elif not self._skipped:
                self._start(kind) if event == "start" else self._end(kind, element)
            if event == "end" and kind in ("p", "tr", "tbl"):
                free(element)

    def _start(self, kind: str) -> None:
        if kind == "p":
            if not self._runs:
                self._level, self._item = 0, False
            self._runs.append([])
        elif kind == "tbl":
            self._tables += 1

    def _end(self, kind: str, element: Any) -> None:
        if kind in ("tc", "tr", "tbl"):
            self._table(kind)
        elif kind == "gridSpan" and self._tables == 1:
            span = _value(element)
            self._span = min(int(span), _MOST_SPANNED) if span.isascii() and span.isdigit() else 1
        elif not self._runs:
            return
        elif kind == "p":
            self._paragraph("".join(self._runs.pop()).strip())
        elif kind == "t":
            self._runs[-1].append(element.text or "")
        elif kind in _CHARACTERS and _name(element.getparent()) == "r":
            self._runs[-1].append(_CHARACTERS[kind])
        elif len(self._runs) == 1:
            self._property(kind, _value(element))

    def _property(self, kind: str, value: str) -> None:
        if kind == "pStyle":
            self._level = self._level or self._levels.get(value, 0)
        elif kind == "outlineLvl" and value in _OUTLINE_LEVELS:
            self._level = int(value) + 1
        elif kind == "numPr":
            self._item = True

    def _paragraph(self, text: str) -> None:
        if not text:
            return
        if self._runs:  # a text box: its paragraphs stand before the one that holds it
            self._builder.add(text)
        elif self._tables:
            self._cell.append(text)
        elif self._level:
            self._builder.heading(self._level, text)
        else:
            self._builder.add(f"- {text}" if self._item else text)

    def _table(self, kind: str) -> None:
        """A table within a table is text of its cell."""
        if kind == "tbl":
            self._tables -= 1
        if self._tables > 1 or (kind == "tbl" and self._tables):
            return
        if kind == "tc":
            self._cells += [" ".join(self._cell)] + [""] * (self._span - 1)
            self._cell, self._span = [], 1
        elif kind == "tr":
            self._rows.append(self._cells)
            self._cells = []
        else:
            tables.add(self._builder, self._rows)
            self._rows = []
