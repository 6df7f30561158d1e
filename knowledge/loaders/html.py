"""HTML: what a reader of the page would read; menus, scripts, forms and footers are left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lxml import etree, html

from . import tables
from .encoding import decode
from .errors import Damaged, NoText
from .types import LoadedDocument, TextBuilder

# fmt: off
_SKIPPED = frozenset((
    "script", "style", "nav", "noscript", "template", "svg", "math", "footer", "aside", "form", "button", "select",
    "option", "iframe", "object", "canvas", "dialog", "head", "title",
))
_BLOCKS = frozenset((
    "address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "header", "hr", "html", "li", "main", "ol", "p", "section", "summary", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "ul",
))
# fmt: on
_BULLET = "- "
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_SPACES = re.compile(r"[ \t\n\r\f\xa0]+")


# Old pages are laid out with tables: one that holds these, or cells of this length, is no table of data.
_NEVER_IN_CELLS = ".//h1|.//h2|.//h3|.//h4|.//table|.//form|.//article|.//section"
_LONGEST_CELL = 600
_MOST_SPANNED = 60


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    builder = TextBuilder()
    return builder.finish(read_into(builder, decode(path.read_bytes())))


def read_into(builder: TextBuilder, text: str, deeper: int = 0) -> str:
    """Adds a page, its headings `deeper` levels down, and gives the title in its head, or ''.

    Raises Damaged, NoText (no element at all), TooLargeInside.
    """
    # lxml refuses a declaration of the encoding in a text that is decoded already.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        root = html.document_fromstring(text, parser=html.HTMLParser(no_network=True, remove_comments=True))
    except etree.ParserError as error:
        raise NoText from error
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Damaged from error
    _Page(builder, deeper).read(root)
    return root.findtext(".//title") or ""


class _Page:
    """Walks the tree without recursion and flushes a block at each block-level boundary."""

    def __init__(self, builder: TextBuilder, deeper: int) -> None:
        self.builder = builder
        self._deeper = deeper
        self._text: list[str] = []
        self._list: list[str] = []  # lines of the list being read
        self._lists = 0  # depth of lists: their lines stay in one block

    def read(self, root: Any) -> None:
        stack: list[tuple[Any, bool]] = [(root, True)]
        while stack:
            node, opening = stack.pop()
            if not opening:
                self._close(node)
                self._add(node.tail)
                continue
            if not isinstance(node.tag, str) or _hidden(node):
                self._add(node.tail)
                continue
            if node.tag == "table" and _is_data(node):
                self._table(node)
                self._add(node.tail)
                continue
            self._open(node)
            stack.append((node, False))
            stack.extend((child, True) for child in reversed(node))
        self._flush()

    def _open(self, node: Any) -> None:
        tag = node.tag
        if tag in _HEADINGS or tag == "pre":
            self._flush()
        elif tag in ("ul", "ol", "dl"):
            self._flush_line()
            if not self._lists:
                self._flush()
            self._lists += 1
        elif tag in _BLOCKS:
            self._flush_line() if self._lists else self._flush()
        elif tag == "br":
            self._text.append("\n")
        if tag == "li":
            self._text.append(_BULLET)
        self._add(node.text, keep=tag == "pre")

    def _close(self, node: Any) -> None:
        tag = node.tag
        if tag in _HEADINGS:
            self.builder.heading(int(tag[1]) + self._deeper, self._take())
        elif tag == "pre":
            self._flush(keep=True)
        elif tag in ("ul", "ol", "dl"):
            self._flush_line()
            self._lists -= 1
            if not self._lists:
                self._flush()
        elif tag in _BLOCKS:
            self._flush_line() if self._lists else self._flush()
        if tag == "li":
            self._text = []  # an empty item leaves no bullet behind

    def _add(self, text: str | None, keep: bool = False) -> None:
        if text:
            self._text.append(text if keep else _SPACES.sub(" ", text))

    def _table(self, node: Any) -> None:
        self._flush_line()
        caption = " ".join(text for part in node.iterfind("caption") for text in _words(part))
        rows = _rows(node)
        if self._lists:
            self._list += [line for line in (_tidy(caption), tables.markdown(rows)) if line]
            return
        self._flush()
        self.builder.add(_tidy(caption))
        tables.add(self.builder, rows)

    def _take(self) -> str:
        text, self._text = "".join(self._text), []
        return text

    def _flush_line(self) -> None:
        line = _tidy(self._take())
        if line == "-":
            self._text = [_BULLET]  # the words of the item stand in a block of their own
        elif line:
            self._list.append(line)

    def _flush(self, keep: bool = False) -> None:
        if keep:
            self._list.append(self._take().strip("\n"))
        else:
            self._flush_line()
        self.builder.add("\n".join(self._list))
        self._list = []


def _tidy(text: str) -> str:
    """One blank between words; line breaks stay where <br> put them."""
    lines = (re.sub(r" {2,}", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _hidden(node: Any) -> bool:
    return node.tag in _SKIPPED or node.get("hidden") is not None


def _is_data(table: Any) -> bool:
    """At least two cells side by side, and nothing in them that only a layout holds."""
    if table.xpath(_NEVER_IN_CELLS):
        return False
    widest = max((len(row.xpath("./td|./th")) for row in table.iter("tr")), default=0)
    longest = max((len(cell.text_content()) for cell in table.iter("td", "th")), default=0)
    return widest > 1 and longest <= _LONGEST_CELL


def _rows(table: Any) -> list[list[str]]:
    """Cells as text; what spans rows stands in each of them, so that every row can be read alone."""
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # column → rows still covered from above, with what
    for tr in table.iter("tr"):
        row: list[str] = []
        for cell in tr.xpath("./td|./th"):
            _fill(row, below)
            if len(row) >= tables.MOST_COLUMNS:
                break
            text = _tidy(" ".join(_words(cell)))
            across, down = _span(cell, "colspan"), _span(cell, "rowspan")
            for at in range(across):
                if down > 1:
                    below[len(row)] = (down - 1, "" if at else text)
                row.append("" if at else text)
        _fill(row, below)
        rows.append(row)
    return rows


def _fill(row: list[str], below: dict[int, tuple[int, str]]) -> None:
    while len(row) in below:
        left, text = below.pop(len(row))
        if left > 1:
            below[len(row)] = (left - 1, text)
        row.append(text)


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1").strip()
    return min(max(1, int(value)), _MOST_SPANNED) if value.isascii() and value.isdigit() else 1


def _words(node: Any) -> list[str]:
    """Texts of an element in order, without what is hidden."""
    words: list[str] = []
    stack: list[tuple[Any, bool]] = [(node, False)]
    while stack:
        one, tail = stack.pop()
        if tail:
            words.append(one.tail or "")
            continue
        if one is not node:
            stack.append((one, True))
        if isinstance(one.tag, str) and not _hidden(one):
            words.append(one.text or "")
            stack.extend((child, False) for child in reversed(one))
    return [_SPACES.sub(" ", word).strip() for word in words if word.strip()]
