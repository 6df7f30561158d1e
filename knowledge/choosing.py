"""From a ranking to the passages of an answer: no repeats, one language of each article, neighbours joined.

What is left out gets the reason (`Ranked.why`), for those who look into a search:
    repeats       nearly the same words as a better passage
    translation   of an article that is there in another language
    joined        it is part of a better passage now, which stands beside it in the document
    place         there were k better ones
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .fusion import Ranked
from .types import Passage

REPEATS, TRANSLATION, JOINED, PLACE = "repeats", "translation", "joined", "place"
_WORD = re.compile(r"\w+")

# A translation of the best passage is taken instead of it unless it is less than half as good.
TRANSLATION_SHARE = 0.5
# Shared words of the smaller passage from which two passages say the same.
SAME_SHARE = 0.9
# Shown beside the best passage is what has this share of its fused score. Of 204 questions of fact whose passage was
# found, none lost it and 7 of 10 keep one source: there is nothing else to cite; questions for advice keep theirs.
SHOWN_SHARE = 0.6
# Two passages of usual length: more is cut to its relevant sentences for the prompt anyway.
MOST_JOINED_TOKENS = 480


def choose(ranking: Sequence[Ranked], k: int, language: str = "", *, whole: bool = True) -> list[Ranked]:
    """The best k, best first; the others get their `why`, those behind the last one only if `whole`.

    A passage beside a better one under the same heading becomes part of it and takes no place of its own. The whole
    keeps the better one's id, so that its citation opens as before; `scores["joined"]` says of how many it is.
    """
    for ranked in ranking:
        ranked.why, ranked.text = "", ranked.candidate.text
        ranked.scores.pop("joined", None)
    _leave_translations(ranking, language)
    kept: list[Ranked] = []
    seen: list[frozenset[str]] = []
    for at, ranked in enumerate(ranking):
        if not whole and len(kept) >= k:
            break
        if ranked.why:
            continue
        words = frozenset(_WORD.findall(ranked.candidate.text.lower()))
        if any(_same(words, other) for other in seen):
            ranked.why = REPEATS
        elif at < k and _joins(kept, ranked):
            ranked.why = JOINED
            seen.append(words)
        elif len(kept) >= k:
            ranked.why = PLACE
        else:
            seen.append(words)
            kept.append(ranked)
    return kept


def worth_showing(passages: Sequence[Passage]) -> list[Passage]:
    """Without those that are far behind the best one: a small model cites what it is shown."""
    best = max((passage.scores.get("fused") or 0.0 for passage in passages), default=0.0)
    return [passage for passage in passages if (passage.scores.get("fused") or 0.0) >= SHOWN_SHARE * best]


def _joins(kept: Sequence[Ranked], ranked: Ranked) -> bool:
    """Puts it to the passage that it follows or stands before, if there is one with room."""
    for better in kept:
        text = _together(better, ranked)
        if text is not None:
            better.text = text
            better.scores["joined"] = 2
            return True
    return False


def _together(better: Ranked, other: Ranked) -> str | None:
    one, two = better.candidate, other.candidate
    if better.scores.get("joined") or one.document != two.document or one.headings != two.headings:
        return None
    if abs(one.position - two.position) != 1 or one.tokens + two.tokens > MOST_JOINED_TOKENS:
        return None
    first, second = (one, two) if one.position < two.position else (two, one)
    gap = second.start - first.end
    return f"{first.text}{' ' if gap == 1 else chr(10) * 2}{second.text}" if gap in (1, 2) else None


def _leave_translations(ranking: Sequence[Ranked], language: str) -> None:
    """Of an article in several languages only the one in `language`, if it is nearly as good, else the best one.

    Translations are documents of one base with the same file name and different languages.
    """
    best: dict[tuple[int, str], dict[str, float]] = {}
    for ranked in ranking:
        if ranked.candidate.language:
            article = best.setdefault(_article(ranked), {})
            article.setdefault(ranked.candidate.language, ranked.score)
    for ranked in ranking:
        scores = best.get(_article(ranked), {}) if ranked.candidate.language else {}
        if len(scores) > 1 and ranked.candidate.language != _pick(scores, language):
            ranked.why = TRANSLATION


def _article(ranked: Ranked) -> tuple[int, str]:
    return ranked.candidate.base, ranked.candidate.filename


def _pick(scores: Mapping[str, float], language: str) -> str:
    first = max(scores, key=lambda name: scores[name])
    return language if scores.get(language, 0.0) >= TRANSLATION_SHARE * scores[first] else first


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    smaller = min(len(one), len(other))
    return bool(smaller) and len(one & other) >= SAME_SHARE * smaller
