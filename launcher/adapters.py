"""Tuned models beside the language model: one llama.cpp server for each adapter that shall be loaded.

`<data>/adapters/wanted.json` says which (llm/adapters.py writes it at any time). A new one is started, and told of in
`<data>/run/adapters.json` when it answers. One that is no longer wanted is first taken out of that file, may then end
its running answers, and is stopped after them: no answer is cut short.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import console, files, health, programs
from .plan import Plan
from .programs import Program
from .supervisord import GONE, NoAnswer, Supervisor

START_SECONDS = 180.0
LONGEST_ANSWER_SECONDS = 600.0


@dataclass(slots=True)
class _Server:
    program: Program
    url: str
    key: str
    model: str
    started: float
    ready: bool = False
    leaving: float = 0.0


class Adapters:
    """`look()` does what can be done now and never waits; the monitor calls it again and again."""

    def __init__(self, plan: Plan, supervisor: Supervisor) -> None:
        self._plan, self._supervisor = plan, supervisor
        self._servers: dict[str, _Server] = {}
        self._refused: set[str] = set()
        self._told: dict[str, Any] | None = None

    def programs(self) -> list[Program]:
        return [server.program for server in self._servers.values()]

    def look(self, others: list[Program]) -> None:
        """`others` are the programs that are not of adapters: supervisord is told of all together."""
        wanted = self._wanted()
        self._refused &= set(wanted)
        try:
            for name, server in list(self._servers.items()):
                if name not in wanted or server.leaving:
                    self._let_go(name, server, others)
                elif not server.ready:
                    self._look_at(name, server, others)
            for name in wanted:
                if name not in self._servers and name not in self._refused:
                    self._start(name, others)
        except (NoAnswer, OSError) as error:
            console.note(f"A tuned model could not be started or stopped ({error}). Still trying.")
        self._tell()

    def _wanted(self) -> list[str]:
        found = _json(self._plan.data / "adapters" / "wanted.json")
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    def _start(self, name: str, others: list[Program]) -> None:
        folder = self._plan.data / "adapters" / name
        kept = _json(folder / "adapter.json")
        base = Path(str(kept.get("base", ""))) if isinstance(kept, dict) else Path()
        if not _fits(folder, base, kept):
            self._refused.add(name)
            console.note(f"The tuned model {name} cannot be loaded: its files or its base model are gone or changed.")
            return
        key, port = secrets.token_urlsafe(32), files.free_port()
        key_file = self._plan.run_dir / f"adapter-{name}.key"
        files.write_private(key_file, key)
        program = programs.adapter_server(name, str(base), str(folder / "adapter.gguf"), port, key_file)
        self._servers[name] = _Server(program, programs.model_url(port), key, str(base), time.monotonic())
        self._supervisor.update([*others, *self.programs()])
        self._supervisor.run(program.name)

    def _look_at(self, name: str, server: _Server, others: list[Program]) -> None:
        if health.model_ready(server.url, server.key):
            server.ready = True
            console.note(f"The tuned model {name} is loaded.")
            return
        state = self._supervisor.states().get(server.program.name, ("", 0))[0]
        if state == "FATAL" or time.monotonic() - server.started > START_SECONDS:
            self._refused.add(name)
            self._stop(name, server, others)
            log = self._plan.log_dir / f"{server.program.name}.log"
            console.note(f"The tuned model {name} does not start; the reason is in {log}.")

    def _let_go(self, name: str, server: _Server, others: list[Program]) -> None:
        """Out of the file at the first look; stopped at a later one, when nothing runs on it any more."""
        if not server.leaving:
            server.leaving = time.monotonic()
            return
        waited = time.monotonic() - server.leaving
        if waited > LONGEST_ANSWER_SECONDS or not health.answers_running(server.url, server.key):
            self._stop(name, server, others)
            console.note(f"The tuned model {name} is unloaded.")

    def _stop(self, name: str, server: _Server, others: list[Program]) -> None:
        self._supervisor.stop([server.program.name], server.program.stop_seconds + 1)
        if self._supervisor.states().get(server.program.name, ("STOPPED", 0))[0] in GONE:
            del self._servers[name]
            self._supervisor.update([*others, *self.programs()])
            with suppress(OSError):
                (self._plan.run_dir / f"{server.program.name}.key").unlink()

    def _tell(self) -> None:
        served = {
            name: {"url": server.url, "key": server.key, "model": server.model}
            for name, server in self._servers.items()
            if server.ready and not server.leaving
        }
        if served != self._told:
            files.write_private(self._plan.run_dir / "adapters.json", json.dumps(served, indent=1))
            self._told = served


def _fits(folder: Path, base: Path, kept: Any) -> bool:
    try:
        return (folder / "adapter.gguf").is_file() and base.stat().st_size == kept["base_bytes"]
    except (OSError, KeyError, TypeError):
        return False


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
