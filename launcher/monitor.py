"""Watching the running processes: one line when one died and was started again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from . import console
from .errors import StartError
from .programs import Program
from .supervisord import NoAnswer, Supervisor

POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0


class Monitor:
    """supervisord restarts what dies; this only tells of it, and asks again when supervisord gave up."""

    def __init__(self, supervisor: Supervisor, programs: Sequence[Program], log_dir: Path) -> None:
        self._supervisor = supervisor
        self._titles = {program.name: program.title for program in programs}
        self._log_dir = log_dir
        states = supervisor.states()
        self._pids = {name: pid for name, (_, pid) in states.items() if pid}
        # What never started has been told of already.
        self._given_up = {name: time.monotonic() for name, (state, _) in states.items() if state == "FATAL"}

    def watch(self, also: Callable[[], None] = lambda: None) -> None:
        """Never returns; calls `also` each time. Raises StartError when supervisord itself is gone."""
        while True:
            time.sleep(POLL_SECONDS)
            self.look()
            also()

    def look(self) -> None:
        if not self._supervisor.alive:
            raise StartError("The process manager was killed; everything is stopped, start again with `make run`.")
        states = self._supervisor.states()
        self._pids = {name: pid for name, pid in self._pids.items() if name in states}  # some come and go on purpose
        for name, (state, pid) in states.items():
            title = self._titles.get(name, name)
            if state == "FATAL":
                self._ask_again(name, title)
            elif pid and state == "RUNNING":
                self._given_up.pop(name, None)
                before = self._pids.get(name)
                if before is not None and before != pid:
                    console.note(f"The {title} had stopped and was started again; its log is {self._log(name)}.")
                self._pids[name] = pid

    def _ask_again(self, name: str, title: str) -> None:
        now = time.monotonic()
        if name not in self._given_up:
            console.note(f"The {title} does not start any more; the reason is in {self._log(name)}. Still trying.")
        elif now < self._given_up[name]:
            return
        else:
            with suppress(NoAnswer):
                self._supervisor.run(name)
        self._given_up[name] = now + RETRY_SECONDS

    def _log(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"
