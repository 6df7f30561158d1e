"""PowerPoint (.pptx): slide by slide, with tables and the speaker's notes; a slide's number is its page."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import tables
from .ooxml import core_title, local, opened, relations, tree
from .types import LoadedDocument, TextBuilder

MAIN = re.compile(r"ppt/presentation\d*\.xml")
_NUMBER = re.compile(r"(\d+)\.xml$")
_TITLES = frozenset(("title", "ctrTitle"))
# The date, footer and number that stand on every slide.
_FURNITURE = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))
_LISTS = frozenset(("", "body", "obj"))
# What PowerPoint itself writes when nobody named the file.
_NO_TITLE = re.compile(r"(powerpoint|pptx?|slide\s*\d+|no slide title|presentation)\b", re.I)


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    builder = TextBuilder()
    with opened(path) as archive:
        title = core_title(archive)
        builder.title = "" if _NO_TITLE.match(title) else title
        for number, part in enumerate(_slides(archive), start=1):
            _slide(builder, archive, part, number)
    return builder.finish()


def _slides(archive: zipfile.ZipFile) -> Iterator[str]:
    """Names of the slides in the order of the show; by number when the presentation does not say."""
    main = next(name for name in archive.namelist() if MAIN.fullmatch(name))
    targets = relations(archive, main)
    named = [targets[_relation(one)][1] for one in tree(archive, main).iter("{*}sldId") if _relation(one) in targets]
    if not named:
        found = [name for name in archive.namelist() if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
        named = sorted(found, key=lambda name: int(_NUMBER.search(name).group(1)))  # type: ignore[union-attr]
    yield from (name for name in dict.fromkeys(named) if name in archive.NameToInfo)


def _relation(element: Any) -> str:
    """`r:id`, which stands beside a plain `id` here."""
    return next((str(value) for key, value in element.attrib.items() if key.endswith("}id")), "")


def _slide(builder: TextBuilder, archive: zipfile.ZipFile, part: str, number: int) -> None:
    shapes = list(_shapes(tree(archive, part)))
    builder.leave(2)
    title = " ".join(" ".join(lines) for kind, lines, _ in shapes if kind in _TITLES)
    if title.strip():
        builder.heading(2, title, page=number)
        builder.title = builder.title or " ".join(title.split())
    for kind, lines, rows in shapes:
        if rows:
            tables.add(builder, rows, page=number)
        elif kind not in _TITLES:
            lead = "- " if kind in _LISTS and len(lines) > 1 else ""
            builder.add("\n".join(lead + line for line in lines), page=number)
    for kind, target in relations(archive, part).values():
        if kind == "notesSlide" and target in archive.NameToInfo:
            for note, lines, _ in _shapes(tree(archive, posixpath.normpath(target))):
                if note == "body":
                    builder.add("\n".join(lines), page=number)


def _shapes(root: Any) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(placeholder, lines, rows) of each shape with words, groups opened; 'none' for a shape of no placeholder."""
    stack = [root]
    while stack:
        element = stack.pop()
        kind = local(element)
        if kind == "Fallback":  # the same drawing again, for old programs
            continue
        if kind == "sp":
            place = next(element.iter("{*}ph"), None)
            name = "none" if place is None else place.get("type", "")
            lines = _lines(element)
            if lines and name not in _FURNITURE:
                yield name, lines, []
        elif kind == "tbl":
            yield "none", [], [[" ".join(_lines(cell)) for cell in row.iter("{*}tc")] for row in element.iter("{*}tr")]
        else:
            stack.extend(reversed(element))


def _lines(element: Any) -> list[str]:
    """One for each paragraph with words, deeper ones indented."""
    lines = []
    for paragraph in element.iter("{*}p"):
        words = []
        for one in paragraph.iter("{*}t", "{*}br", "{*}tab"):
            words.append((one.text or "") if local(one) == "t" else " ")
        text = " ".join("".join(words).split())
        if text:
            lines.append(text)
    return lines
