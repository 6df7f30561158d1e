"""Tuned models of the embedded server: LoRA adapters beside the model they were trained on.

    DATA_DIR/adapters/NAME/adapter.gguf, adapter.json     llamacpp:lora/NAME
    DATA_DIR/adapters/wanted.json                         names that shall be loaded, the newest last
    DATA_DIR/run/adapters.json                            where the launcher serves them (llm/embedded.py)

Each loaded adapter has a llama.cpp server of its own beside the one of the base (launcher/adapters.py): the base's is
not touched when one comes or goes, so no answer is lost and to go back is only a change of names. One server for both
would be smaller, but llama.cpp (xllamacpp 2026.10) keeps no adapter with a stored prompt, so a conversation could go
on from what another adapter had read; and it never computes two adapters in one batch, so one conversation would wait
for the other's end.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from .embedded import ADAPTER, adapter_name, adapter_server
from .errors import ModelUnavailable
from .local_models import names_in_use
from .machine import free_memory
from .types import ModelId

MOST = 2  # loaded at the same time: the live one and a candidate
CACHE_BYTES = 1_000_000_000  # beside the file: the cache of its conversations and buffers
SMALL_CACHE_BYTES = 400_000_000  # the same of a model below half a gigabyte
POLL_SECONDS = 0.2
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


@dataclass(frozen=True, slots=True)
class Adapter:
    """`base` is the GGUF file it was trained on, with its SHA-256; `facts` what the trainer recorded."""

    name: str
    base: Path
    base_sha256: str
    facts: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return adapters_dir() / self.name

    @property
    def file(self) -> Path:
        return self.folder / "adapter.gguf"


def adapters_dir() -> Path:
    return Path(settings.DATA_DIR) / "adapters"


def model_id(name: str) -> ModelId:
    return ModelId("llamacpp", ADAPTER + name)


def find(name: str) -> Adapter | None:
    try:
        kept = json.loads((adapters_dir() / name / "adapter.json").read_text(encoding="utf-8"))
        return Adapter(name, Path(kept["base"]), str(kept["base_sha256"]), kept.get("facts") or {})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def installed() -> list[Adapter]:
    names = sorted(path.parent.name for path in adapters_dir().glob("*/adapter.json"))
    return [adapter for adapter in map(find, names) if adapter]


def install(*, name: str, source: Path, base: str, base_sha256: str, facts: Mapping[str, Any]) -> Adapter:
    """Moves the folder `source` with its adapter.gguf to the adapters; it appears at once with all that it needs.

    `base` is a GGUF file, or what transformers calls the model. Raises ModelUnavailable when there is one of
    this name, OSError.
    """
    if not _NAME.fullmatch(name):
        raise ModelUnavailable(_("%(name)s is no name of an adapter.") % {"name": name})
    home = adapters_dir() / name
    if home.exists():
        raise ModelUnavailable(_("There is an adapter called %(name)s already.") % {"name": name})
    size = Path(base).stat().st_size if base_sha256 else 0
    kept = {"base": base, "base_sha256": base_sha256, "base_bytes": size, "facts": dict(facts)}
    (source / "adapter.json").write_text(json.dumps({"name": name, **kept}, indent=1), encoding="utf-8")
    home.parent.mkdir(parents=True, exist_ok=True)
    source.rename(home)
    return Adapter(name, Path(base), base_sha256, facts)


def remove(*, name: str) -> None:
    """Unload and delete it. The caller knows that nobody uses it."""
    unload(name=name)
    if _NAME.fullmatch(name):
        shutil.rmtree(adapters_dir() / name, ignore_errors=True)


def load(*, name: str) -> Adapter:
    """Ask the launcher to serve this adapter; it is there some seconds later (`wait`). It stays over restarts.

    What is loaded beyond MOST and not in use is unloaded. Raises ModelUnavailable with one sentence: it is gone, its
    base is gone or another file than it was trained on, or there is no memory or room for one more.
    """
    adapter = find(name)
    if adapter is None or not adapter.file.is_file():
        raise ModelUnavailable(_("There is no adapter called %(name)s; train it again.") % {"name": name})
    _check_base(adapter)
    with _wanted() as names:
        if name in names:
            return adapter
        used = names_in_use()
        for old in list(names):
            if len(names) >= MOST and str(model_id(old)) not in used:
                names.remove(old)
        if len(names) >= MOST:
            raise ModelUnavailable(
                _("%(count)s tuned models are loaded and in use; take one of them out of use first.")
                % {"count": len(names)}
            )
        _check_memory(adapter)
        names.append(name)
    return adapter


def unload(*, name: str) -> None:
    """The launcher lets its running answers end, then stops its server."""
    with _wanted() as names, suppress(ValueError):
        names.remove(name)


def wanted() -> list[str]:
    """Names that shall be loaded, the newest last."""
    try:
        found = json.loads((adapters_dir() / "wanted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def wait(*, name: str, seconds: float) -> bool:
    """Blocks until the adapter is served, at most `seconds`; whether it is."""
    deadline = time.monotonic() + seconds
    while adapter_server(name) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def check_loaded(*, model: ModelId) -> None:
    """For who wants to put a model live. Raises ModelUnavailable when it is an adapter that is not served now."""
    name = adapter_name(model)
    if name and adapter_server(name) is None:
        raise ModelUnavailable(_("The adapter %(name)s is not loaded.") % {"name": name})


def _check_base(adapter: Adapter) -> None:
    base = adapter.base
    if not base.is_file():
        raise ModelUnavailable(
            _("The adapter %(name)s was trained on %(base)s, which is not here any more; fetch it again.")
            % {"name": adapter.name, "base": adapter.base.name}
        )
    with base.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == adapter.base_sha256
    if not same:
        raise ModelUnavailable(
            _("The adapter %(name)s was trained on another model than the file %(base)s that is here now.")
            % {"name": adapter.name, "base": base.name}
        )


def _check_memory(adapter: Adapter) -> None:
    size = adapter.base.stat().st_size
    needed = size + (CACHE_BYTES if size > CACHE_BYTES // 2 else SMALL_CACHE_BYTES)
    free = free_memory()
    if free and needed > free:
        raise ModelUnavailable(
            _("The adapter %(name)s needs %(needed).1f GB of memory, but only %(free).1f GB are free.")
            % {"name": adapter.name, "needed": needed / 1e9, "free": free / 1e9}
        )


@contextmanager
def _wanted() -> Iterator[list[str]]:
    """The list, to be changed by one process at a time; written when the block ends well."""
    home = adapters_dir()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "wanted.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = wanted()
        before = list(names)
        yield names
        if names != before:
            fresh = home / "wanted.json.new"
            fresh.write_text(json.dumps(names), encoding="utf-8")
            fresh.replace(home / "wanted.json")
