"""Where the embedded llama.cpp server of this installation listens, and those of its adapters (llm/adapters.py)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from config.services import read_services, services_file

from .types import ModelId

DEFAULT_CONTEXT = 4096
ADAPTER = "lora/"  # llamacpp:lora/NAME


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
    if adapter := adapter_name(model_id):
        return f"llamacpp:{adapter}"
    server = embedded_server()
    name = (server.model if server else "") or model_id.name
    short = Path(name).stem if name.endswith(".gguf") else name
    return f"llamacpp:{short}" if short else "llamacpp"


def adapter_name(model_id: ModelId) -> str:
    """NAME of `llamacpp:lora/NAME`; '' for all others."""
    there = model_id.provider == "llamacpp" and model_id.name.startswith(ADAPTER)
    return model_id.name.removeprefix(ADAPTER) if there else ""


def served_by(model_id: ModelId) -> EmbeddedServer | None:
    """The server that answers for a `llamacpp` model, with an adapter or without."""
    adapter = adapter_name(model_id)
    return adapter_server(adapter) if adapter else embedded_server()


_seen: tuple[Path, int, EmbeddedServer | None] | None = None
_adapters_seen: tuple[Path, int, dict[str, EmbeddedServer]] | None = None


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


def adapter_server(name: str) -> EmbeddedServer | None:
    """The server of an adapter; None when it is not loaded. Its `model` is the GGUF file of the base."""
    return adapter_servers().get(name)


def adapter_servers() -> dict[str, EmbeddedServer]:
    """Those of all loaded adapters by name. Costs one `stat` while nothing changed, as above."""
    global _adapters_seen
    path = adapters_file(settings.DATA_DIR)
    try:
        changed = path.stat().st_mtime_ns
        if _adapters_seen is None or _adapters_seen[:2] != (path, changed):
            found = json.loads(path.read_text(encoding="utf-8"))
            servers = {key: server for key, entry in found.items() if (server := _from(entry))}
            _adapters_seen = (path, changed, servers)
    except (OSError, ValueError, AttributeError):
        return {}
    return _adapters_seen[2]


def adapters_file(data_dir: Path) -> Path:
    """As the launcher writes it: `url`, `key`, `model`, `context` by name."""
    return services_file(data_dir).with_name("adapters.json")


def _from(entry: dict[str, Any] | None) -> EmbeddedServer | None:
    if not entry or not entry.get("url"):
        return None
    return EmbeddedServer(
        url=str(entry["url"]).rstrip("/"),
        key=str(entry.get("key") or ""),
        model=str(entry.get("model") or ""),
        context_tokens=int(entry.get("context") or DEFAULT_CONTEXT),
    )
