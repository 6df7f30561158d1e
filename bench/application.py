"""The whole application as its users start it, `manage.py up`, in a data folder and on a port of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 300.0
STOP_SECONDS = 30.0
# Settings of the person who runs it must not reach the application under measurement.
_OWN = (
    "COACH_",
    "OPENAI_",
    "OLLAMA_",
    "REDIS_URL",
    "CHROMA_URL",
    "DATABASE_URL",
    "DJANGO_",
    "PORT",
    "DEBUG",
    "SECRET_KEY",
)


class ApplicationFailed(Exception):
    """The application did not start, or an HTTP call was refused; the message tells what it said."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    token: str


class FakeModel:
    """The fake model server as a process of its own; `url` is what OPENAI_BASE_URL wants."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.fake_model", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=10) as answer:
            return dict(json.load(answer))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Application:
    """A context manager: inside, everything runs and is ready; after it, no process is left.

    `pid` is the process `up`; everything else is below it. `log` holds what it printed.
    """

    def __init__(self, data_dir: Path, environment: Mapping[str, str], *, port: int = 0) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}/ws/chat/"
        self.log = data_dir / "up.txt"
        self.environment = {
            **plain_environment(),
            "COACH_DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._open = ExitStack()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait for `Ready`. Raises ApplicationFailed with what was printed."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        output = self._open.enter_context(self.log.open("ab"))
        offset = self.log.stat().st_size
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while f"Ready: {self.url}" not in self.printed()[offset:]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ApplicationFailed(f"The application did not start:\n{self.printed()[offset:]}\n{self.logs()}")
            time.sleep(0.05)

    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logs(self) -> str:
        """The last lines of every process, for the report of a failure."""
        parts = []
        for path in sorted((self.data_dir / "log").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-15:]
            parts += [f"--- {path.name}", *lines]
        return "\n".join(parts)

    def stop(self) -> None:
        """Ctrl-C, and SIGKILL when that does not help."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(10)
        self._open.close()

    # --- talking to it ---------------------------------------------------------------------

    def manage(self, *arguments: str, timeout: float = 300.0) -> str:
        """Standard output of a `manage.py` command of this installation. Raises ApplicationFailed."""
        return self._run([sys.executable, "manage.py", *arguments], timeout=timeout)

    def helper(self, *arguments: str, given: str = "", timeout: float = 300.0) -> Any:
        """The JSON answer of `python -m bench.inside …`, which runs with this installation's settings."""
        return json.loads(self._run([sys.executable, "-m", "bench.inside", *arguments], given=given, timeout=timeout))

    def _run(self, command: Sequence[str], *, given: str = "", timeout: float) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, input=given, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode != 0:
            raise ApplicationFailed(f"{' '.join(command[1:])} failed:\n{done.stderr[-4000:]}")
        return done.stdout

    def people(self, count: int, *, staff: bool = False) -> list[Person]:
        """`count` people with a token each, made on the spot: coachees, or administrators."""
        kind = ["staff"] if staff else []
        return [Person(**entry) for entry in self.helper("people", str(count), *kind)]

    def call(self, method: str, path: str, *, token: str = "", body: Any = None, timeout: float = 30.0) -> Any:
        """A JSON call of the REST API. Raises ApplicationFailed on any status but 2xx."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, token, data, "application/json", timeout)

    def upload(
        self, base: str, files: Mapping[str, bytes], *, token: str, timeout: float = 120.0
    ) -> list[dict[str, Any]]:
        """POST files to a knowledge base; its answer, one entry for each document."""
        edge = "----bench-edge"
        parts = []
        for name, content in files.items():
            head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
            parts.append(head.encode() + content + b"\r\n")
        data = b"".join(parts) + f"--{edge}--\r\n".encode()
        path = f"/api/v1/knowledge-bases/{base}/documents"
        answer = self._send("POST", path, token, data, f"multipart/form-data; boundary={edge}", timeout)
        return list(answer)

    def _send(self, method: str, path: str, token: str, data: bytes | None, kind: str, timeout: float) -> Any:
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", kind)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise ApplicationFailed(f"{method} {path}: {error.code} {said}") from error
        return json.loads(text) if text else None

    def conversation(self, token: str, coach: str = "personal") -> str:
        """The id of a new conversation."""
        return str(self.call("POST", "/api/v1/conversations", token=token, body={"coach": coach})["id"])

    def wait_until_settled(self, *, seconds: float = 120.0) -> None:
        """After documents were read, the worker looks through their indexes, once: two seconds of a core, which half a
        minute later fell into the measure that came first."""
        deadline = time.monotonic() + seconds
        while self.helper("unverified"):
            if time.monotonic() > deadline:
                raise ApplicationFailed(f"The indexes were not looked through after {seconds:.0f} s.")
            time.sleep(1.0)

    def wait_for_documents(self, base: str, *, seconds: float = 600.0) -> dict[str, int]:
        """Documents of a base by state, once none of them waits or is being read."""
        deadline = time.monotonic() + seconds
        while True:
            states = dict(self.helper("documents", base))
            if states and not states.keys() & {"pending", "processing"}:
                return states
            if time.monotonic() > deadline:
                raise ApplicationFailed(f"The documents of {base} are not ready after {seconds:.0f} s: {states}")
            time.sleep(1.0)
