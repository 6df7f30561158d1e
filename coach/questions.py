"""What kind of text a coachee wrote, by rules: no model is asked, because the search waits for it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

from knowledge.lexical import FUNCTION_WORDS, words_of

from .prompting import PastTurn

_WORD = re.compile(r"[^\W_]+")
_HANGUL = re.compile(r"[가-힣ㄱ-ㆎ]")
_WORDS_FILE = Path(__file__).parent / "questions.toml"
FOLLOWED = 3  # questions back that a chain of follow-ups is traced
SHORT_WORDS, SHORT_CHARACTERS, SHORT_HANGUL = 5, 25, 12
WHOLE_SUBJECTS = 2  # 'How do habits form?' is short and means something alone


class _Words:
    """One language's words of questions.toml."""

    def __init__(self, table: dict[str, str]) -> None:
        self.plain = frozenset(table["plain"].split())
        self.asks = frozenset(table["asks"].split())
        self.phrases = tuple(re.compile(phrase, re.I) for phrase in table["phrases"].splitlines() if phrase)
        self.pointers = re.compile("|".join(table["pointers"].split("\n")).strip("|"), re.I)

    def asks_about_conversation(self, words: Sequence[str]) -> bool:
        """Nothing but plain words and at least one that asks to say it otherwise: no subject is named."""
        return any(self._is(word, self.asks) for word in words) and all(
            self._is(word, self.asks) or self._is(word, self.plain) for word in words
        )

    def _is(self, word: str, known: frozenset[str]) -> bool:
        # Korean words carry their endings; its lists hold beginnings.
        if _HANGUL.search(word):
            return any(word.startswith(beginning) for beginning in known)
        return word in known


@cache
def _words() -> dict[str, _Words]:
    tables = tomllib.loads(_WORDS_FILE.read_text(encoding="utf-8"))
    return {language: _Words(table) for language, table in tables.items()}


def standalone(question: str, past: Sequence[PastTurn]) -> str:
    """What is searched for. A follow-up means nothing alone: the question it follows is put in front.

    A follow-up is of a few words ('Why?'), or points back ('What does Lally say about it?', 'And at work?'). What is
    about the conversation alone ('Can you say that more shortly?') is searched for as the question before it.
    """
    asked = [question]
    for turn in reversed(past[-FOLLOWED:]):
        if about_conversation(asked[0], turn.language):
            asked[0] = turn.question
        elif _follows(asked[0]):
            asked.insert(0, turn.question)
        else:
            break
    return " ".join(asked)


@lru_cache(maxsize=2048)  # asked again for every turn before this one
def about_conversation(text: str, language: str) -> bool:
    """It is about what was said, or small talk, and names no subject that knowledge could cover.

    'Can you say that more shortly?' is; 'Can you give an example of a SMART goal?' is not.
    """
    words = _WORD.findall(text.lower())
    if not words:
        return False
    known = _words()
    # A coachee may write in another language than the conversation's.
    order = [known[language], *known.values()] if language in known else known.values()
    plain = " ".join(words)
    return any(
        one.asks_about_conversation(words) or any(phrase.fullmatch(plain) for phrase in one.phrases) for one in order
    )


def is_question(text: str) -> bool:
    """Only a question gets the sentence 'my knowledge base has nothing about this'; a greeting does not."""
    return text.rstrip().endswith(("?", "？", "까", "나요", "가요")) and len(text.split()) >= 2


def asks_for_knowledge(text: str, language: str) -> bool:
    """A question that the knowledge could have an answer to: without one it is a gap."""
    return is_question(text) and not about_conversation(text, language)


def _follows(question: str) -> bool:
    if len(question.split()) < SHORT_WORDS:
        if _HANGUL.search(question):  # it says in a dozen syllables what others say in thirty letters
            return len(question) < SHORT_HANGUL
        subjects = [word for word in words_of(question) if word not in FUNCTION_WORDS]
        return len(question) < SHORT_CHARACTERS and len(subjects) < WHOLE_SUBJECTS
    plain = " ".join(_WORD.findall(question.lower()))
    return any(one.pointers.search(plain) for one in _words().values())
