"""Plain text: paragraphs are what empty lines separate."""

from __future__ import annotations

import re
from pathlib import Path

from .encoding import decode
from .types import LoadedDocument, TextBuilder

_EMPTY_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def load(path: Path) -> LoadedDocument:
    builder = TextBuilder()
    for paragraph in _EMPTY_LINES.split(decode(path.read_bytes())):
        builder.add(paragraph)
    return builder.finish()
