"""Citations: only numbers the answer may cite, and only where a source supports the sentence.

`CitationFilter` works on the stream, so that a number without a source is never shown.
`check` works on the finished answer: it adds the number a small model forgot where a sentence
plainly repeats a source, moves one that stands at the wrong source, takes one away where no source says
anything of the sentence, and lists what was cited and which sentences no source supports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .language import detect_language
from .prompting import NumberedSource, grams

_CITATION = re.compile(r"([ \t]*)[\[【]([\d\s,;]{1,16})[\]】]")
_OPEN = re.compile(r"[ \t]*(?:[\[【][\d\s,;]{0,16})?$")  # what may still become a citation
_SENTENCE = re.compile(r"(?:\d+[.,:]\d+|\b\d{1,2}\. |[^.!?。\n])+[.!?。]*(?:\s*\[\d+\])*")
_MARK = re.compile(r"\[(\d+)\]")
# Shares of a sentence's character n-grams found in one source. Below 0.55 sentences that merely
# share a topic were marked; a tie between two sources says nothing about either.
SUPPORT = 0.55
MARGIN = 0.1
MIN_GRAMS = 12
# A small model numbers its sentences 1, 2, 3; a number moves when another source says plainly more of it.
MOVED_SUPPORT, MOVED_MARGIN = 0.4, 0.2
# A sentence with less of it in any source, and with less of what the question had not said already, has no support.
# Of 70 sentences of answers to questions of fact, read by hand, these were 13: invented or empty.
LEAST_SUPPORT, LEAST_NEWS = 0.35, 0.5
_BEFORE_TEXT = re.compile(r"(?:[\s>*_#•–-]|\d{1,2}\.\s)*")  # what Markdown puts before the words of a line


class CitationFilter:
    """Passes text on, holding back at most one unfinished bracket; drops numbers not in `allowed`."""

    def __init__(self, allowed: Iterable[int]) -> None:
        self._allowed = frozenset(allowed)
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        unfinished = _OPEN.search(text)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return self._clean(text[:cut])

    def flush(self) -> str:
        rest, self._held = self._held, ""
        return self._clean(rest)

    def _clean(self, text: str) -> str:
        return _CITATION.sub(self._numbers, text)

    def _numbers(self, match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.split(r"\D+", match.group(2)) if number]
        if not numbers:
            return match.group(0)
        known = "".join(f"[{n}]" for n in dict.fromkeys(numbers) if n in self._allowed)
        return match.group(1) + known if known else ""


@dataclass(frozen=True, slots=True)
class Grounded:
    """`citations`: the numbers in the answer, in order of first use; each one is a source of the turn.

    `unsupported`: where in the answer sentences stand that no source supports, (start, end) in characters
    """

    answer: str
    citations: tuple[int, ...]
    unsupported: tuple[tuple[int, int], ...] = ()


def check(
    answer: str, sources: Sequence[NumberedSource], *, question: str = "", language: str = "en", complete: bool = True
) -> Grounded:
    """The final answer and its citations; see the module docstring. `complete=False` adds, moves and marks nothing."""
    allowed = {source.n for source in sources}
    clean = CitationFilter(allowed)
    text = (clean.feed(answer) + clean.flush()).strip()
    shown = [(source.n, grams(f"{source.title} {source.excerpt}")) for source in sources]
    unsupported: list[tuple[int, int]] = []
    if complete and shown:
        text = _SENTENCE.sub(lambda match: _with_citation(match.group(0), shown), text)
        if _one_language(text, sources, language):
            asked = grams(question)
            text = _SENTENCE.sub(lambda match: _uncited(match.group(0), shown, asked), text)
            unsupported = [
                _span(match) for match in _SENTENCE.finditer(text) if _is_unsupported(match.group(0), shown, asked)
            ]
    cited = [int(n) for n in _MARK.findall(text)]
    return Grounded(text, tuple(n for n in dict.fromkeys(cited) if n in allowed), tuple(unsupported))


def _span(sentence: re.Match[str]) -> tuple[int, int]:
    """Of its words, without the marks of a list or a heading before them."""
    before = _BEFORE_TEXT.match(sentence.group(0))
    return sentence.start() + (before.end() if before else 0), sentence.start() + len(sentence.group(0).rstrip())


def _one_language(answer: str, sources: Sequence[NumberedSource], language: str) -> bool:
    """Words can be compared: no source is in another language than the answer."""
    written = detect_language(answer, language)
    return all(detect_language(source.excerpt, written) == written for source in sources)


def _is_unsupported(sentence: str, shown: Sequence[tuple[int, frozenset[str]]], asked: frozenset[str]) -> bool:
    found = grams(_MARK.sub(" ", sentence))
    if len(found) < MIN_GRAMS or sentence.rstrip(' *_"”»)').endswith("?"):
        return False
    news = found - asked
    return all(
        len(found & known) < LEAST_SUPPORT * len(found) and len(news & known) < LEAST_NEWS * max(1, len(news))
        for _, known in shown
    )


def _uncited(sentence: str, shown: Sequence[tuple[int, frozenset[str]]], asked: frozenset[str]) -> str:
    """The sentence without the numbers of sources that say nothing of it."""
    return re.sub(r"\s*\[\d+\]", "", sentence) if _is_unsupported(sentence, shown, asked) else sentence


def _with_citation(sentence: str, shown: Sequence[tuple[int, frozenset[str]]]) -> str:
    """The sentence with ` [n]` before its final mark when exactly one source plainly supports it."""
    if _MARK.search(sentence):
        return _corrected(sentence, shown)
    if sentence.rstrip().endswith("?"):
        return sentence
    found = grams(sentence)
    if len(found) < MIN_GRAMS:
        return sentence
    support = sorted(((len(found & known) / len(found), n) for n, known in shown), reverse=True)
    if not support or support[0][0] < SUPPORT:
        return sentence
    if len(support) > 1 and support[0][0] - support[1][0] < MARGIN:
        return sentence
    body = sentence.rstrip()
    tail = sentence[len(body) :]
    stripped = body.rstrip(".!。")
    return f"{stripped} [{support[0][1]}]{body[len(stripped) :]}{tail}"


def _corrected(sentence: str, shown: Sequence[tuple[int, frozenset[str]]]) -> str:
    """The sentence with its one number moved to the source that plainly supports it, if that is another one."""
    cited = [int(n) for n in _MARK.findall(sentence)]
    found = grams(_MARK.sub(" ", sentence))
    if len(cited) != 1 or len(found) < MIN_GRAMS:
        return sentence
    support = {n: len(found & known) / len(found) for n, known in shown}
    best = max(support, key=lambda n: support[n], default=cited[0])
    if support.get(best, 0) < MOVED_SUPPORT or support[best] - support.get(cited[0], 0) < MOVED_MARGIN:
        return sentence
    return _MARK.sub(f"[{best}]", sentence)
