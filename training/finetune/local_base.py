"""Which file or folder a job's base model is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from llm.catalogue import find, model_path, models_dir
from llm.embedded import embedded_server
from llm.errors import UnknownModel
from llm.types import ModelId

from .errors import JobFailed
from .local_texts import sentence


@dataclass(frozen=True, slots=True)
class Base:
    """`place` is the path of a GGUF file or of a transformers folder, or a name of the hub; SHA-256 only of a GGUF."""

    place: str
    sha256: str = ""

    @property
    def gguf(self) -> bool:
        return self.place.lower().endswith(".gguf")


def resolve(name: str) -> Base:
    """`llamacpp` (what the embedded server runs), a name of the catalogue, a path, or `huggingface:ORG/NAME`.

    Raises JobFailed when it is not here: nothing is downloaded.
    """
    provider, colon, rest = name.partition(":")
    if provider == "huggingface" and colon:
        return _transformers(rest)
    bare = rest if provider == "llamacpp" and colon else name
    if bare == "llamacpp":
        server = embedded_server()
        bare = server.model if server else ""
    path = _file(bare)
    if path is not None:
        return Base(str(path.resolve()), sha256(path))
    if not bare.lower().endswith(".gguf") and find(bare) is None:
        return _transformers(bare)
    raise JobFailed("model_gone", sentence("model_gone", {"model": Path(bare).name}))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(name: str) -> Path | None:
    try:
        path = model_path(ModelId("llamacpp", name))
    except UnknownModel:
        path = models_dir() / f"{name}.gguf"
    return path if path.is_file() else None


def _transformers(name: str) -> Base:
    """A folder with config.json; any other name is looked up in the hub's cache by the trainer."""
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return Base(str(folder.resolve()))
    if folder.is_absolute() or not name:
        raise JobFailed("model_gone", sentence("model_gone", {"model": folder.name}))
    return Base(name)
