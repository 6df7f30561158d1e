"""Markdown: headings from the parser's tokens, so that a '#' in a code block is no heading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lxml import etree
from lxml import html as parser
from markdown_it import MarkdownIt

from . import tables
from .encoding import decode
from .types import LoadedDocument, TextBuilder

_FRONT_MATTER = "---\n"


def load(path: Path) -> LoadedDocument:
    text = _without_front_matter(decode(path.read_bytes()))
    builder = TextBuilder()
    for group in _groups(MarkdownIt("js-default").parse(text)):
        if group[0].type == "heading_open":
            builder.heading(int(group[0].tag[1:]), _inline(group[1]))
        elif group[0].type == "table_open":
            tables.add(builder, _rows(group))
        else:
            lines = _Lines()
            for token in group:
                lines.feed(token)
            builder.add("\n".join(lines.lines))
    return builder.finish()


def _without_front_matter(text: str) -> str:
    if not text.startswith(_FRONT_MATTER):
        return text
    end = text.find("\n---\n", len(_FRONT_MATTER) - 1)
    return text if end < 0 else text[end + len("\n---\n") :]


def _groups(tokens: Sequence[Any]) -> Iterator[list[Any]]:
    """Top-level elements, each with all its tokens."""
    group: list[Any] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield group
            group = []


class _Lines:
    """Lists and tables keep their lines; emphasis, links and HTML tags lose their marks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._lists: list[int | None] = []  # next number of each open list, None for bullets
        self._lead = ""
        self._table: list[Any] = []  # tokens of an open table within a list

    def feed(self, token: Any) -> None:
        kind = token.type
        if self._table or kind == "table_open":
            self._table.append(token)
            if kind == "table_close":
                self.lines.append(tables.markdown(_rows(self._table)))
                self._table = []
        elif kind.endswith(("list_open", "list_close", "item_open")):
            self._list(token)
        elif kind == "inline":
            self._inline(_inline(token))
        elif kind in ("fence", "code_block"):
            self.lines.append(token.content.rstrip("\n"))
        elif kind == "html_block":
            self.lines.append(_strip_tags(token.content))
        elif kind == "paragraph_close" and not self._lists:
            self.lines.append("")

    def _list(self, token: Any) -> None:
        if token.type == "list_item_open":
            self._lead = self._next_lead()
        elif token.type.endswith("_close"):
            self._lists.pop()
        else:
            ordered = token.type == "ordered_list_open"
            self._lists.append(int(token.attrGet("start") or 1) if ordered else None)

    def _next_lead(self) -> str:
        indent = "  " * (len(self._lists) - 1)
        number = self._lists[-1]
        if number is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number}. "

    def _inline(self, text: str) -> None:
        self.lines.append((self._lead or "  " * len(self._lists)) + text)
        self._lead = ""


def _rows(tokens: Sequence[Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token))
    return rows


def _inline(token: Any) -> str:
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "image":
            parts.append(child.content)
    return "".join(parts)


def _strip_tags(html: str) -> str:
    try:
        return str(parser.fromstring(html).text_content())
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return ""
