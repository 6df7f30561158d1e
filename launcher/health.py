"""Is a server there? Plain sockets and HTTP, so that the launcher stays small."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import unquote, urlsplit

TIMEOUT_SECONDS = 2.0
_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}


def valkey_ready(path: str) -> bool:
    """True when the server at this unix socket answers PING; False while it loads its append-only file."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(path)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def reachable(url: str) -> bool:
    """True when something accepts connections where `url` points."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect(unquote(parts.path))
            return True
        address = (parts.hostname or "127.0.0.1", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0))
        socket.create_connection(address, TIMEOUT_SECONDS).close()
        return True
    except OSError:
        return False


def get(url: str, key: str = "", seconds: float = TIMEOUT_SECONDS) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 when nobody answers. Proxies of the environment are not used."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(1_000_000)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def chroma_ready(url: str) -> bool:
    return get(f"{url.rstrip('/')}/api/v2/heartbeat")[0] == 200


def model_ready(url: str, key: str) -> bool:
    return get(f"{url}/health", key)[0] == 200


def answers_running(url: str, key: str) -> bool:
    """True while the model server writes or reads for somebody; False too when it does not answer at all."""
    status, body = get(f"{url}/slots", key)
    try:
        return status == 200 and any(slot.get("is_processing") for slot in json.loads(body))
    except (ValueError, AttributeError, TypeError):
        return False


def missing_dependencies(url: str) -> list[str] | None:
    """Names of what `/readyz` misses: [] when all is there, None when the web process does not answer."""
    status, body = get(f"{url}/readyz", seconds=5.0)
    if status == 0:
        return None
    if status == 200:
        return []
    return [name for name, state in _dependencies(_json(body)) if not _is_ok(state)] or ["web"]


def _dependencies(answer: dict[str, Any]) -> list[tuple[str, Any]]:
    for key in ("dependencies", "checks"):
        if isinstance(answer.get(key), dict):
            return list(answer[key].items())
    return [(name, state) for name, state in answer.items() if name not in {"status", "ok", "ready"}]


def _is_ok(state: Any) -> bool:
    if isinstance(state, dict):
        state = state.get("ok", state.get("status"))
    return state is True or state in {"ok", "ready", "up"}


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
