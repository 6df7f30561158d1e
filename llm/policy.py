"""Which language models are asked, in which order.

What an administrator switched to (llm/live_order.py), else what COACH_MODELS says; else a running Ollama with
a chat model, then the embedded model; guided mode is always last. For a coach's conversation, models that were
promoted stand in front of them. A cloud model is only ever used when somebody named it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings

from . import endpoints
from .embedded import embedded_server
from .errors import LanguageModelError
from .live_order import in_front, live_models
from .registry import language_model, parse_models
from .types import ModelId

log = logging.getLogger(__name__)

GUIDED = ModelId("guided")
EMBEDDED = ModelId("llamacpp")
OLLAMA_TIMEOUT = 0.5
OLLAMA_REMEMBERED = 30.0
# Ollama lists embedding models beside chat models; these families and names cannot chat.
_EMBEDDING_FAMILIES = ("bert",)
_EMBEDDING_NAMES = ("embed", "minilm", "bge", "e5-", "rerank")

_ollama: tuple[str, float, str] | None = None


def default_models() -> list[ModelId]:
    """The installation's models in order, `guided` last.

    May wait up to 0.5 s for Ollama, once in 30 s: call it from a thread in async code.
    Raises UnknownModel when COACH_MODELS is malformed.
    """
    return resolve("")


def resolve(policy_text: str, *, coach: str = "", conversation: UUID | None = None) -> list[ModelId]:
    """The same for a coach's own list; an empty one means the installation's. Raises UnknownModel.

    With a coach (slug) and a conversation, what is promoted for it stands in front; the rest is its fallback.
    """
    own = parse_models(policy_text)
    named = own or live_models() or parse_models(settings.COACH_MODELS)
    promoted = in_front(coach=coach, conversation=conversation, own_list=bool(own)) if conversation else []
    endpoints.refresh_for([*promoted, *named])
    models = dict.fromkeys([*promoted, *(named or _found_here())])
    return [*(model for model in models if model != GUIDED), GUIDED]


def _found_here() -> list[ModelId]:
    models = []
    name = ollama_chat_model()
    if name:
        models.append(ModelId("ollama", name))
    if embedded_server() is not None:
        models.append(EMBEDDED)
    return models


def load_models() -> None:
    """Import what the usual models need before the first question does (LangChain: 1–2 s). Blocks."""
    for model in default_models():
        with contextlib.suppress(LanguageModelError):
            language_model(model)


def ollama_chat_model() -> str:
    """The newest local chat model of the Ollama at OLLAMA_BASE_URL; '' when none runs. Remembered for 30 s."""
    global _ollama
    url = settings.OLLAMA_BASE_URL.rstrip("/")
    now = time.monotonic()
    if _ollama is None or _ollama[0] != url or now - _ollama[1] > OLLAMA_REMEMBERED:
        _ollama = (url, now, _ask_ollama(url))
    return _ollama[2]


def forget() -> None:
    """Ask Ollama again next time."""
    global _ollama
    _ollama = None


def _ask_ollama(url: str) -> str:
    try:
        answer = httpx.get(f"{url}/api/tags", timeout=OLLAMA_TIMEOUT, trust_env=False)
        answer.raise_for_status()
        listed = answer.json()["models"]
        return next((str(model["name"]) for model in listed if _can_chat_here(model)), "")
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.debug("no Ollama at %s: %s", url, error)
        return ""


def _can_chat_here(model: dict[str, Any]) -> bool:
    """False for embedding models, and for models that Ollama would only pass on to a cloud."""
    name = str(model["name"]).lower()
    details = model.get("details") or {}
    families = [str(family).lower() for family in details.get("families") or [details.get("family") or ""]]
    capabilities = model.get("capabilities")
    if model.get("remote_host") or model.get("remote_model") or name.endswith(("-cloud", ":cloud")):
        return False
    if capabilities:
        return "completion" in capabilities
    return not any(word in name for word in _EMBEDDING_NAMES) and not any(
        word in family for family in families for word in _EMBEDDING_FAMILIES
    )
