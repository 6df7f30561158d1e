"""Fetching any local model by the name people write: what it means, and which provider's way it takes.

qwen3-4b, llamacpp:qwen3-4b      a name of the catalogue, as a GGUF file
llamacpp:ORG/REPO/FILE.gguf      any GGUF file of the hub, checked by the hub's own hash
ollama:NAME                      a model of Ollama's library
huggingface:ORG/REPO             a transformers model, into the hub's cache
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from .catalogue import Entry, HubFile, LocalFile, WebFile, Wheels, find, models_dir
from .download import NoNetwork, Progress, fetch, is_present, ollama, refuse_a_full_disk, snapshot
from .errors import UnknownModel

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_FILE = re.compile(rf"({_PART}/{_PART})/((?:{_PART}/)?({_PART}\.gguf))")
_NAMES = {"ollama": re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,150}"), "huggingface": re.compile(rf"{_PART}/{_PART}")}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model somebody asks for. `name` without the provider; `entry` describes the file of a `llamacpp` model."""

    provider: str
    name: str
    entry: Entry | None = None

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}"


def wanted(text: str) -> Wanted:
    """What a name means. Raises UnknownModel with one sentence."""
    provider, colon, name = text.strip().partition(":")
    if not colon:
        provider, name = "llamacpp", text.strip()
    if provider == "llamacpp":
        entry = (find(name) if name else None) or _of_the_hub(name)
        if entry is not None:
            return Wanted(provider, entry.name, entry)
    elif (pattern := _NAMES.get(provider)) and pattern.fullmatch(name) and ".." not in name:
        return Wanted(provider, name)
    raise UnknownModel(
        _("%(model)s is not known; take a name from `manage.py models list`, or write %(forms)s.")
        % {
            "model": repr(text[:100]),
            "forms": "llamacpp:ORG/REPO/FILE.gguf, ollama:NAME, huggingface:ORG/REPO",
        }
    )


def own_file(name: str, source: WebFile | LocalFile, sha256: str) -> Entry:
    """The entry of a file of one's own, called `name` or like the file."""
    file = name if name.lower().endswith(".gguf") else f"{name}.gguf"
    return Entry(file, file, "llamacpp", file, 0, sha256, (), "", 0, 0, "", (source,), approximate=True)


def fetch_model(model: Wanted, progress: Callable[[Progress], None], *, wait: bool = True) -> str:
    """Have the model here when this returns; gives its place, or its name for Ollama.

    What `progress` raises ends it; what came is kept. Raises DownloadError.
    """
    if model.entry is not None:
        return str(fetch(model.entry, models_dir(), progress, offline=settings.OFFLINE, wait=wait))
    refuse_offline(model)

    def report(done: int, total: int, stage: str, safe: bool) -> None:
        progress(Progress(model.name, done, total, stage, safe))

    if model.provider == "ollama":
        ollama.pull(model.name, report)
        return str(model)
    return str(snapshot.fetch_snapshot(model.name, report, wait=wait))


def refuse_early(model: Wanted) -> None:
    """What can be known before anything is fetched. Raises NoNetwork when offline, NotEnoughDisk."""
    if model.entry is None or not any(isinstance(source, Wheels) for source in model.entry.sources):
        refuse_offline(model)
    if model.entry is not None and not is_present(model.entry, models_dir()):
        refuse_a_full_disk(model.name, models_dir(), model.entry.bytes)


def refuse_offline(model: Wanted) -> None:
    if settings.OFFLINE and not (model.entry and is_present(model.entry, models_dir())):
        raise NoNetwork(
            _("%(name)s is not on this machine, and COACH_OFFLINE forbids to fetch it.") % {"name": model.name}
        )


def _of_the_hub(name: str) -> Entry | None:
    found = _HUB_FILE.fullmatch(name)
    if found is None or ".." in name:
        return None
    repo, path, file = found.groups()
    return Entry(
        name,
        file,
        "llamacpp",
        f"{repo.replace('/', '--')}--{file}",
        0,
        "",
        (),
        "",
        0,
        0,
        "",
        (HubFile(repo, path),),
        True,
    )
