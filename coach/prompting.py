"""The prompt of a turn, as a pure function of what the conversation holds.

The prompt is append-only: system text and an example, then turn after turn with the sources each one brought,
every source once and word for word as it was first sent. So the next prompt begins with the whole
last one, and a local server reads only what is new (100 prompt tokens cost it about a second).
When the context is full, sources of old turns are dropped, down to half of the room at once, so
that the cache is lost once and not at every turn.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from llm.tokens import estimate_tokens, prompt_tokens
from llm.types import Message

PROMPTS = Path(__file__).parent / "prompts"
LANGUAGES = ("en", "sv", "nb", "ko")
# A full stop after a number is that of a list ("1. Name it"), not the end of a sentence.
_SENTENCE_END = re.compile(r"(?<=[.!?。])(?<!\b\d\.)(?<!\b\d\d\.)[ \t]+|\s*\n+\s*")
_SYLLABLES = re.compile(r"[가-힣ㄱ-ㆎ一-鿿]")


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """A source as the model sees it: `excerpt` is the passage cut to the sentences that matter."""

    n: int
    title: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A finished turn on the path; `sources` are those it showed for the first time."""

    position: int
    question: str
    answer: str
    language: str
    grounded: bool
    sources: tuple[NumberedSource, ...] = ()
    turn: UUID | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """`sources_from`: turns before this position lost their sources; `cut`: this happened now, to so many sources.

    `turns_left_out` are the oldest turns that are not in the prompt at all.
    """

    messages: tuple[Message, ...]
    tokens: int
    sources_from: int
    cut: bool
    sources_left_out: int = 0
    turns_left_out: int = 0


@cache
def system_text(mode: str, language: str) -> str:
    name = language if language in LANGUAGES else "en"
    return (PROMPTS / f"{mode}.{name}.txt").read_text(encoding="utf-8").strip()


@cache
def _labels() -> dict[str, dict[str, Any]]:
    return tomllib.loads((PROMPTS / "labels.toml").read_text(encoding="utf-8"))


def label(language: str, name: str) -> str:
    labels = _labels()
    return str(labels.get(language, labels["en"])[name])


@cache
def opening(mode: str, language: str, own_prompt: str = "") -> tuple[Message, ...]:
    """What every prompt of a coach begins with: the system text, and an example turn unless the coach has its
    own prompt."""
    if own_prompt:
        return (Message("system", own_prompt),)
    labels = _labels()
    texts = labels.get(language, labels["en"])["example_sources"]
    example = tuple(NumberedSource(98 + i, "", text) for i, text in enumerate(texts))
    question = label(language, "example_question")
    return (
        Message("system", system_text(mode, language)),
        Message("user", user_text(question=question, language=language, grounded=True, sources=example)),
        Message("assistant", label(language, "example_answer")),
    )


def user_text(*, question: str, language: str, grounded: bool, sources: Sequence[NumberedSource]) -> str:
    """What one turn adds to the prompt. Must give the same bytes each time the turn is shown again."""
    if sources:
        lines = [label(language, "sources"), *(f"[{s.n}] {s.excerpt}" for s in sources), ""]
    elif not grounded:
        lines = [label(language, "no_sources"), ""]
    else:
        lines = []
    # A small model follows the language of what it read last, so the language is said last. Of sources only where
    # there are some: what is read anew costs time.
    reminder = label(language, "answer_in" if sources else "in_language")
    return "\n".join([*lines, f"{label(language, 'question')} {question}", reminder])


def build(
    *,
    opening: tuple[Message, ...],
    past: Sequence[PastTurn],
    now: PastTurn,
    sources_from: int,
    context_tokens: int,
    answer_tokens: int,
) -> Prompt:
    """The messages for `now` (its answer is ignored), fitted into `context_tokens - answer_tokens`."""
    room = context_tokens - answer_tokens
    messages = _messages(opening, past, now, sources_from)
    tokens = prompt_tokens(messages)
    if tokens <= room:
        return Prompt(messages, tokens, sources_from, cut=False)
    kept, first_shown = list(past), sources_from
    while tokens > room // 2 and sources_from <= now.position - 1:
        sources_from += 1
        messages = _messages(opening, kept, now, sources_from)
        tokens = prompt_tokens(messages)
    while tokens > room and kept:
        kept.pop(0)
        messages = _messages(opening, kept, now, sources_from)
        tokens = prompt_tokens(messages)
    gone, turns = {turn.position for turn in past} - {turn.position for turn in kept}, len(past) - len(kept)
    lost = sum(
        len(turn.sources)
        for turn in past
        if turn.position >= first_shown and (turn.position < sources_from or turn.position in gone)
    )
    return Prompt(messages, tokens, sources_from, cut=True, sources_left_out=lost, turns_left_out=turns)


def prefix(*, opening: tuple[Message, ...], past: Sequence[PastTurn], sources_from: int) -> tuple[Message, ...]:
    """The beginning of every next prompt of a conversation: what can be read before the question is there."""
    messages = list(opening)
    for turn in past:
        shown = turn.sources if turn.position >= sources_from else ()
        messages.append(Message("user", _turn_text(turn, shown)))
        messages.append(Message("assistant", written(turn.answer, turn.language)))
    return tuple(messages)


def written(answer: str, language: str) -> str:
    """The answer as the model wrote it: a small model repeats our words before it ("nothing about this"), and the
    server need not read again what it wrote itself."""
    return answer.removeprefix(not_covered(language))


def not_covered(language: str) -> str:
    """What stands before the answer to a question that the knowledge does not cover."""
    return label(language, "not_covered") + "\n\n"


def _messages(
    opening: tuple[Message, ...], past: Sequence[PastTurn], now: PastTurn, sources_from: int
) -> tuple[Message, ...]:
    before = prefix(opening=opening, past=past, sources_from=sources_from)
    return (*before, Message("user", _turn_text(now, now.sources)))


def _turn_text(turn: PastTurn, sources: Sequence[NumberedSource]) -> str:
    return user_text(question=turn.question, language=turn.language, grounded=turn.grounded, sources=sources)


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]


@lru_cache(maxsize=1024)  # the passages of a base come again and again: 5 MB
def grams(text: str, size: int = 4) -> frozenset[str]:
    """Character n-grams of the letters and digits: they survive compounds, endings and particles."""
    plain = re.sub(r"[\W_]+", " ", text.lower())
    size = 2 if _SYLLABLES.search(plain) else size
    return frozenset(word[i : i + size] for word in plain.split() for i in range(max(1, len(word) - size + 1)))


def excerpt(text: str, *, question: str, tokens: int) -> str:
    """The sentences of `text` closest to the question, in their order, within `tokens`.

    The first sentence names the subject and goes in when it fits; ' … ' marks what was left out.
    """
    parts = sentences(text)
    if estimate_tokens(text) <= tokens or len(parts) < 2:
        return " ".join(parts)
    asked = grams(question)
    ranked = sorted(range(len(parts)), key=lambda i: (-len(grams(parts[i]) & asked) - (i == 0), i))
    chosen: set[int] = set()
    left = tokens
    for index in ranked:
        cost = estimate_tokens(parts[index])
        if cost <= left or not chosen:
            chosen.add(index)
            left -= cost
    pieces: list[str] = []
    for index in sorted(chosen):
        if pieces and index - 1 not in chosen:
            pieces.append("…")
        pieces.append(parts[index])
    return " ".join(pieces)
