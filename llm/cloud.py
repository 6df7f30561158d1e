"""Which language models compute outside this network: people are told before they write."""

from __future__ import annotations

from django.conf import settings

from .providers.places import place_of
from .registry import parse_models
from .types import ModelId, Place

OPENAI_URL = "https://api.openai.com/v1"


def cloud_models(policy_text: str = "") -> list[ModelId]:
    """The models of a coach's own list (else of COACH_MODELS) that run in a cloud. Asks no server."""
    named = parse_models(policy_text) or parse_models(settings.COACH_MODELS)
    return [model for model in named if _place(model) is Place.CLOUD]


def _place(model: ModelId) -> Place:
    addresses = {"openai": settings.OPENAI_BASE_URL or OPENAI_URL, "ollama": settings.OLLAMA_BASE_URL}
    return place_of(addresses[model.provider]) if model.provider in addresses else Place.LOCAL
