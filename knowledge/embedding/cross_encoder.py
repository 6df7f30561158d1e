"""Cross-encoders of sentence-transformers, which read a question and a passage together (COACH_RERANKER)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from django.conf import settings

from .errors import EmbedderUnavailable

BATCH, MOST_TOKENS = 8, 384
_loaded: dict[str, CrossEncoderScores] = {}
_lock = threading.Lock()


def named(name: str) -> CrossEncoderScores:
    """By its hub name or folder, loaded once. Raises EmbedderUnavailable."""
    with _lock:
        found = _loaded.get(name)
        if found is None:
            found = _loaded[name] = CrossEncoderScores(name)
        return found


class CrossEncoderScores:
    def __init__(self, name: str) -> None:
        self._name = name
        try:
            from sentence_transformers import CrossEncoder

            self._model: Any = CrossEncoder(
                name,
                device="cpu",
                max_length=MOST_TOKENS,
                cache_folder=str(settings.CACHE_DIR),
                local_files_only=settings.OFFLINE,
            )
        except ImportError as error:
            raise EmbedderUnavailable(f"The reranker {name} needs the package sentence-transformers.") from error
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderUnavailable(f"The reranker {name} could not be loaded: {error}") from error

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the query: comparable within one call. Raises EmbedderUnavailable."""
        try:
            pairs = [(query, text) for text in texts]
            found = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
        except RuntimeError as error:
            raise EmbedderUnavailable(f"The reranker {self._name} failed: {error}") from error
        if found.ndim != 1:
            raise EmbedderUnavailable(f"The model {self._name} is no reranker: it does not give one score a passage.")
        return [float(score) for score in found]
