"""What is counted while a file is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

# A line of the file without its end, and the turns in it.
Line = tuple[bytes, Sequence[str]]
Lines = Iterator[Line]


@dataclass(slots=True)
class Tally:
    """read: turns that passed the filter; left_out: those of them that are still not in the file, by reason."""

    read: int = 0
    tokens: int = 0
    longest: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def example(self, tokens: int) -> None:
        self.tokens += tokens
        self.longest = max(self.longest, tokens)
