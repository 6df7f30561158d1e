"""Who is at the other end of a websocket: a session cookie, or `Authorization: Bearer TOKEN`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import validate_host
from django.utils import translation
from django.utils.translation import get_supported_language_variant

from accounts.selectors import user_for_token

DENIED = {"type": "websocket.close", "code": 4403}


class SocketAuthentication:
    """Refuses pages of other origins (a browser always sends Origin; scripts do not), then sets
    `scope["user"]`, `scope["token"]` ('' for a session) and `scope["language"]`."""

    def __init__(self, inner: Any) -> None:
        self._by_session = AuthMiddlewareStack(inner)
        self._inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        if not _origin_allowed(headers.get(b"origin", b"").decode("latin1")):
            await send(DENIED)
            return None
        scope["language"] = _language(headers)
        scheme, _, token = headers.get(b"authorization", b"").decode("latin1").partition(" ")
        if scheme.lower() == "bearer":
            scope["token"] = token.strip()
            scope["user"] = await database_sync_to_async(user_for_token)(token.strip())
            return await self._inner(scope, receive, send)
        return await self._by_session(scope, receive, send)


def _origin_allowed(origin: str) -> bool:
    if not origin:
        return True
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return validate_host(f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS)


def _language(headers: dict[bytes, bytes]) -> str:
    """The language cookie of the page, else the browser's first language that we have."""
    cookies = headers.get(b"cookie", b"").decode("latin1").split(";")
    wanted = [c.partition("=")[2].strip() for c in cookies if c.strip().startswith(f"{settings.LANGUAGE_COOKIE_NAME}=")]
    wanted += [
        part.partition(";")[0].strip() for part in headers.get(b"accept-language", b"").decode("latin1").split(",")
    ]
    for code in wanted:
        try:
            return get_supported_language_variant(code.lower()) if code else translation.get_language() or "en"
        except LookupError:
            continue
    return settings.LANGUAGE_CODE
