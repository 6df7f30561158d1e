"""Looks for signs of a crisis in what a coachee writes, before any model is asked.

Word patterns are the floor: they work offline, in microseconds, the same way every time. Data and
reasons stand in patterns.toml, helplines.toml and texts.toml.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

DATA = Path(__file__).parent
Level = Literal["none", "elevated", "acute"]


@dataclass(frozen=True, slots=True)
class Screening:
    """`message` and `card` are shown with `elevated` and `acute`; `reply` takes the model's place when acute.

    card: title, intro, verified_on, helplines (country, name, phone, note), the coachee's country first
    """

    level: Level
    message: str = ""
    card: dict[str, Any] | None = None
    reply: str = ""


def screen(text: str, language: str) -> Screening:
    level = level_of(text)
    return Screening("none") if level == "none" else _screening(level, language)


def elevated(language: str) -> Screening:
    """The card for somebody whom another judge worries about."""
    return _screening("elevated", language)


def _screening(level: Level, language: str) -> Screening:
    words = _load("texts").get(language) or _load("texts")["en"]
    return Screening(level, words["title"], _card(words, language), words["reply"] if level == "acute" else "")


def level_of(text: str) -> Level:
    plain = " ".join(unicodedata.normalize("NFKC", text).lower().replace("’", "'").split())
    patterns = _patterns()
    plain = patterns["idiom"].sub(" ", plain)
    if patterns["acute"].search(plain):
        return "acute"
    return "elevated" if patterns["elevated"].search(plain) else "none"


@cache
def _load(name: str) -> dict[str, Any]:
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    languages = _load("patterns").values()
    return {
        kind: re.compile("|".join(f"(?:{pattern})" for language in languages for pattern in language[kind]))
        for kind in ("idiom", "acute", "elevated")
    }


def _card(words: dict[str, Any], language: str) -> dict[str, Any]:
    helplines = _load("helplines")
    countries = sorted(helplines["country"], key=lambda country: country["language"] != language)
    return {
        "title": words["title"],
        "intro": words["intro"],
        "verified_on": helplines["verified_on"].isoformat(),
        "helplines": [
            {"country": words["countries"][country["code"]], **line}
            for country in countries
            for line in country["lines"]
        ],
    }
