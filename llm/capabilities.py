"""What a language model can do, from its adapter and the catalogue.

What nobody states counts as possible: a model is never passed over because of what is not known about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .catalogue import Entry, entries
from .embedded import adapter_name, served_by
from .tokens import fits
from .types import ChatRequest, LanguageModel, ModelId

JSON, TOOLS, VISION = "json", "tools", "vision"
# By plain prompt every model can be asked for JSON; guided mode only quotes.
_UNSTATED = frozenset({JSON, TOOLS, VISION})
_NO_FEATURES: frozenset[str] = frozenset()
# Slots of the embedded server (llm/llamacpp_server.py); what Ollama, the cloud and others can take is their business.
_SLOTS = {"llamacpp": 4}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`context_tokens` for prompt and answer together; no languages stated means that it may speak any."""

    context_tokens: int
    languages: frozenset[str]
    features: frozenset[str]


def capabilities(model: LanguageModel) -> Capabilities:
    entry = _entry(model.id)
    return Capabilities(
        context_tokens=model.context_tokens,
        languages=frozenset(entry.languages) if entry else _NO_FEATURES,
        features=_features(model.id, entry),
    )


def has_features(model: LanguageModel, request: ChatRequest) -> bool:
    return not request.needs or request.needs <= _features(model.id, _entry(model.id))


def has_room(model: LanguageModel, request: ChatRequest) -> bool:
    """True too when the prompt could be made shorter."""
    return request.shorter is not None or fits(request, model.context_tokens)


def speaks(model: LanguageModel, language: str) -> bool:
    entry = _entry(model.id)
    return entry is None or not entry.languages or language in entry.languages


def slots(model_id: ModelId) -> int | None:
    """How many answers it gives at once; None when that is not known."""
    return _SLOTS.get(model_id.provider)


def _features(model_id: ModelId, entry: Entry | None) -> frozenset[str]:
    if model_id.provider == "guided":
        return _NO_FEATURES
    stated = getattr(entry, "capabilities", None)
    return frozenset(stated) | {JSON} if stated else _UNSTATED


def _entry(model_id: ModelId) -> Entry | None:
    name = model_id.name
    if model_id.provider == "llamacpp" and (not name or adapter_name(model_id)):
        server = served_by(model_id)
        name = server.model if server else ""
    return _named(name) if name else None


@lru_cache(maxsize=256)
def _named(name: str) -> Entry | None:
    """By its name in the catalogue, or the name of its file with or without ending and folder."""
    file = Path(name).name
    for entry in entries().values():
        if name in (entry.name, entry.ollama) or file in (entry.file, Path(entry.file).stem):
            return entry
    return None
