"""The LocalModelManager: what is installed, what fits this machine, what may be removed.

Fetching is in fetching.py (at once) and pulls.py (by a worker), trying a model out in trial.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from .catalogue import Entry, LocalFile, entries, find, models_dir
from .download import discard, is_present, ollama, part_bytes, snapshot
from .embedded import adapter_servers, embedded_server
from .errors import UnknownModel
from .fetching import Wanted, own_file, wanted
from .local_errors import BadFile, InUse, NotInstalled
from .machine import Machine, this_machine
from .models import LiveOrder, ModelPull
from .policy import EMBEDDED, ollama_chat_model
from .registry import parse_models
from .types import ModelId

RECOMMENDED = 3
_further_orders: list[Callable[[], Iterable[str]]] = []


@dataclass(frozen=True, slots=True)
class Installed:
    """A model on this machine. `model` is how COACH_MODELS names it; `entry` its name in the catalogue, or ''.

    checked   its hash was compared after it came (Ollama and the hub's cache do that themselves)
    in_use    an order of language models names it, or the embedded server has loaded it
    """

    model: str
    title: str
    provider: str
    bytes: int
    entry: str
    checked: bool
    in_use: bool
    detail: str = ""


def installed() -> list[Installed]:
    """Everything there is; asks Ollama, which may take 2 s when it hangs."""
    used = names_in_use()
    return [*_catalogue_files(used), *_other_files(used), *_of_ollama(used), *_of_the_hub(used)]


def recommend(machine: Machine | None = None, most: int = RECOMMENDED) -> list[Entry]:
    """The catalogue's best for this machine, best first; the rule of what fits and is quick is in machine.py.

    Better is: more of the four languages, no thinking aloud before the answer, not made for code, and then larger.
    Where nothing is quick, the quickest that fits; where nothing fits, nothing.
    """
    here = machine or this_machine()
    fitting = [entry for entry in entries().values() if here.fits_gpu(entry) or here.fits(entry)]
    quick = [entry for entry in fitting if here.fits_gpu(entry) or here.is_quick(entry)]
    if not quick:
        return sorted(fitting, key=lambda entry: entry.bytes)[:1]
    return sorted(quick, key=_worth, reverse=True)[:most]


def ask_too(orders: Callable[[], Iterable[str]]) -> None:
    """Have `names_in_use` heed further orders of models, such as those of coaches; this floor knows no coaches."""
    _further_orders.append(orders)


def names_in_use() -> set[str]:
    """Models that COACH_MODELS, the newest LiveOrder or a coach names, or that answer when neither of the first two
    names any."""
    open_rows = LiveOrder.objects.filter(ended=None)
    order = open_rows.filter(front=False).order_by("-pk").values_list("order", flat=True).first() or ""
    promoted = open_rows.filter(front=True).values_list("order", flat=True)
    named: list[ModelId] = []
    for text in (settings.COACH_MODELS, order):
        try:
            named += parse_models(text)
        except UnknownModel:  # an older order with a name that is gone
            continue
    if not named:
        name = ollama_chat_model()
        named = [ModelId("ollama", name)] if name else []
        named += [EMBEDDED] if embedded_server() else []
    for text in (*promoted, *(text for orders in _further_orders for text in orders())):
        with contextlib.suppress(UnknownModel):
            named += parse_models(text)
    return {_canonical(str(model)) for model in named} | set(_loaded())


def remove(*, model: str) -> str:
    """Delete a model and what an unfinished download of it left; gives its name.

    Raises UnknownModel, NotInstalled, InUse, DownloadError (Ollama does not answer, another process fetches it).
    """
    own = _own_file(model)
    if own is not None:
        return _remove_own(own)
    name = wanted(model)
    if _canonical(str(name)) in names_in_use():
        raise InUse(name)
    if name.provider == "ollama":
        ollama.delete(name.name)
    elif name.provider == "huggingface":
        if not snapshot.repository_folder(name.name).is_dir():
            raise NotInstalled(name)
        snapshot.delete(name.name)
    elif name.entry is not None:
        _remove_file(name, name.entry)
    return str(name)


def file_of(model: str) -> Path | None:
    """The GGUF file of a `llamacpp` model that is here; None for other providers. Raises UnknownModel, NotInstalled."""
    own = _own_file(model)
    if own is not None:
        return own
    name = wanted(model)
    if name.entry is None:
        return None
    if not is_present(name.entry, models_dir()):
        raise NotInstalled(name)
    return models_dir() / name.entry.file


def overview() -> dict[str, Any]:
    """All of it as the command line, the API and the admin panel show it."""
    here, there = this_machine(), installed()
    present = {model.entry for model in there}
    best = [entry.name for entry in recommend(here)]
    return {
        "machine": {**asdict(here), "usable_bytes": here.usable_bytes},
        "installed": [asdict(model) for model in there],
        "catalogue": [entry_data(entry, here, present, best) for entry in entries().values()],
        "recommended": best,
    }


def entry_data(entry: Entry, here: Machine, present: set[str], best: list[str]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "model": f"{entry.provider}:{entry.name}",
        "title": entry.title,
        "ollama": f"ollama:{entry.ollama}" if entry.ollama else "",
        "bytes": entry.bytes,
        "approximate": entry.approximate,
        "sha256": entry.sha256,
        "memory_bytes": entry.memory_bytes,
        "context_tokens": entry.context_tokens,
        "languages": list(entry.languages),
        "licence": entry.licence,
        "capabilities": list(entry.capabilities),
        "note": entry.note,
        "fits": here.fits(entry) or here.fits_gpu(entry),
        "quick": here.is_quick(entry) or here.fits_gpu(entry),
        "recommended": entry.name in best,
        "installed": entry.name in present,
        "partial_bytes": 0 if entry.name in present else part_bytes(entry, models_dir()),
    }


def pull_data(row: ModelPull) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "model": row.model,
        "state": row.state,
        "bytes_done": row.bytes_done,
        "bytes_total": row.bytes_total,
        "error_code": row.error_code,
        "error": row.error,
        "cancelling": row.cancel_requested and row.state in (ModelPull.State.WAITING, ModelPull.State.RUNNING),
    }


def _worth(entry: Entry) -> tuple[int, bool, bool, int]:
    return len(entry.languages), "thinking" not in entry.capabilities, "code" not in entry.capabilities, entry.bytes


def _catalogue_files(used: set[str]) -> Iterator[Installed]:
    for entry in entries().values():
        path, name = models_dir() / entry.file, f"llamacpp:{entry.name}"
        if path.is_file():
            checked = is_present(entry, models_dir())
            yield Installed(name, entry.title, "llamacpp", path.stat().st_size, entry.name, checked, name in used)


def _other_files(used: set[str]) -> Iterator[Installed]:
    known = {entry.file for entry in entries().values()}
    for path in sorted(models_dir().glob("*.gguf")):
        name = f"llamacpp:{path.name}"
        if path.name not in known and path.is_file():
            checked = is_present(own_file(path.name, LocalFile(path), ""), models_dir())
            yield Installed(name, path.stem, "llamacpp", path.stat().st_size, "", checked, name in used)


def _of_ollama(used: set[str]) -> Iterator[Installed]:
    by_tag = {entry.ollama: entry.name for entry in entries().values() if entry.ollama}
    for model in ollama.installed():
        name = f"ollama:{model.name}"
        entry = by_tag.get(model.name, "")
        yield Installed(name, model.name, "ollama", model.bytes, entry, True, _canonical(name) in used, model.detail)


def _of_the_hub(used: set[str]) -> Iterator[Installed]:
    for repo, size in snapshot.installed():
        name = f"huggingface:{repo}"
        yield Installed(name, repo, "huggingface", size, "", True, name in used)


def _canonical(name: str) -> str:
    """One spelling: Ollama's `:latest` said, `llamacpp` with its name, a path in the models folder by its entry."""
    provider, _colon, rest = name.partition(":")
    if provider == "ollama":
        return name if ":" in rest else f"{name}:latest"
    if provider == "llamacpp":
        entry = find(rest)
        return f"llamacpp:{entry.name}" if entry else _name_of_file(Path(rest).expanduser())
    return name


def _name_of_file(path: Path) -> str:
    if path.parent not in (models_dir(), Path()):
        return f"llamacpp:{path}"
    by_file = {entry.file: entry.name for entry in entries().values()}
    return f"llamacpp:{by_file.get(path.name, path.name)}"


def _loaded() -> Iterator[str]:
    """What the embedded server runs, and those of adapters: their files must stay."""
    server = embedded_server()
    if server is not None and server.model:
        yield _name_of_file(Path(server.model))
    yield from {_name_of_file(Path(beside.model)) for beside in adapter_servers().values()}


def _own_file(model: str) -> Path | None:
    """A file in the models folder that is no entry of the catalogue, by its bare name."""
    name = model.strip().removeprefix("llamacpp:")
    path = models_dir() / name
    known = {entry.file for entry in entries().values()}
    if Path(name).name != name or not name.lower().endswith(".gguf") or name in known or not path.is_file():
        return None
    return path


def _remove_own(path: Path) -> str:
    name = f"llamacpp:{path.name}"
    if name in names_in_use():
        raise InUse(name)
    path.unlink()
    path.with_name(f".{path.name}.ok").unlink(missing_ok=True)
    return name


def _remove_file(name: Wanted, entry: Entry) -> None:
    if not (models_dir() / entry.file).exists() and not part_bytes(entry, models_dir()):
        raise NotInstalled(name)
    discard(entry, models_dir())


def refuse_a_wrong_hash_text(sha256: str) -> None:
    """Raises BadFile unless it is 64 hexadecimal digits."""
    if len(sha256) != 64 or any(digit not in "0123456789abcdef" for digit in sha256.lower()):
        raise BadFile(_("A SHA-256 has 64 hexadecimal digits."))
