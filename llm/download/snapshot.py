"""A transformers model in the hub's own cache, where transformers finds it.

huggingface_hub (2.4) begins a file anew after every stop, and checks no hash. So the weights are fetched like any
other file of the hub (resumed, checked) to the place in the cache that is named after their hash; then
`snapshot_download` adds the small files and links everything. It runs in a child process
(`python -m llm.download.snapshot`): the web and the worker never import it. Only safetensors weights are fetched:
pickled ones could run code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from llm.catalogue import Entry, HubFile

from . import Progress, fetch
from .disk import refuse_a_full_disk
from .errors import DownloadBroken, DownloadError, NoNetwork, NoSource, NotEnoughDisk

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
LEFT_OUT = ("onnx/*", "original/*", "openvino/*", "coreml/*", ".*")
CHILD_SECONDS = 120.0


def cache_folder() -> Path:
    """The hub's cache, as huggingface_hub finds it."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def repository_folder(repo: str) -> Path:
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def installed() -> list[tuple[str, int]]:
    """Repositories in the hub's cache that hold a whole transformers model, with their bytes."""
    found = []
    for folder in sorted(cache_folder().glob("models--*--*")):
        configured = any(folder.glob("snapshots/*/config.json"))
        if configured and any(path.exists() for path in folder.glob("snapshots/*/*.safetensors")):
            found.append((folder.name.removeprefix("models--").replace("--", "/", 1), _bytes_in(folder)))
    return found


def delete(repo: str) -> None:
    shutil.rmtree(repository_folder(repo), ignore_errors=True)


def fetch_snapshot(repo: str, report: Callable[[int, int, str, bool], None], *, wait: bool = True) -> Path:
    """The snapshot's folder. `report` gets what Progress holds; what it raises ends it, and what came is kept.

    Raises errors of this package.
    """
    report(0, 0, "download", False)
    listed = _child(repo, "list")
    files: dict[str, tuple[int, str]] = {name: (size, sha256) for name, size, sha256 in listed["files"]}
    total = sum(size for size, _sha256 in files.values())
    blobs = repository_folder(repo) / "blobs"
    refuse_a_full_disk(repo, blobs, total - _bytes_in(repository_folder(repo)))
    done = 0
    for name, (size, sha256) in files.items():
        if sha256:
            _fetch_blob(repo, name, size, sha256, blobs, _beyond(report, done, total), wait=wait)
            done += size
    report(done, total, "check", False)
    return Path(_child(repo, "finish", listed["revision"])["path"])


def _fetch_blob(
    repo: str, name: str, size: int, sha256: str, blobs: Path, see: Callable[[Progress], None], *, wait: bool
) -> None:
    entry = Entry(
        repo, repo, "huggingface", sha256, size, sha256, (), "as its makers say", 0, 0, "", (HubFile(repo, name),)
    )
    fetch(entry, blobs, see, wait=wait)


def _beyond(report: Callable[[int, int, str, bool], None], done: int, total: int) -> Callable[[Progress], None]:
    """Counts one file's progress on top of the files before it."""
    return lambda progress: report(done + progress.done, total, progress.stage, progress.safe)


def _child(*arguments: str) -> dict[str, Any]:
    """What the child said. Raises the error it named."""
    command = [sys.executable, "-m", "llm.download.snapshot", *arguments]
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter; the name was checked
            command,
            cwd=settings.BASE_DIR,
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoNetwork(_("The model hub cannot be reached from this machine.")) from error
    lines = done.stdout.strip().splitlines()
    said: dict[str, Any] = json.loads(lines[-1]) if lines else {"error": "broken"}
    if "error" in said:
        raise _error(str(said["error"]), arguments[0])
    return said


def _error(kind: str, repo: str) -> DownloadError:
    name = {"name": repo}
    errors: dict[str, DownloadError] = {
        "no_network": NoNetwork(_("The model hub cannot be reached from this machine.")),
        "no_source": NoSource(_("The model hub has no model %(name)s, or not for you.") % name),
        "no_weights": NoSource(_("%(name)s has no safetensors weights, the only kind that is loaded.") % name),
        "disk": NotEnoughDisk(_("The disk became full while %(name)s was fetched; free some space.") % name),
    }
    return errors.get(kind) or DownloadBroken(_("The model hub offers another file than %(name)s.") % name)


def _bytes_in(folder: Path) -> int:
    """Of whole files; those with a dot in the name are on their way, or notes about them."""
    return sum(path.stat().st_size for path in folder.glob("blobs/*") if path.is_file() and "." not in path.name)


# --- the child -----------------------------------------------------------------------------------


def main() -> int:
    """Lists what will be fetched, or fetches what is still missing; says so in one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repo")
    parser.add_argument("action", choices=("list", "finish"))
    parser.add_argument("revision", nargs="?", default="")
    options = parser.parse_args()
    try:
        said = _list(options.repo) if options.action == "list" else _finish(options.repo, options.revision)
    except OSError as error:
        said = {"error": _kind(error)}
    print(json.dumps(said), flush=True)
    return 0


def _list(repo: str) -> dict[str, Any]:
    """Name, size and SHA-256 (of large files, else '') of what will be fetched, and the revision."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import filter_repo_objects

    info = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None).model_info(repo, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or []}
    kept = list(filter_repo_objects(files, allow_patterns=list(PATTERNS), ignore_patterns=list(LEFT_OUT)))
    if not any(name.endswith(".safetensors") for name in kept):
        return {"error": "no_weights"}
    hashes = {name: (lfs.sha256 if (lfs := files[name].lfs) else "") for name in kept}
    return {"files": [[name, int(files[name].size or 0), hashes[name]] for name in kept], "revision": str(info.sha)}


def _finish(repo: str, revision: str) -> dict[str, Any]:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        repo,
        revision=revision,
        allow_patterns=list(PATTERNS),
        ignore_patterns=list(LEFT_OUT),
        endpoint=os.environ.get("HF_ENDPOINT") or None,
        max_workers=2,
    )
    return {"path": str(folder)}


def _kind(error: OSError) -> str:
    import errno

    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError | GatedRepoError):
        return "no_source"
    if isinstance(error, HfHubHTTPError):
        return "broken"
    return "disk" if error.errno == errno.ENOSPC else "no_network"


if __name__ == "__main__":
    sys.exit(main())
