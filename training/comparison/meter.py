"""The coaching meter: four rules of good coaching that can be seen in the words of one answer, a quarter each.

    asks      it ends with an open question (one that yes or no does not answer)
    reflects  it says back what the coachee said before it advises: an opener of meter.toml, or in its first two
              sentences words that the coachee used
    no orders it gives at most MOST_ORDERS orders (must, should, always …) and no list of more than MOST_POINTS points
    length    it is neither curt nor a lecture: the bounds of meter.toml, in words

A meter, not a judge: it sees words, not wisdom. What it is for is the difference of two models on the same questions.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coach.prompting import grams, sentences
from training.evaluation import wording

MOST_ORDERS = 2
MOST_POINTS = 4
# Share of the coachee's n-grams in the first two sentences: a few words of theirs, not only "you".
SAID_BACK = 0.2
_POINT = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_CITED = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class Coaching:
    asks: bool
    reflects: bool
    no_orders: bool
    length: bool

    @property
    def score(self) -> float:
        """From 0 to 1."""
        return (self.asks + self.reflects + self.no_orders + self.length) / 4


@cache
def words() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((Path(__file__).parent / "meter.toml").read_text(encoding="utf-8"))


def measure(answer: str, *, question: str, language: str) -> Coaching:
    known = words().get(language, words()["en"])
    plain = _CITED.sub("", wording.without_numbers(answer)).strip()
    parts = sentences(plain)
    low, high = known["words"]
    return Coaching(
        asks=bool(parts) and _is_open(parts[-1], known["open"], language),
        reflects=_reflects(parts[:2], question, known["reflects"]),
        no_orders=_orders(plain, known["lecture"], language) <= MOST_ORDERS
        and len(_POINT.findall(plain)) <= MOST_POINTS,
        length=low <= len(plain.split()) <= high,
    )


def _is_open(sentence: str, openers: list[str], language: str) -> bool:
    """Korean asks with its word anywhere; the others begin with it, or after a comma or a preposition."""
    text = sentence.strip().rstrip("”\"')»").lower()
    if not text.endswith("?"):
        return False
    if language == "ko":
        return any(opener in text for opener in openers)
    begins = [clause.split()[:3] for clause in re.split(r"[,:;–—]", text) if clause.split()]
    return any(word.strip("\"'“”«»?") in openers for clause in begins for word in clause)


def _reflects(parts: list[str], question: str, openers: list[str]) -> bool:
    said = " ".join(part for part in parts if not part.rstrip().endswith("?"))
    if any(opener in said.lower() for opener in openers):
        return True
    asked = grams(question)
    return bool(asked) and len(asked & grams(said)) / len(asked) >= SAID_BACK


def _orders(text: str, lecture: list[str], language: str) -> int:
    low = text.lower()
    if language == "ko":
        return sum(low.count(word) for word in lecture)
    return sum(len(re.findall(rf"\b{re.escape(word)}\b", low)) for word in lecture)
