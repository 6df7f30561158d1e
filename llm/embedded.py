"""Where the embedded llama.cpp server of this installation listens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from config.services import read_services, services_file

from .types import ModelId

DEFAULT_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """`url` without a path, the key it asks for, the GGUF it loaded, and the tokens one conversation may hold."""

    url: str
    key: str = ""
    model: str = ""
    context_tokens: int = DEFAULT_CONTEXT


def shown_name(model_id: ModelId) -> str:
    """How people see a model: the embedded one by what the server loaded, never by a path of this machine."""
    if model_id.provider != "llamacpp":
        return str(model_id)
    server = embedded_server()
    name = (server.model if server else "") or model_id.name
    short = Path(name).stem if name.endswith(".gguf") else name
    return f"llamacpp:{short}" if short else "llamacpp"


_seen: tuple[Path, int, EmbeddedServer | None] | None = None


def embedded_server() -> EmbeddedServer | None:
    """The server as `up` wrote it last, so that a restart on another port is noticed; None when there is none.

    Costs one `stat` while the file is unchanged. Without the file, what the settings found at the start counts.
    """
    global _seen
    path = services_file(settings.DATA_DIR)
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return _from(settings.LLAMACPP_SERVER)
    if _seen is None or _seen[:2] != (path, changed):
        _seen = (path, changed, _from(read_services(settings.DATA_DIR).get("llamacpp")))
    return _seen[2]


def _from(entry: dict[str, Any] | None) -> EmbeddedServer | None:
    if not entry or not entry.get("url"):
        return None
    return EmbeddedServer(
        url=str(entry["url"]).rstrip("/"),
        key=str(entry.get("key") or ""),
        model=str(entry.get("model") or ""),
        context_tokens=int(entry.get("context") or DEFAULT_CONTEXT),
    )
