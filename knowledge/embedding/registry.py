"""COACH_EMBEDDER → an adapter, imported and loaded on first use, one per process and name."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable

from django.conf import settings

from llm.providers.places import OPENAI_URL, ollama_place, place_of
from llm.types import Place

from .errors import EmbedderUnavailable
from .types import Embedder

# name before ':' → module and function; the function gets what follows ':' ('' for none).
REGISTRY: dict[str, str] = {
    "e5-small": "knowledge.embedding.local:e5_small",
    "minilm": "knowledge.embedding.transformer:minilm",
    "sentence-transformers": "knowledge.embedding.transformer:named",
    "sentence-transformers-onnx": "knowledge.embedding.onnx_model:named",
    "ollama": "knowledge.embedding.ollama:named",
    "openai": "knowledge.embedding.openai:named",
}
_NAMELESS = frozenset(["e5-small", "minilm"])

_loaded: dict[str, Embedder] = {}
_lock = threading.Lock()


def embedder(id_: str = "") -> Embedder:
    """The embedder with this id, by default COACH_EMBEDDER's. Raises EmbedderUnavailable."""
    id_ = id_ or settings.COACH_EMBEDDER
    found = _loaded.get(id_)
    if found is None:
        with _lock:
            found = _loaded.get(id_) or _load(id_)
            _loaded[id_] = found
    return found


def check(id_: str) -> str:
    """One sentence that says what is wrong with the id, '' when it is well formed; loads nothing."""
    provider, _, name = id_.partition(":")
    if provider not in REGISTRY:
        known = ", ".join(key if key in _NAMELESS else f"{key}:NAME" for key in REGISTRY)
        return f"COACH_EMBEDDER must be one of {known}, not {id_!r}."
    if (provider in _NAMELESS) == bool(name):
        wanted = provider if provider in _NAMELESS else f"{provider}:NAME"
        return f"COACH_EMBEDDER must read {wanted}, not {id_!r}."
    return ""


def is_cloud(id_: str = "") -> bool:
    """True when texts leave this network to be embedded."""
    provider, _, name = (id_ or settings.COACH_EMBEDDER).partition(":")
    if provider == "openai":
        return place_of(settings.OPENAI_BASE_URL or OPENAI_URL) is Place.CLOUD
    return provider == "ollama" and ollama_place(name, settings.OLLAMA_BASE_URL) is Place.CLOUD


def _load(id_: str) -> Embedder:
    wrong = check(id_)
    if wrong:
        raise EmbedderUnavailable(wrong)
    provider, _, name = id_.partition(":")
    module, function = REGISTRY[provider].split(":")
    make: Callable[[str], Embedder] = getattr(importlib.import_module(module), function)
    return make(name)
