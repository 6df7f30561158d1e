"""Other ways to use what was trained here: one transformers folder, or a model of Ollama."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from llm.adapters import Adapter

from . import local_base, local_texts
from .errors import JobFailed

CREATE_SECONDS = 600.0


def merge(*, adapter: Adapter, folder: Path) -> Path:
    """Base and adapter as one transformers folder, for `huggingface:FOLDER` and other programs. Raises JobFailed."""
    if folder.exists():
        raise JobFailed("exists", _("The folder %(folder)s is there already.") % {"folder": folder})
    command = [sys.executable, "-m", "training.finetune.trainer_merge"]
    command += [str(adapter.folder), str(adapter.base), str(folder.absolute())]
    done = subprocess.run(  # noqa: S603 - our own module
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    try:
        told = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        detail = (done.stderr.strip().rpartition("\n")[2] or _("it ended without a word"))[:200]
        told = {"code": "other", "values": {"detail": detail}}
    if told["code"]:
        raise JobFailed(told["code"], local_texts.sentence(told["code"], told["values"]))
    return folder


def to_ollama(*, adapter: Adapter, name: str) -> str:
    """Gives Ollama the base's GGUF file and the adapter, as one model; its id for COACH_MODELS. Raises JobFailed."""
    try:
        with httpx.Client(
            base_url=settings.OLLAMA_BASE_URL.rstrip("/"), timeout=CREATE_SECONDS, trust_env=False
        ) as api:
            files = {part: {path.name: _upload(api, path)} for part, path in _parts(adapter).items()}
            body = {"model": name, "stream": False, **files}
            answer = api.post("/api/create", json=body)
            answer.raise_for_status()
            status = answer.json().get("status")
    except httpx.HTTPStatusError as error:
        raise JobFailed(
            "ollama", _("Ollama refused the model: %(why)s") % {"why": error.response.text[:200]}
        ) from error
    except (httpx.HTTPError, ValueError) as error:
        raise JobFailed(
            "ollama", _("The Ollama at %(url)s does not answer; start it.") % {"url": settings.OLLAMA_BASE_URL}
        ) from error
    if status != "success":
        raise JobFailed("ollama", _("Ollama refused the model: %(why)s") % {"why": status})
    return f"ollama:{name}"


def _parts(adapter: Adapter) -> dict[str, Path]:
    return {"files": adapter.base, "adapters": adapter.file}


def _upload(api: httpx.Client, path: Path) -> str:
    """The file's digest; nothing is sent when Ollama has it already."""
    digest = f"sha256:{local_base.sha256(path)}"
    if api.head(f"/api/blobs/{digest}").status_code != 200:
        with path.open("rb") as file:
            api.post(f"/api/blobs/{digest}", content=file).raise_for_status()
    return digest
