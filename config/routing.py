"""What the ASGI application is made of."""

from __future__ import annotations

from typing import Any

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from servestatic import ServeStaticASGI

from coach.routing import websocket_application, worker_application


class _Worker:
    """Builds the worker's part on its first message, so that the web process never imports it."""

    def __init__(self) -> None:
        self._application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if self._application is None:
            self._application = worker_application()
        return await self._application(scope, receive, send)


def _immutable(_path: str, url: str) -> bool:
    """ManifestStaticFilesStorage puts a hash of the content into the name."""
    name = url.rsplit("/", 1)[-1].split(".")
    return len(name) >= 3 and len(name[-2]) == 12 and all(c in "0123456789abcdef" for c in name[-2])


def build_application(http_application: Any) -> ProtocolTypeRouter:
    static = ServeStaticASGI(
        http_application,
        root=settings.STATIC_ROOT,
        prefix=settings.STATIC_URL,
        autorefresh=settings.DEBUG,
        immutable_file_test=_immutable,
    )
    return ProtocolTypeRouter({"http": static, "websocket": websocket_application, "channel": _Worker()})
