"""Which language models compute outside this network: people are told before they write."""

from __future__ import annotations

from django.conf import settings

from . import endpoints
from .live_order import in_front, live_models
from .providers.places import HUGGINGFACE_URL, OPENAI_URL, ollama_place, place_of
from .registry import parse_models
from .types import ModelId, Place


def cloud_models(policy_text: str = "", *, coach: str | None = None) -> list[ModelId]:
    """The models of a coach's own list (else of the order in use) that run in a cloud. Asks no server.

    With a coach (slug), also what is promoted for it, if only for a share of the conversations.
    """
    own = parse_models(policy_text)
    promoted = in_front(coach=coach, conversation=None, own_list=bool(own)) if coach is not None else []
    named = list(dict.fromkeys([*promoted, *(own or live_models() or parse_models(settings.COACH_MODELS))]))
    endpoints.refresh_for(named)
    return [model for model in named if _place(model) is Place.CLOUD]


def cloud_judges() -> list[ModelId]:
    """The judge of COACH_MODERATION, if it is one in a cloud: it is sent every question that is not private."""
    setting = settings.COACH_MODERATION
    judge = ModelId("openai", "omni-moderation-latest") if setting == "openai" else None
    if setting.startswith("guard:"):
        judge = parse_models(setting.removeprefix("guard:"))[0]
    return [judge] if judge is not None and _place(judge) is Place.CLOUD else []


def _place(model: ModelId) -> Place:
    """As the model's adapter says it, without importing the adapter's libraries."""
    slug = endpoints.split_name(model)[1]
    if slug:
        server = endpoints.find(slug)
        return place_of(server.url) if server else Place.CLOUD
    if model.provider == "ollama":
        return ollama_place(model.name, settings.OLLAMA_BASE_URL)
    addresses = {
        "openai": settings.OPENAI_BASE_URL or OPENAI_URL,
        "huggingface-endpoint": settings.HF_BASE_URL or HUGGINGFACE_URL,
    }
    return place_of(addresses[model.provider]) if model.provider in addresses else Place.LOCAL
