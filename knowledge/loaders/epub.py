"""Books (.epub): the chapters in the order of the spine, under the book's title."""

from __future__ import annotations

import contextlib
import posixpath
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .encoding import decode
from .errors import Damaged, NoText
from .html import read_into
from .ooxml import local, opened, tree
from .types import LoadedDocument, TextBuilder

CONTAINER, MIMETYPE = "META-INF/container.xml", "application/epub+zip"
_PAGES = frozenset(("application/xhtml+xml", "text/html", "text/x-oeb1-document"))


def load(path: Path) -> LoadedDocument:
    """Raises Damaged, NoText, TooLargeInside."""
    builder = TextBuilder()
    with opened(path) as archive:
        package = _package(archive)
        root = tree(archive, package)
        if root is None:
            raise Damaged
        title = next((one.text or "" for one in root.iter("{*}title") if (one.text or "").strip()), "")
        builder.title = " ".join(title.split())
        for name in _spine(root, posixpath.dirname(package)):
            if name in archive.NameToInfo:
                with contextlib.suppress(NoText):  # a page that is only a picture
                    read_into(builder, decode(archive.read(name)), deeper=1)
    return builder.finish()


def _package(archive: zipfile.ZipFile) -> str:
    root = tree(archive, CONTAINER)
    files = [] if root is None else [one.get("full-path", "") for one in root.iter("{*}rootfile")]
    return next(iter(files), "")


def _spine(root: Any, folder: str) -> list[str]:
    """Names of the pages in reading order, each once, without the table of contents."""
    items = {
        one.get("id", ""): one
        for one in root.iter("{*}item")
        if one.get("media-type") in _PAGES and "nav" not in (one.get("properties") or "").split()
    }
    names = [
        posixpath.normpath(posixpath.join(folder, unquote(items[one.get("idref")].get("href", "")).partition("#")[0]))
        for one in root.iter("{*}itemref")
        if local(one) and one.get("idref") in items
    ]
    return list(dict.fromkeys(names))
