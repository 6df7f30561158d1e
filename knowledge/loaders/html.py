"""HTML: what a reader of the page would read; menus, scripts, forms and footers are left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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


def load(path: Path) -> LoadedDocument:
    from lxml import etree, html

    text = decode(path.read_bytes())
    # lxml refuses a declaration of the encoding in a text that is decoded already.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        root = html.document_fromstring(text, parser=html.HTMLParser(no_network=True, remove_comments=True))
    except etree.ParserError as error:
        raise NoText from error
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Damaged from error
    page = _Page()
    page.read(root)
    title = root.findtext(".//title") or ""
    return page.builder.finish(title)


class _Page:
    """Walks the tree without recursion and flushes a block at each block-level boundary."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._text: list[str] = []
        self._list: list[str] = []  # lines of the list or table being read
        self._lists = 0  # depth of lists and tables: their lines stay in one block

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
            self._open(node)
            stack.append((node, False))
            stack.extend((child, True) for child in reversed(node))
        self._flush()

    def _open(self, node: Any) -> None:
        tag = node.tag
        if tag in _HEADINGS or tag == "pre":
            self._flush()
        elif tag in ("ul", "ol", "table", "dl"):
            self._flush_line()
            if not self._lists:
                self._flush()
            self._lists += 1
        elif tag in ("td", "th"):
            self._add(" | " if self._line() else "")
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
            self.builder.heading(int(tag[1]), self._take())
        elif tag == "pre":
            self._flush(keep=True)
        elif tag in ("ul", "ol", "table", "dl"):
            self._flush_line()
            self._lists -= 1
            if not self._lists:
                self._flush()
        elif tag in _BLOCKS and tag not in ("td", "th"):
            self._flush_line() if self._lists else self._flush()
        if tag == "li":
            self._text = []  # an empty item leaves no bullet behind

    def _add(self, text: str | None, keep: bool = False) -> None:
        if text:
            self._text.append(text if keep else _SPACES.sub(" ", text))

    def _line(self) -> str:
        return "".join(self._text).strip().removeprefix(_BULLET)

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
