"""`sentence-transformers-onnx:NAME-OR-PATH`: a model of sentence-transformers by its ONNX file, without torch.

Most of these models publish one beside their weights (`onnx/model.onnx`), and smaller ones for some processors: name
such a file after the model, `sentence-transformers-onnx:NAME@onnx/model_qint8_avx512_vnni.onnx`. The library's own
ONNX backend needs optimum, which is a major version behind on transformers (optimum-onnx 0.1, November 2026); the
folder holds all that is needed: tokenizer, pooling, prompts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from django.conf import settings

from .errors import EmbedderUnavailable
from .types import Floats

USUAL_FILE = "onnx/model.onnx"
BATCH = 8  # as with torch: larger batches pad more than they gain
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


def named(name: str) -> OnnxEmbedder:
    """A model by its hub name or folder, with `@FILE` for another ONNX file of it. Raises EmbedderUnavailable."""
    source, _, file = name.partition("@")
    return OnnxEmbedder(f"sentence-transformers-onnx:{name}", _folder(source, file or USUAL_FILE), file or USUAL_FILE)


def _folder(source: str, file: str) -> Path:
    if Path(source).expanduser().is_dir():
        return Path(source).expanduser()
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        wanted = ["*.json", "1_Pooling/*", file, f"{file}_data"]
        return Path(
            snapshot_download(
                source, cache_dir=settings.CACHE_DIR, allow_patterns=wanted, local_files_only=settings.OFFLINE
            )
        )
    except ImportError as error:
        raise EmbedderUnavailable(f"The embedder {source} needs the package huggingface_hub.") from error
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise EmbedderUnavailable(f"The embedder {source} could not be fetched: {error}") from error


class OnnxEmbedder:
    """Safe to use from several threads. Vectors are float32 and L2-normalised, whatever the model's last step is."""

    def __init__(self, id_: str, folder: Path, file: str = USUAL_FILE) -> None:
        """Opens a model's folder. Raises EmbedderUnavailable when something of it is missing or of another kind."""
        self.id = id_
        try:
            self._pooling = _pooling(folder)
            self.max_tokens = int(_read(folder / "sentence_bert_config.json").get("max_seq_length") or 512)
            self._prompts: dict[str, str] = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
            self._tokenizer = _tokenizer(folder)
            self._session = _session(folder / file)
            self._cores = Lock()  # one batch takes them all
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EmbedderUnavailable(f"The embedder {id_} could not be loaded: {error}") from error
        self._inputs = {one.name for one in self._session.get_inputs()}
        self.dimensions = int(self._encode([""]).shape[1])

    def embed_passages(self, texts: Sequence[str]) -> Floats:
        prompt = self._prompts.get("passage") or self._prompts.get("document") or ""
        # Neighbours in length share a batch: little is padded.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        with self._cores:
            for first in range(0, len(order), BATCH):
                some = order[first : first + BATCH]
                vectors[some] = self._encode([prompt + texts[at] for at in some])
        return vectors

    def embed_query(self, text: str) -> Floats:
        vector: Floats = self._encode([self._prompts.get("query", "") + text])[0]
        return vector

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text).ids)

    def _encode(self, texts: list[str]) -> Floats:
        encoded = [self._tokenizer.encode(text) for text in texts]
        length = max(1, min(self.max_tokens, max(len(one.ids) for one in encoded)))
        ids, mask = np.zeros((len(texts), length), np.int64), np.zeros((len(texts), length), np.int64)
        for row, one in enumerate(encoded):
            kept = _shortened(one.ids, length)
            ids[row, : len(kept)], mask[row, : len(kept)] = kept, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            tokens = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise EmbedderUnavailable(f"The embedder {self.id} failed: {error}") from error
        return _pooled(np.asarray(tokens, np.float32), mask, self._pooling)


def _shortened(ids: list[int], length: int) -> list[int]:
    """The beginning, with the mark that ends it."""
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def _pooled(tokens: Floats, mask: Any, pooling: str) -> Floats:
    """Vectors (n, dimensions) of token vectors (n, length, dimensions)."""
    if pooling == "cls":
        vectors = tokens[:, 0]
    else:
        weights = mask[:, :, None].astype(np.float32)
        vectors = (tokens * weights).sum(1) / np.maximum(weights.sum(1), 1.0)
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / norms, np.float32)


def _pooling(folder: Path) -> str:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    if set(kinds) - {"Transformer", "Pooling", "Normalize"} or "Pooling" not in kinds:
        raise ValueError(f"it is built of {', '.join(kinds)}, which only torch can run")
    found = _read(folder / str(modules[kinds.index("Pooling")]["path"]) / "config.json")
    chosen = [name for key, name in POOLINGS.items() if found.get(key)]
    if found.get("pooling_mode") in POOLINGS.values():
        chosen = [str(found["pooling_mode"])]
    if len(chosen) != 1:
        raise ValueError("its way of pooling is neither the mean nor the first token")
    return chosen[0]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    if not (folder / "tokenizer.json").is_file():
        raise ValueError("it has no tokenizer.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _session(path: Path) -> Any:
    import onnxruntime

    if not path.is_file():
        raise ValueError(f"it has no {path.name}; name its ONNX file after @, or use sentence-transformers: instead")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(4, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ValueError(str(error)) from error
