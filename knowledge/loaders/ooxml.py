"""What Word, PowerPoint, Excel and OpenDocument files have in common: XML parts in a zip, read as streams."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lxml import etree

from .errors import Damaged

CORE = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_RELATION = "Relationship"


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive. What a malformed one makes its reader raise becomes Damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, etree.XMLSyntaxError, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise Damaged from error
    except (OSError, ValueError) as error:
        raise Damaged from error


def events(stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """('start' or 'end', element). No entity is expanded and nothing is fetched, whatever the file asks for."""
    yield from etree.iterparse(
        stream, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )


def local(element: Any) -> str:
    """The name without its namespace; '' for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str:
    """By its local name, in whatever namespace; ''."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return ""


def free(element: Any) -> None:
    """Give back the memory of an element that was read, and of what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def tree(archive: zipfile.ZipFile, name: str) -> Any:
    """A small part as a whole; None when the archive has none of this name."""
    if name not in archive.NameToInfo:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    with archive.open(name) as stream:
        return etree.parse(stream, parser).getroot()


def relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """Relation id → (last word of its type, name of the part it leads to)."""
    folder, name = posixpath.split(part)
    root = tree(archive, f"{folder}/_rels/{name}.rels")
    found: dict[str, tuple[str, str]] = {}
    for one in () if root is None else root:
        if local(one) == _RELATION and one.get("TargetMode") != "External":
            target = one.get("Target", "")
            target = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
            found[one.get("Id", "")] = (one.get("Type", "").rpartition("/")[2], target)
    return found


def core_title(archive: zipfile.ZipFile) -> str:
    try:
        root = tree(archive, CORE)
    except etree.XMLSyntaxError:
        return ""
    return "" if root is None else root.findtext(_TITLE) or ""
