"""supervisord, the process manager: its configuration, and talking to it over its unix socket."""

from __future__ import annotations

import http.client
import os
import pwd
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from supervisor.xmlrpc import SupervisorTransport

from .child import die_with_parent
from .errors import StartError
from .plan import Plan
from .programs import Program

LOG_BYTES = 5_000_000
LOG_BACKUPS = 2
_FILE_DESCRIPTORS = 16_384  # a socket needs one; 1,024 is the usual soft limit
_RPC_FACTORY = "supervisor.rpcinterface:make_main_rpcinterface"
_MISREAD = re.compile(r"%|\s[#;]")  # supervisord expands the first and takes the second for a comment
GONE = {"STOPPED", "EXITED", "FATAL"}


class NoAnswer(Exception):
    """supervisord does not answer, or refuses what was asked."""


def render(plan: Plan, programs: Sequence[Program]) -> str:
    """The text of supervisord.conf; nothing in it starts by itself. Earlier programs stop later."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = _FILE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _FILE_DESCRIPTORS)
    main: dict[str, Any] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": plan.log_dir / "supervisord.log",
        "logfile_maxbytes": 1_000_000,
        "logfile_backups": 1,
        "pidfile": plan.run_dir / "supervisord.pid",
        "childlogdir": plan.log_dir,
        "directory": plan.base,
        "minfds": descriptors,
        "strip_ansi": "true",
    }
    if os.getuid() == 0:  # said so that supervisord does not warn about it
        main["user"] = pwd.getpwuid(0).pw_name
    sections: list[tuple[str, dict[str, Any]]] = [
        ("supervisord", main),
        ("unix_http_server", {"file": plan.socket_dir / "supervisor.sock", "chmod": "0700"}),
        (
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": _RPC_FACTORY},
        ),
    ]
    sections += [(f"program:{program.name}", _program(plan, program, n)) for n, program in enumerate(programs, 1)]
    return "\n".join(_section(name, values) for name, values in sections)


def _program(plan: Plan, program: Program, priority: int) -> dict[str, Any]:
    child = [
        sys.executable,
        "-S",
        "-P",
        str(plan.base / "launcher" / "child.py"),
        program.stop_signal,
        str(program.nice),
    ]
    return {
        "command": shlex.join([*child, *program.command]),
        "priority": program.priority or priority,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 5,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "stopasgroup": "true" if program.whole_group else "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": plan.log_dir / f"{program.name}.log",
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": LOG_BACKUPS,
    }


def _section(name: str, values: Mapping[str, Any]) -> str:
    for value in values.values():
        if _MISREAD.search(str(value)):
            raise StartError(f"A folder's name must not hold % or a word that begins with # or ;, as in: {value}")
    lines = [f"{key} = {value}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


class Supervisor:
    """One running supervisord. Its children end with it, and it ends with this process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: subprocess.Popen[bytes] | None = None
        self._pids: dict[str, int] = {}

    def start(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Start supervisord with `programs` known and none of them running. Raises StartError."""
        config = self._plan.run_dir / "supervisord.conf"
        config.write_text(render(self._plan, programs), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)],
            cwd=self._plan.base,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is for `up` alone
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),
        )
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.alive:
            with suppress(NoAnswer):
                self._call("getState")
                return
            time.sleep(0.05)
        raise StartError(f"The process manager does not start; its log is {self._plan.log_dir / 'supervisord.log'}.")

    def update(self, programs: Sequence[Program]) -> None:
        """Make exactly `programs` known to the running supervisord. Those that go or change must be stopped."""
        config = self._plan.run_dir / "supervisord.conf"
        config.write_text(render(self._plan, programs), encoding="utf-8")
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*changed, *removed):
            self._call("removeProcessGroup", name)
        for name in (*changed, *added):
            self._call("addProcessGroup", name)

    def _call(self, method: str, *arguments: Any) -> Any:
        """One call on a connection of its own: supervisor's transport does not survive a refused one."""
        transport = SupervisorTransport(None, None, f"unix://{self._plan.socket_dir / 'supervisor.sock'}")
        proxy: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
            raise NoAnswer(str(error)) from error
        finally:
            transport.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run(self, name: str) -> None:
        """Start one program without waiting for it."""
        self._call("startProcess", name, False)

    def states(self) -> dict[str, tuple[str, int]]:
        """State (supervisord's word) and process id by program name; {} when supervisord does not answer."""
        try:
            found = {info["name"]: (info["statename"], info["pid"]) for info in self._call("getAllProcessInfo")}
        except NoAnswer:
            return {}
        self._pids = {name: pid for name, (_, pid) in found.items() if pid}
        return found

    def stop(self, names: Sequence[str], seconds: float) -> None:
        """Stop these programs together and wait until they are gone, at most `seconds`."""
        for name in names:
            with suppress(NoAnswer):
                self._call("stopProcess", name, False)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            states = self.states()
            if all(states.get(name, ("STOPPED", 0))[0] in GONE for name in names):
                return
            time.sleep(0.05)

    def close(self) -> None:
        """End supervisord itself and kill what is left."""
        with suppress(NoAnswer):
            self._call("shutdown")
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to supervisord and to the process group of each program it last told of."""
        if self.alive and self._process is not None:
            self.states()
            self._process.kill()
            self._process.wait(2)
        for pid in self._pids.values():
            if _is_ours(pid, self._plan.base):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)


def _is_ours(pid: int, base: Path) -> bool:
    """True for a living leader of its own group; the number may have gone to a stranger since."""
    try:
        return os.getpgid(pid) == pid and Path(f"/proc/{pid}/cwd").resolve() == base.resolve()
    except OSError:
        return False
