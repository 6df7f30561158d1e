"""Embeddings that were made once: evaluating again after a change of ranking takes seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from django.conf import settings

from knowledge.embedding.types import Embedder, Floats

BATCH = 128
Progress = Callable[[int, int], None]


class CachedVectors:
    """An embedder's vectors, kept under the content of what was embedded.

    The key holds the vector of a fixed word, too: other weights under the same name are another embedder.
    """

    def __init__(self, embedder: Embedder, folder: Path | None = None) -> None:
        self.embedder = embedder
        probe = np.round(embedder.embed_query("probe"), 4)
        name = hashlib.sha256(embedder.id.encode() + probe.tobytes()).hexdigest()[:16]
        self._folder = (folder or settings.CACHE_DIR / "evaluation") / name

    def passages(self, texts: Sequence[str], progress: Progress = lambda done, total: None) -> Floats:
        """float32 (n, dimensions); batch by batch, so that a run that is stopped goes on where it was."""
        parts = [np.empty((0, self.embedder.dimensions), np.float32)]
        for at in range(0, len(texts), BATCH):
            parts.append(self._batch(texts[at : at + BATCH]))
            progress(min(at + BATCH, len(texts)), len(texts))
        return np.concatenate(parts)

    def _batch(self, texts: Sequence[str]) -> Floats:
        key = hashlib.sha256("\x00".join(texts).encode("utf-8", "replace")).hexdigest()[:32]
        path = self._folder / f"{key}.npy"
        try:
            found: Floats = np.load(path, allow_pickle=False)
            if found.shape == (len(texts), self.embedder.dimensions):
                return found
        except (OSError, ValueError, EOFError):
            pass  # not there yet, or cut off by a full disk
        found = self.embedder.embed_passages(texts)
        self._folder.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(f".{os.getpid()}.tmp")
        with whole.open("wb") as file:
            np.save(file, found, allow_pickle=False)
        whole.replace(path)
        return found
