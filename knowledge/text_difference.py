"""Two texts with what differs marked, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

_PIECES = re.compile(r"\w+|\s+|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a text. `own`: the other text has something else here."""

    text: str
    own: bool


def marked(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """The pieces of both, in order; joined they are the texts again."""
    mine, theirs = _PIECES.findall(one), _PIECES.findall(other)
    first: list[Piece] = []
    second: list[Piece] = []
    for change, start, end, their_start, their_end in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        for pieces, text in ((first, mine[start:end]), (second, theirs[their_start:their_end])):
            if text:
                pieces.append(Piece("".join(text), change != "equal"))
    return first, second
