"""Guided mode: no model at all. It quotes what was found, names where it stands, and asks an open question.

It never pretends to be a model: the first sentence says that none is running.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator

from llm.types import AdapterEvent, ChatRequest, Finished, Health, ModelId, Place, Token, Usage

from .guided_texts import texts_for

QUOTES = 3
QUOTE_CHARACTERS = 320
_WORD = re.compile(r"\S+\s*|\s+")
_NUMBER_IN_BRACKETS = re.compile(r"\[(\d+)\]")
_SENTENCE_END = re.compile(r"[.!?。…](?=\s|$)")


class GuidedMode:
    place = Place.LOCAL
    context_tokens = 1_000_000  # nothing is ever cut for it

    def __init__(self, model_id: ModelId) -> None:
        self.id = model_id

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        words = _WORD.findall(answer(request))
        for word in words:
            yield Token(word)
        yield Finished(Usage(completion_tokens=len(words)))

    async def check(self) -> Health:
        return Health(True)

    async def warm(self, request: ChatRequest) -> None:
        """Nothing to warm."""

    async def aclose(self) -> None:
        """Nothing to close."""


def answer(request: ChatRequest) -> str:
    """The whole answer in `request.language`: a label, up to three cited quotes, one open question."""
    texts = texts_for(request.language)
    question = texts.questions[zlib.crc32(_asked(request).encode()) % len(texts.questions)]
    if not request.quotes:
        return f"{texts.label} {texts.nothing_found}\n\n{question}"
    quotes = "\n\n".join(
        texts.quote.format(text=excerpt(q.text), title=q.title, n=q.number) for q in request.quotes[:QUOTES]
    )
    return f"{texts.label} {texts.found}\n\n{quotes}\n\n{question}"


def excerpt(text: str) -> str:
    """The beginning of a passage on one line, ended at a sentence where one ends in time, else at a word."""
    # A "[2]" of the document's own would read as a citation of ours.
    text = _NUMBER_IN_BRACKETS.sub(r"(\1)", " ".join(text.split()))
    if len(text) <= QUOTE_CHARACTERS:
        return text
    cut = text[:QUOTE_CHARACTERS]
    ends = [match.end() for match in _SENTENCE_END.finditer(cut)]
    if ends and ends[-1] >= QUOTE_CHARACTERS // 3:
        return cut[: ends[-1]]
    return cut.rsplit(" ", 1)[0].rstrip(",;:") + " …"


def _asked(request: ChatRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")
