"""Which language models there are, by provider.

A provider is one file in `llm/providers/`; it is imported when the first of its models is asked for.
To add one: write the file with a factory `(ModelId) -> LanguageModel`, and name it in PROVIDERS.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import cast

from django.utils.translation import gettext as _

from .embedded import ADAPTER
from .errors import UnknownModel
from .types import LanguageModel, ModelId

PROVIDERS: dict[str, str] = {
    "llamacpp": "llm.providers.llamacpp:LlamaCppModel",
    "ollama": "llm.providers.ollama:ollama_model",
    "openai": "llm.providers.openai:openai_model",
    "huggingface": "llm.providers.huggingface:huggingface_model",
    "huggingface-endpoint": "llm.providers.huggingface_endpoint:endpoint_model",
    "gpt4all": "llm.providers.gpt4all:gpt4all_model",
    "guided": "llm.providers.guided:GuidedMode",
}
# Providers that need a name, each with an example.
_NAME_NEEDED = {
    "ollama": "ollama:llama3.1",
    "openai": "openai:gpt-4o-mini",
    "huggingface": "huggingface:HuggingFaceTB/SmolLM2-135M-Instruct",
    "huggingface-endpoint": "huggingface-endpoint:meta-llama/Llama-3.1-8B-Instruct",
    "gpt4all": "gpt4all:Meta-Llama-3-8B-Instruct.Q4_0.gguf",
}
# Providers that read GGUF files themselves.
_FILES = frozenset({"llamacpp", "huggingface", "gpt4all"})
_SLUG = re.compile(r"[-\w]+\Z", re.ASCII)


def parse_models(text: str) -> list[ModelId]:
    """The models of a comma-separated list such as `ollama:llama3.1:8b,llamacpp`, in its order, without repeats.

    Everything after the first colon is the name, so names may hold colons; a comma always separates, so a
    GGUF path must not contain one. Raises UnknownModel with one sentence for the person who wrote the list.
    """
    found = [_parse_one(part.strip()) for part in text.split(",") if part.strip()]
    return list(dict.fromkeys(found))


def _parse_one(text: str) -> ModelId:
    provider, _colon, name = (part.strip() for part in text.partition(":"))
    provider = provider.lower()
    if provider not in PROVIDERS:
        raise UnknownModel(
            _("%(model)s names no known provider; use one of %(providers)s.")
            % {"model": repr(text), "providers": ", ".join(sorted(PROVIDERS))}
        )
    if provider in _NAME_NEEDED and not name:
        raise UnknownModel(
            _("%(provider)s needs a model name, for example %(example)s.")
            % {"provider": provider, "example": _NAME_NEEDED[provider]}
        )
    server = name.rpartition("@")
    if provider == "openai" and server[1] and not (server[0] and _SLUG.match(server[2])):
        raise UnknownModel(
            _("%(model)s is not well formed; write openai:NAME@SERVER with the short name of a model server.")
            % {"model": repr(text)}
        )
    if provider == "llamacpp" and name.startswith(ADAPTER) and not _SLUG.match(name.removeprefix(ADAPTER)):
        raise UnknownModel(
            _("%(model)s is not well formed; write llamacpp:lora/NAME with the name of an adapter.")
            % {"model": repr(text)}
        )
    if provider in _FILES and name.lower().endswith(".gguf") and not _may_be_gguf(Path(name).expanduser()):
        raise UnknownModel(_("%(model)s names a file that is not a GGUF model.") % {"model": repr(text)})
    if provider == "guided" and name:
        raise UnknownModel(_("guided is written without a name, not %(model)s.") % {"model": repr(text)})
    return ModelId(provider, name)


def _may_be_gguf(path: Path) -> bool:
    """False for a file that says at its beginning that it is something else; True for one that is not here (yet)."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return True


@lru_cache(maxsize=256)
def language_model(model_id: ModelId) -> LanguageModel:
    """The one adapter of this model in this process. Raises UnknownModel, or ModelUnavailable without its package."""
    try:
        module_name, factory_name = PROVIDERS[model_id.provider].split(":")
    except KeyError as error:
        raise UnknownModel(_("No provider is called %(provider)s.") % {"provider": model_id.provider}) from error
    factory = cast(Callable[[ModelId], LanguageModel], getattr(importlib.import_module(module_name), factory_name))
    return factory(model_id)
