"""What two texts have in common, by their words: no model, all four languages, the same rules for each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import ceil

from .lexical import FUNCTION_WORDS, terms

_WORD = re.compile(r"[^\W_]+")
_SENTENCE = re.compile(r"(?<=[.!?。])\s+|\s*\n+\s*")
_NUMBER = re.compile(r"\d+(?:[ \u00a0\u202f.,]\d{3})*(?:[.,]\d+)?")
_MONTHS = ("jan", "feb", "mar", "apr", "ma[jiy]", "jun", "jul", "aug", "sep", "o[ck]t", "nov", "de[cs]")
_MONTH = re.compile(
    r"(?:\d{1,2}(?:st|nd|rd|th)?\.?\s+(?:of\s+)?)(MM)[a-zå]*\b|\b(MM)[a-zå]*\s+\d".replace("MM", "|".join(_MONTHS))
)
_NOT = (
    *("not", "no", "never", "none", "cannot", "without", "don", "doesn", "isn", "aren", "wasn", "didn", "won"),
    *("shouldn", "mustn", "inte", "aldrig", "ej", "ingen", "inget", "inga", "utan", "icke"),
    *("ikke", "aldri", "ingenting", "intet", "uten"),
)
_NOT_KOREAN = re.compile(r"않|없|못\s|못하|아니|안\s|말아|마세요|마십시오")
_HANGUL = re.compile(r"[가-힣]")
SAME_WORD = 0.6


def grams(text: str) -> frozenset[str]:
    """The terms of the lexical index, each once: words and their 4-grams, pairs of Hangul."""
    return frozenset(terms(text))


def shared(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of all their terms that both have, 0 to 1."""
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def contained(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of the smaller one's terms that the other has, too."""
    least = min(len(one), len(other))
    return len(one & other) / least if least else 0.0


def content_words(text: str) -> list[str]:
    """Words that carry a subject, in lower case."""
    words = (word.lower() for word in _WORD.findall(text))
    return [word for word in words if word not in FUNCTION_WORDS and (len(word) > 1 or word.isdigit())]


def supported(text: str, passage: str) -> float:
    """The share of the text's content words that stand in the passage, with whatever ending, or within a compound."""
    words = content_words(text)
    if not words:
        return 0.0
    there, known = grams(passage), {word.lower() for word in _WORD.findall(passage)}
    return sum(_stands(word, there, known) for word in words) / len(words)


def _stands(word: str, there: frozenset[str], known: set[str]) -> bool:
    if word in known or len((own := grams(word)) & there) >= SAME_WORD * len(own):
        return True
    # 'vanan' for 'vana', '신호와' for '신호': most of it, from the beginning
    stem = word[: max(2 if _HANGUL.search(word) else 4, ceil(SAME_WORD * len(word)))]
    return len(stem) < len(word) and any(other.startswith(stem) for other in known)


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def numbers(text: str) -> frozenset[str]:
    """Numbers as written in any of the languages ('1 000', '1,000' and '1.000' are one), and months beside one."""
    found = {_plain(number) for number in _NUMBER.findall(text)}
    for before, after in _MONTH.findall(text.lower()):
        month = before or after
        found.add(next(f"month {n}" for n, one in enumerate(_MONTHS, start=1) if re.fullmatch(one, month)))
    return frozenset(found)


def negated(text: str) -> bool:
    if _HANGUL.search(text):
        return bool(_NOT_KOREAN.search(text))
    return any(word in _NOT for word in _words(text))


def _words(text: str) -> Iterable[str]:
    return (word.lower() for word in _WORD.findall(text))


def _plain(number: str) -> str:
    whole = re.sub(r"(?<=\d)[ \u00a0\u202f.,](?=\d{3}(?:\D|$))", "", number)
    return whole.replace(",", ".")
