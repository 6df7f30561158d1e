"""A llama.cpp server for the time of a block, where no launcher runs one: for commands."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from .embedded import DEFAULT_CONTEXT, EmbeddedServer, adapters_file
from .errors import ModelUnavailable
from .llamacpp_server import HOST
from .providers.llamacpp import LlamaCppModel
from .types import ModelId

START_SECONDS = 120.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.2


class ModelAt(LlamaCppModel):
    """The adapter of conversations, with this server."""

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__(ModelId("llamacpp"))
        self._chosen = server

    def _server(self) -> EmbeddedServer:
        return self._chosen


@contextmanager
def own_server(model: Path, lora: Path | None = None) -> Iterator[EmbeddedServer]:
    """On loopback, with a key, for one answer at a time. Raises ModelUnavailable when it does not start."""
    key, port = secrets.token_urlsafe(16), _free_port()
    with tempfile.TemporaryDirectory(prefix="coach-model-") as folder:
        key_file, log = Path(folder) / "key", Path(folder) / "log"
        key_file.write_text(key, encoding="ascii")
        command = [sys.executable, "-m", "llm.llamacpp_server", "--model", str(model), "--port", str(port)]
        command += ["--api-key-file", str(key_file), "--parallel", "1", "--cache-ram", "0"]
        command += ["--lora", str(lora)] if lora else []
        with log.open("wb") as output:
            child = subprocess.Popen(  # noqa: S603 - our own module
                command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            _wait(child, f"http://{HOST}:{port}", model)
            yield EmbeddedServer(f"http://{HOST}:{port}", key, str(model), DEFAULT_CONTEXT)
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def as_adapter(name: str, server: EmbeddedServer) -> Iterator[None]:
    """Told of as the launcher would: `llamacpp:lora/NAME` is answered by it, in every process, during the block."""
    path = adapters_file(settings.DATA_DIR)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {name: {"url": server.url, "key": server.key, "model": server.model}}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(told, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def launcher_runs() -> bool:
    """Whether `manage.py up` runs on this data folder: then it is the one to load adapters."""
    try:
        pid = int((Path(settings.DATA_DIR) / "run" / "supervisord.pid").read_text(encoding="ascii"))
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    return True


def _wait(child: subprocess.Popen[bytes], url: str, model: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass  # it is still loading
        time.sleep(POLL_SECONDS)
    raise ModelUnavailable(_("The model server does not start with %(model)s.") % {"model": model.name})


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
