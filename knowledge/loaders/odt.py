"""OpenDocument text (.odt), read as a stream. Deleted text, comments and tables of contents are left out."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from . import tables
from .ooxml import attribute, events, free, local, opened, tree
from .types import LoadedDocument, TextBuilder

CONTENT, MIMETYPE = "content.xml", "application/vnd.oasis.opendocument.text"
_META, _TITLE = "meta.xml", "{http://purl.org/dc/elements/1.1/}title"
# fmt: off
_SKIPPED = frozenset((
    "tracked-changes", "annotation", "table-of-content", "alphabetical-index", "illustration-index", "forms",
    "sequence-decls", "automatic-styles", "note-citation", "object", "bibliography",
))
# fmt: on
_PARAGRAPHS = frozenset(("p", "h"))
_CELLS = frozenset(("table-cell", "covered-table-cell"))
_MOST_REPEATED = 60


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    builder = TextBuilder()
    with opened(path) as archive:
        with archive.open(CONTENT) as stream:
            _Body(builder).read(stream)
        meta = tree(archive, _META)
        return builder.finish("" if meta is None else meta.findtext(f".//{_TITLE}") or "")


class _Body:
    """Paragraphs are read when they end; those of footnotes and frames stand before the one that holds them."""

    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._open = 0  # paragraphs
        self._skipped = 0
        self._items = 0
        self._lines: list[str] = []  # of the list being read
        self._tables = 0
        self._rows: list[list[str]] = []
        self._row: list[str] = []
        self._cell: list[str] = []

    def read(self, stream: IO[bytes]) -> None:
        for event, element in events(stream):
            kind = local(element)
            if kind in _SKIPPED:
                self._skipped += 1 if event == "start" else -1
            elif not self._skipped:
                self._start(kind) if event == "start" else self._end(kind, element)
            if event == "end" and not self._open and kind in ("p", "h", "table-row", "table", "list-item", *_SKIPPED):
                free(element)

    def _start(self, kind: str) -> None:
        if kind in _PARAGRAPHS:
            self._open += 1
        elif kind == "table":
            self._tables += 1
        elif kind == "list":
            self._items += 1

    def _end(self, kind: str, element: Any) -> None:
        if kind in _PARAGRAPHS:
            self._open -= 1
            self._paragraph(kind, _text(element), attribute(element, "outline-level"))
        elif kind == "list":
            self._items -= 1
            if not self._items and not self._tables:
                self._builder.add("\n".join(self._lines))
                self._lines = []
        elif kind in _CELLS or kind in ("table-row", "table"):
            self._table(kind, element)

    def _paragraph(self, kind: str, text: str, level: str) -> None:
        if not text:
            return
        if self._tables:
            self._cell.append(text)
        elif kind == "h" and not self._open:
            self._builder.heading(int(level) if level.isdigit() and int(level) else 1, text)
        elif self._items:
            self._lines.append("  " * (self._items - 1) + "- " + text)
        else:
            self._builder.add(text)

    def _table(self, kind: str, element: Any) -> None:
        """A table within a table is text of its cell."""
        if kind == "table":
            self._tables -= 1
        if self._tables > 1 or (kind == "table" and self._tables):
            return
        if kind in _CELLS:
            repeated = attribute(element, "number-columns-repeated")
            times = min(int(repeated), _MOST_REPEATED) if repeated.isdigit() else 1
            self._row += [" ".join(self._cell)] * max(1, times)
            self._cell = []
        elif kind == "table-row":
            self._rows.append(self._row)
            self._row = []
        else:
            tables.add(self._builder, self._rows)
            self._rows = []


def _text(paragraph: Any) -> str:
    """Its words in order; nested paragraphs and what is left out add none."""
    parts: list[str] = []
    stack: list[tuple[Any, bool]] = [(paragraph, False)]
    while stack:
        element, tail = stack.pop()
        if tail:
            parts.append(" ".join((element.tail or "").split("\n")))
            continue
        if element is not paragraph:
            stack.append((element, True))
            kind = local(element)
            if kind in _PARAGRAPHS or kind in _SKIPPED or not kind:
                continue
            if kind == "s":
                count = attribute(element, "c")
                parts.append(" " * min(int(count) if count.isdigit() else 1, 80))
            elif kind in ("tab", "line-break"):
                parts.append("\t" if kind == "tab" else "\n")
        parts.append(" ".join((element.text or "").split("\n")))
        stack.extend((child, False) for child in reversed(element))
    return "".join(parts).strip()
