"""What adapters of embedding servers share: normalising, counting, and one error type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import EmbedderUnavailable
from .types import Floats

# Characters per token of a text in a European language; Hangul takes about one token a syllable.
_LATIN_PER_TOKEN, _OTHER_PER_TOKEN = 3.6, 1.2


def estimate_tokens(text: str) -> int:
    """An estimate that is rather too high than too low."""
    wide = sum(ord(character) > 0x2E80 for character in text)
    return 2 + round(wide / _OTHER_PER_TOKEN + (len(text) - wide) / _LATIN_PER_TOKEN)


class RemoteEmbedder:
    """Wraps a LangChain `Embeddings` object; `dimensions` is learned from one short text on start."""

    def __init__(self, id_: str, embeddings: Any, errors: tuple[type[Exception], ...], max_tokens: int) -> None:
        self.id = id_
        self.max_tokens = max_tokens
        self._embeddings = embeddings
        self._errors = errors
        self.dimensions = int(self.embed_query("dimensions").shape[0])

    def embed_passages(self, texts: Sequence[str]) -> Floats:
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        return _unit(self._call(self._embeddings.embed_documents, list(texts)))

    def embed_query(self, text: str) -> Floats:
        vector: Floats = _unit([self._call(self._embeddings.embed_query, text)])[0]
        return vector

    def count_tokens(self, text: str) -> int:
        return estimate_tokens(text)

    def _call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return function(argument)
        except self._errors as error:
            raise EmbedderUnavailable(f"The embedder {self.id} does not answer: {error}") from error


def _unit(vectors: Sequence[Sequence[float]]) -> Floats:
    array: Floats = np.asarray(vectors, np.float32)
    array /= np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), np.float32(1e-12))
    return array
