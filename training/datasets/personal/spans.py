"""Where in a text something personal stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# One character for one, so that places stay: wide forms, the many dashes and blanks.
_PLAIN = str.maketrans(
    {chr(0xFF01 + i): chr(0x21 + i) for i in range(94)}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63", "-")
    | dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\t", " ")
)


class Span(NamedTuple):
    start: int
    end: int
    kind: str


def plain(text: str) -> str:
    """As long as the text, with plain digits, dashes and blanks."""
    return text.translate(_PLAIN)


def apart(spans: Iterable[Span]) -> list[Span]:
    """Without those that touch an earlier one of the list; in the order of the text."""
    kept: list[Span] = []
    for span in spans:
        if span.end > span.start and all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept)
