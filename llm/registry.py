"""Which language models there are, by provider.

A provider is one file in `llm/providers/`; it is imported when the first of its models is asked for.
To add one: write the file with a factory `(ModelId) -> LanguageModel`, and name it in PROVIDERS.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from django.utils.translation import gettext as _

from .errors import UnknownModel
from .types import LanguageModel, ModelId

PROVIDERS: dict[str, str] = {
    "llamacpp": "llm.providers.llamacpp:LlamaCppModel",
    "ollama": "llm.providers.ollama:ollama_model",
    "openai": "llm.providers.openai:openai_model",
    "guided": "llm.providers.guided:GuidedMode",
}
WITHOUT_ADAPTER = frozenset({"huggingface", "huggingface-endpoint", "gpt4all"})
_NAME_NEEDED = frozenset({"ollama", "openai"})


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
    if provider in WITHOUT_ADAPTER:
        raise UnknownModel(
            _("%(model)s cannot be used: this build has no adapter for %(provider)s yet.")
            % {"model": text, "provider": provider}
        )
    if provider not in PROVIDERS:
        raise UnknownModel(
            _("%(model)s names no known provider; use one of %(providers)s.")
            % {"model": repr(text), "providers": ", ".join(sorted(PROVIDERS))}
        )
    if provider in _NAME_NEEDED and not name:
        raise UnknownModel(
            _("%(provider)s needs a model name, for example %(example)s.")
            % {
                "provider": provider,
                "example": f"{provider}:llama3.1" if provider == "ollama" else "openai:gpt-4o-mini",
            }
        )
    if provider == "guided" and name:
        raise UnknownModel(_("guided is written without a name, not %(model)s.") % {"model": repr(text)})
    return ModelId(provider, name)


@lru_cache(maxsize=256)
def language_model(model_id: ModelId) -> LanguageModel:
    """The one adapter of this model in this process. Raises UnknownModel, or ModelUnavailable without its package."""
    try:
        module_name, factory_name = PROVIDERS[model_id.provider].split(":")
    except KeyError as error:
        raise UnknownModel(_("No provider is called %(provider)s.") % {"provider": model_id.provider}) from error
    factory = cast(Callable[[ModelId], LanguageModel], getattr(importlib.import_module(module_name), factory_name))
    return factory(model_id)
