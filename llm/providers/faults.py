"""What a provider's failure means to us: from HTTP answers and broken connections to llm/errors.py.

Every sentence says what happened and what to do, and names the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from django.utils.translation import gettext as _

from llm.errors import (
    AuthenticationFailed,
    ContextTooLong,
    LanguageModelError,
    ModelUnavailable,
    RateLimited,
    RequestRefused,
    ServerFailed,
    StreamBroken,
)
from llm.types import ModelId

CONNECT_SECONDS = 2.0
# OpenAI, llama.cpp, vLLM, LM Studio and Ollama, in that order; there is no common code for it.
_CONTEXT_WORDS = (
    "context_length_exceeded",
    "exceed_context_size",
    "maximum context length",
    "context window",
    "context length",
    "context size",
    "prompt is too long",
)
_LONGEST_DETAIL = 300


def from_status(model: ModelId, status: int, text: str, headers: Mapping[str, str] | None = None) -> LanguageModelError:
    """The error for an HTTP status of 400 or above; `text` is the body or the vendor's message."""
    detail = message_in(text)
    names = {"model": model, "detail": detail or status}
    if status in (401, 403):
        return AuthenticationFailed(_("%(model)s refused the key; check its API key in the settings.") % names)
    if status == 404:
        return ModelUnavailable(_("%(model)s was not found on its server: %(detail)s") % names)
    if status == 429:
        return RateLimited(
            _("%(model)s has too many requests or no quota left; wait a little or check the account: %(detail)s")
            % names,
            retry_after=_retry_after(headers or {}),
        )
    if 400 <= status < 500:
        if any(word in text.lower() for word in _CONTEXT_WORDS):
            return ContextTooLong(_("The conversation is too long for %(model)s; start a new one.") % names)
        return RequestRefused(_("%(model)s refused the request: %(detail)s") % names)
    if status == 503 and "loading model" in text.lower():
        return ModelUnavailable(_("%(model)s is still being loaded; try again in a moment.") % names)
    return ServerFailed(_("The server of %(model)s failed: %(detail)s") % names)


def unreachable(model: ModelId, url: str) -> ModelUnavailable:
    return ModelUnavailable(
        _("%(model)s cannot be reached at %(url)s; check that its server is running.") % {"model": model, "url": url}
    )


def broken(model: ModelId, detail: object = "") -> StreamBroken:
    return StreamBroken(
        _("The answer of %(model)s broke off; try again. %(detail)s") % {"model": model, "detail": _short(str(detail))}
    )


def message_in(text: str) -> str:
    """The human sentence inside an error body of any of the usual shapes, at most 300 characters."""
    try:
        found = json.loads(text)
    except ValueError:
        return _short(text)
    while isinstance(found, dict):
        found = found.get("error") or found.get("message") or found.get("detail") or ""
    return _short(found if isinstance(found, str) else str(found or ""))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_DETAIL else text[: _LONGEST_DETAIL - 1] + "…"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
