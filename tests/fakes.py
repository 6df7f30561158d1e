"""Stand-ins at our own boundaries: a language model and an embedder that need no file, no server and no time.

Nothing here imitates a vendor; the fake model *server* (bench/fake_model.py) is for tests over a real socket.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from knowledge.embedding.types import Floats
from llm.errors import LanguageModelError
from llm.types import AdapterEvent, ChatRequest, Finished, Health, ModelId, Place, Token, Usage


@dataclass
class FakeLanguageModel:
    """Says `text` word by word and remembers what it was asked.

    error      raised after `error_after` words
    hold       awaited before the last word, so that a test decides when the answer ends
    requests   every request it got; `closed` counts streams that were left before their end
    """

    text: str = "Begin with one small step [1]. What would make it easy?"
    id: ModelId = field(default_factory=lambda: ModelId("fake", "model"))
    place: Place = Place.LOCAL
    context_tokens: int = 4096
    error: LanguageModelError | None = None
    error_after: int = 0
    hold: asyncio.Event | None = None
    healthy: bool = True
    requests: list[ChatRequest] = field(default_factory=list)
    warmed: list[ChatRequest] = field(default_factory=list)
    closed: int = 0

    async def stream(self, request: ChatRequest) -> AsyncIterator[AdapterEvent]:
        self.requests.append(request)
        words = re.findall(r"\S+\s*", self.text)
        finished = False
        try:
            for number, word in enumerate(words):
                if self.error is not None and number >= self.error_after:
                    raise self.error
                if self.hold is not None and number == len(words) - 1:
                    await self.hold.wait()
                yield Token(word)
            if self.error is not None:
                raise self.error
            finished = True
            yield Finished(usage=Usage(prompt_tokens=100, completion_tokens=len(words)))
        finally:
            self.closed += not finished

    async def check(self) -> Health:
        return Health(ok=self.healthy, detail="" if self.healthy else "The fake is told to be ill.")

    async def warm(self, request: ChatRequest) -> None:
        self.warmed.append(request)

    async def aclose(self) -> None:
        return None


@dataclass
class FakeEmbedder:
    """Vectors from words: texts that share words are near each other, the same text is always the same vector."""

    id: str = "fake"
    dimensions: int = 64
    max_tokens: int = 512
    embedded: list[str] = field(default_factory=list)

    def embed_passages(self, texts: Sequence[str]) -> Floats:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, self.dimensions), np.float32)

    def embed_query(self, text: str) -> Floats:
        return self._vector(text)

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    def _vector(self, text: str) -> Floats:
        vector = np.full(self.dimensions, 1e-3, np.float32)
        for word in re.findall(r"\w+", text.lower()):
            vector[crc32(word.encode()) % self.dimensions] += 1.0
        return vector / np.linalg.norm(vector)
