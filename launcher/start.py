"""One start from first check to last process: `Start.run()` returns when the person asks to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from . import checks, console, files, health, programs, remembered
from .adapters import Adapters
from .errors import StartError
from .monitor import Monitor
from .plan import Plan
from .prepare import Prepared, prepare
from .programs import Program
from .supervisord import Supervisor

SERVER_SECONDS = 60.0
MODEL_SECONDS = 180.0
READY_SECONDS = 120.0
POLL_SECONDS = 0.05
READY_POLL_SECONDS = 0.2  # each "not yet" is a line in the web's log
# Which log tells more about a dependency that /readyz misses.
LOG_OF = {"redis": "valkey", "chroma": "chroma", "runner": "runner", "worker": "worker"}
# Stopped in this order; what stands together stops together.
STOP_STAGES = (("web",), ("runner", "worker"), ("model", "chroma"), ("valkey",))
STOP_SECONDS = 9.0


class Start:
    """Holds what must be undone at the end, however far the start came."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lock = checks.Lock(plan)
        self.supervisor = Supervisor(plan)
        self.adapters = Adapters(plan, self.supervisor)
        self.environment = child_environment(plan)
        self.programs: list[Program] = []
        self.services: dict[str, Any] = {}
        self._locked = False

    # --- starting --------------------------------------------------------------------------

    def run(self) -> None:
        """Start all, say `Ready`, and watch over it for ever. Raises StartError or KeyboardInterrupt."""
        console.say("AI Coach is starting.")
        self._check()
        self._start_servers()
        guess = remembered.recall(self.plan)
        model = self._start_model(guess)
        prepared = self._prepare()
        if (guess.model_path, guess.model_name) != (prepared.model_path, prepared.model_name):
            self._drop_model()
            model = self._start_model(prepared)
        remembered.remember(self.plan, prepared)
        self._start_application(model)
        monitor = Monitor(self.supervisor, self.programs, self.plan.log_dir)
        monitor.watch(also=lambda: self.adapters.look(self.programs))

    def _check(self) -> None:
        files.make_folders(self.plan)
        self.lock.acquire()
        self._locked = True
        files.clear_stale(self.plan)
        checks.check_port(self.plan.port)
        checks.check_disk(self.plan.data)

    def _start_servers(self) -> None:
        """Broker and vector database: our own, or those that a URL names."""
        plan, ready = self.plan, list[tuple[Program, Callable[[], bool]]]()
        self.ports = files.choose_ports(plan, ("chroma", "model"))
        if plan.redis_url:
            _require("REDIS_URL", plan.redis_url, health.reachable(plan.redis_url))
        else:
            path = str(programs.valkey_socket(plan))
            ready.append((programs.valkey(plan), lambda: health.valkey_ready(path)))
        if plan.chroma_url:
            _require("CHROMA_URL", plan.chroma_url, health.chroma_ready(plan.chroma_url))
        else:
            url = programs.chroma_url(self.ports["chroma"])
            ready.append((programs.chroma(plan, self.ports["chroma"]), lambda: health.chroma_ready(url)))
        self.services["redis"] = plan.redis_url or programs.valkey_url(plan)
        self.services["chroma"] = plan.chroma_url or programs.chroma_url(self.ports["chroma"])
        application = [programs.runner(plan), programs.worker(), programs.web(plan)]
        self.programs = [program for program, _ in ready] + application
        with console.step("message broker and vector database"):
            self.supervisor.start(self.programs, self.environment)
            files.write_services(plan, self.services)
            for program, _ in ready:
                self.supervisor.run(program.name)
            for program, is_ready in ready:
                self._wait_for(program, is_ready)

    def _prepare(self) -> Prepared:
        secrets = {name: value for name, value in os.environ.items() if name.startswith("DJANGO_SUPERUSER_")}
        with console.step("database, pages, starter knowledge, models"):
            prepared = prepare(self.plan, {**self.environment, **secrets})
        if prepared.notice:
            console.note(prepared.notice)
        return prepared

    def _start_model(self, prepared: Prepared) -> Program | None:
        """Start the model server and tell the others where it is; None when there is no model to serve.

        Loading a model takes longest of all, so it is started on a guess, before `prepare` has confirmed it.
        """
        if not prepared.model_path:
            return None
        key, key_file = files.new_key(self.plan)
        port = self.ports["model"]
        program = programs.model_server(prepared.model_path, port, key_file)
        self.services["llamacpp"] = {"url": programs.model_url(port), "key": key, "model": prepared.model_name}
        files.write_services(self.plan, self.services)
        self.programs.insert(-3, program)  # before runner, worker and web: it stops after them
        self.supervisor.update(self.programs)
        self.supervisor.run(program.name)
        return program

    def _drop_model(self) -> None:
        if self.services.pop("llamacpp", None) is None:
            return
        self.supervisor.stop(["model"], STOP_SECONDS)
        self.programs = [program for program in self.programs if program.name != "model"]
        self.supervisor.update(self.programs)
        files.write_services(self.plan, self.services)

    def _start_application(self, model: Program | None) -> None:
        """Runner and web beside the loading model; the worker last, it is the only one nobody waits for."""
        for name in ("runner", "web"):
            self.supervisor.run(name)
        self.adapters.look(self.programs)
        if model is not None:
            self._wait_for_model(model)
        with console.step("turn runner and web server"):
            self._wait_until_ready()
        self.supervisor.run("worker")
        console.say(f"Ready: {self.plan.url}")
        console.say("Press Ctrl-C to stop.")

    def _wait_for_model(self, model: Program) -> None:
        found = self.services["llamacpp"]
        try:
            with console.step(f"language model {found['model']}"):
                self._wait_for(model, lambda: health.model_ready(found["url"], found["key"]), MODEL_SECONDS)
        except StartError as error:
            console.note(f"{error} Until it does, the coach answers in guided mode: with quoted passages only.")

    def _wait_until_ready(self) -> None:
        deadline, complained = time.monotonic() + READY_SECONDS, False
        while (missing := health.missing_dependencies(self.plan.url)) != []:
            if not complained and time.monotonic() > deadline:
                complained = True
                console.complain(self._not_ready(missing))
            self._raise_if_dead()
            time.sleep(READY_POLL_SECONDS)

    def _not_ready(self, missing: list[str] | None) -> str:
        if missing is None:
            late = f"The web server does not answer after {READY_SECONDS:.0f} s"
            return f"{late}; its log is {self._log('web')}. Still trying."
        logs = ", ".join(sorted({self._log(LOG_OF.get(name, "web")) for name in missing}))
        return f"Not ready after {READY_SECONDS:.0f} s, missing: {', '.join(missing)}; see {logs}. Still trying."

    def _wait_for(self, program: Program, is_ready: Callable[[], bool], seconds: float = SERVER_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not is_ready():
            state = self.supervisor.states().get(program.name, ("", 0))[0]
            if state == "FATAL" or time.monotonic() > deadline:
                raise StartError(f"The {program.title} does not start; the reason is in {self._log(program.name)}.")
            self._raise_if_dead()
            time.sleep(POLL_SECONDS)

    def _raise_if_dead(self) -> None:
        if not self.supervisor.alive:
            raise StartError(f"The process manager has ended; its log is {self.plan.log_dir / 'supervisord.log'}.")

    def _log(self, name: str) -> str:
        return str(self.plan.log_dir / f"{name}.log")

    # --- stopping --------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop everything in order within 15 s and leave nothing behind."""
        if not self._locked:
            return
        deadline = time.monotonic() + STOP_SECONDS
        for stage in STOP_STAGES:
            names = [program.name for program in self.programs if program.name in stage]
            if "model" in stage:
                names += [program.name for program in self.adapters.programs()]
            if names and self.supervisor.alive:
                self.supervisor.stop(names, max(0.1, deadline - time.monotonic()))
        self._leave(self.supervisor.close)

    def kill(self) -> None:
        """Stop everything at once, without asking."""
        if self._locked:
            self._leave(self.supervisor.kill)

    def _leave(self, end: Callable[[], None]) -> None:
        end()
        files.remove_all(self.plan)
        self.lock.release()
        self._locked = False


MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}


def child_environment(plan: Plan) -> dict[str, str]:
    """Environment of every child: this one's, with absolute folders and without the first admin's password."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_SUPERUSER_")}
    return {
        **kept,
        "COACH_DATA_DIR": plan.data_dir,
        "COACH_CACHE_DIR": plan.cache_dir,
        "PORT": str(plan.port),
        "ANONYMIZED_TELEMETRY": "False",
        "RUST_LOG": kept.get("RUST_LOG", "warn"),
        # Threads that come and go keep an arena each, and glibc learns to keep what was freed once: without these
        # the runner takes 250 MB instead of 200, and an upload stays in the web process for ever.
        **{name: kept.get(name, value) for name, value in MALLOC.items()},
    }


def _require(variable: str, url: str, reachable: bool) -> None:
    if not reachable:
        # A password in the URL does not belong on the terminal.
        shown = url.rpartition("@")[2] if "@" in url else url
        raise StartError(f"{variable} names a server that does not answer ({shown}); start it or correct {variable}.")
