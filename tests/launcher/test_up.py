"""`manage.py up` as a person uses it: the real processes, in guided mode, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.application import plain_environment
from launcher import health
from tests.launcher.processes import mentioning, wait_until_gone
from tests.servers import ROOT, free_port

PATIENCE = 120.0
PROGRAMS = ("valkey", "chroma", "runner", "worker", "web")


class Up:
    """One `manage.py up`; `printed()` is what the person sees."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.data = folder / "data"
        self.port = environment.get("PORT") or str(free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **plain_environment(),
            "COACH_DATA_DIR": str(self.data),
            "COACH_MODELS": "guided",
            "COACH_OFFLINE": "1",
            "PORT": self.port,
            **{name: os.environ[name] for name in ("COACH_CACHE_DIR",) if name in os.environ},
            **environment,
        }
        self._output = folder / f"up-{self.port}.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen:\n{self.printed()}"
            time.sleep(0.05)

    def wait_until_ready(self) -> None:
        self.wait_for("Ready", lambda: self.process.poll() is not None or f"Ready: {self.url}" in self.printed())
        assert self.process.poll() is None, self.printed()

    def pid_of(self, name: str) -> int:
        """The pid of a program, from the process manager's own log."""
        log = (self.data / "log" / "supervisord.log").read_text()
        return int(re.findall(rf"spawned: '{name}' with pid (\d+)", log)[-1])


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[Up]:
    up = Up(folder, **environment)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.process.kill()
        up.process.wait(20)
        assert wait_until_gone(str(up.data), 30) == {}


def leftovers(data: Path) -> list[str]:
    """What a stop must not leave in the run folder."""
    return sorted(
        path.name for path in (data / "run").iterdir() if path.name not in {"ports.json", "model.json"} | BEAT
    )


BEAT = {"beat", "beat.db", "beat.dat", "beat.dir", "beat.bak"}  # the clock's memory: when each job ran last


def test_a_whole_life(folder: Path) -> None:
    """Start, a second start beside it, a killed process, Ctrl-C: one run, because a start takes seconds."""
    with started(folder) as up:
        up.wait_until_ready()
        services = json.loads((up.data / "run" / "services.json").read_text())
        assert services["redis"].startswith("unix://")
        assert stat.S_IMODE((up.data / "run" / "services.json").stat().st_mode) == 0o600
        assert health.missing_dependencies(up.url) == []

        with started(folder, PORT=str(free_port())) as second:
            assert second.process.wait(60) == 1
            assert second.printed().splitlines()[-1] == f"error: AI Coach already runs here: {up.url}"
            assert health.missing_dependencies(up.url) == []
            second.data = folder / "nobody uses this one"

        os.kill(up.pid_of("web"), signal.SIGKILL)
        up.wait_for(
            "the word of the restart", lambda: "The web server had stopped and was started again" in up.printed()
        )
        up.wait_for("the web server's return", lambda: health.missing_dependencies(up.url) == [])

        begun = time.monotonic()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(60) == 0
        print(f"stopped in {time.monotonic() - begun:.1f} s")
        assert mentioning(str(up.data)) == {}
        assert leftovers(up.data) == []
        assert "Traceback" not in up.printed()


def test_nothing_survives_when_up_or_its_process_manager_is_killed(folder: Path) -> None:
    with started(folder) as up:
        up.wait_until_ready()
        assert len(mentioning(str(up.data))) > len(PROGRAMS)

        up.process.kill()
        up.process.wait(20)

        assert wait_until_gone(str(up.data), 30) == {}

    with started(folder) as again:
        again.wait_until_ready()

        os.kill(int((again.data / "run" / "supervisord.pid").read_text()), signal.SIGKILL)

        assert again.process.wait(60) == 1
        assert "error: The process manager was killed; everything is stopped" in again.printed()
        assert wait_until_gone(str(again.data), 30) == {}
        assert leftovers(again.data) == []


def test_a_second_ctrl_c_does_not_wait(folder: Path) -> None:
    with started(folder) as up:
        up.wait_for("the first process", lambda: (up.data / "run" / "services.json").exists())
        up.process.send_signal(signal.SIGTERM)
        up.wait_for("the stopping", lambda: "Stopping" in up.printed() or up.process.poll() is not None)
        up.process.send_signal(signal.SIGINT)

        # A shell calls it 130, too, when the interrupt itself ends the process.
        assert up.process.wait(30) in {0, 130, -signal.SIGINT}
        assert wait_until_gone(str(up.data), 10) == {}
        assert leftovers(up.data) == []


def test_two_signals_at_once_leave_nothing_either(folder: Path) -> None:
    """The second one came before the first one had said what it does, and ended the process without tidying up."""
    with started(folder) as up:
        up.wait_for("the first process", lambda: (up.data / "run" / "services.json").exists())
        up.process.send_signal(signal.SIGTERM)
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(30) in {0, 130}
        assert wait_until_gone(str(up.data), 10) == {}
        assert leftovers(up.data) == []


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PORT": "eighty"}, "error: PORT must be a whole number from 1 to 65535, not 'eighty'."),
        ({"COACH_GUESTS": "maybe"}, "error: COACH_GUESTS must be 1 or 0, not 'maybe'."),
        (
            {"REDIS_URL": "redis://:secret@127.0.0.1:9/0"},
            "error: REDIS_URL names a server that does not answer (127.0.0.1:9/0); start it or correct REDIS_URL.",
        ),
        (
            {"CHROMA_URL": "http://127.0.0.1:9"},
            "error: CHROMA_URL names a server that does not answer (http://127.0.0.1:9); "
            "start it or correct CHROMA_URL.",
        ),
        (
            {"DATABASE_URL": "postgres://127.0.0.1:9/coach"},
            "error: The database cannot be used",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(folder: Path, environment: dict[str, str], sentence: str) -> None:
    with started(folder, **environment) as up:
        assert up.process.wait(60) == 1
        last = [line for line in up.printed().splitlines() if line.strip()][-1]
        assert last.startswith(sentence)
        assert "Traceback" not in up.printed()
        if (up.data / "run").exists():
            assert leftovers(up.data) == []


def test_a_port_in_use_is_one_sentence(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with started(folder, PORT=str(port)) as up:
            assert up.process.wait(60) == 1
            assert f"error: Port {port} is in use by another program; start with PORT=8010 make run" in up.printed()
            assert leftovers(up.data) == []
