from __future__ import annotations

import configparser
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import files, programs
from launcher.errors import StartError
from launcher.plan import Plan
from launcher.programs import Program
from launcher.supervisord import NoAnswer, Supervisor, render
from tests.launcher.conftest import make_plan
from tests.launcher.processes import mentioning, wait_until_gone
from tests.servers import ROOT


def sleeper(name: str, plan: Plan) -> Program:
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
    return Program(name, name, [sys.executable, "-c", script, plan.data_dir, name])


def parsed(plan: Plan, found: list[Program]) -> configparser.ConfigParser:
    reader = configparser.ConfigParser()
    reader.read_string(render(plan, found))
    return reader


def test_nothing_starts_by_itself_and_everything_comes_back(plan: Plan) -> None:
    found = [programs.valkey(plan), programs.chroma(plan, 1234), programs.runner(plan), programs.worker()]

    conf = parsed(plan, [*found, programs.web(plan)])

    for number, program in enumerate(found, 1):
        section = conf[f"program:{program.name}"]
        assert section["autostart"] == "false"
        assert section["autorestart"] == "true"
        assert section["killasgroup"] == "true"
        assert section["priority"] == str(number)
        assert section["stdout_logfile"] == str(plan.log_dir / f"{program.name}.log")
    assert conf["unix_http_server"]["chmod"] == "0700"


def test_servers_listen_on_the_loopback_or_a_socket_only(plan: Plan) -> None:
    valkey = programs.valkey(plan).command
    assert valkey[valkey.index("--port") + 1] == "0"
    assert valkey[valkey.index("--appendonly") + 1] == "yes"
    assert valkey[valkey.index("--save") + 1] == ""
    for program in (programs.chroma(plan, 1234), programs.web(plan)):
        assert program.command[program.command.index("--host") + 1] == "127.0.0.1"


def test_odd_characters_in_paths_survive(folder: Path) -> None:
    plan = make_plan(folder / "my 'own' 코치")

    section = parsed(plan, [programs.chroma(plan, 1234)])["program:chroma"]

    assert str(plan.data / "chroma") in shlex.split(section["command"])
    assert section["stdout_logfile"] == str(plan.log_dir / "chroma.log")


def test_a_path_that_supervisord_would_misread_is_refused(folder: Path) -> None:
    for name in ("data #1", "data ;1", "50%"):
        plan = make_plan(folder / name)

        with pytest.raises(StartError, match="must not hold % or a word that begins with # or ;"):
            render(plan, [programs.chroma(plan, 1234)])


@pytest.fixture
def supervisor(plan: Plan) -> Iterator[Supervisor]:
    found = Supervisor(plan)
    found.start([sleeper("one", plan), sleeper("two", plan)], os.environ)
    yield found
    found.close()
    assert wait_until_gone(plan.data_dir) == {}


def wait_for_state(supervisor: Supervisor, name: str, wanted: str) -> int:
    deadline = time.monotonic() + 30
    while (state := supervisor.states().get(name, ("", 0)))[0] != wanted:
        assert time.monotonic() < deadline, supervisor.states()
        time.sleep(0.05)
    return state[1]


def test_programs_start_when_asked_come_back_when_killed_and_stop(plan: Plan, supervisor: Supervisor) -> None:
    assert {state for state, _ in supervisor.states().values()} == {"STOPPED"}

    supervisor.run("one")
    first = wait_for_state(supervisor, "one", "RUNNING")
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (again := wait_for_state(supervisor, "one", "RUNNING")) == first:
        assert time.monotonic() < deadline
    assert again != first

    supervisor.stop(["one", "two"], 10)
    assert supervisor.states() == {"one": ("STOPPED", 0), "two": ("STOPPED", 0)}


def test_a_program_can_come_and_go_while_others_run(plan: Plan, supervisor: Supervisor) -> None:
    supervisor.run("one")
    pid = wait_for_state(supervisor, "one", "RUNNING")

    supervisor.update([sleeper("one", plan), sleeper("late", plan), sleeper("two", plan)])
    supervisor.run("late")

    wait_for_state(supervisor, "late", "RUNNING")
    supervisor.stop(["late"], 10)
    supervisor.update([sleeper("one", plan), sleeper("two", plan)])
    assert supervisor.states() == {"one": ("RUNNING", pid), "two": ("STOPPED", 0)}


def test_an_unknown_program_is_refused(supervisor: Supervisor) -> None:
    with pytest.raises(NoAnswer, match="BAD_NAME"):
        supervisor.run("nobody")


def test_children_end_when_supervisord_is_killed(plan: Plan) -> None:
    supervisor = Supervisor(plan)
    supervisor.start([sleeper("one", plan)], os.environ)
    supervisor.run("one")
    wait_for_state(supervisor, "one", "RUNNING")
    daemon = int((plan.run_dir / "supervisord.pid").read_text())

    os.kill(daemon, signal.SIGKILL)

    assert wait_until_gone(plan.data_dir) == {}
    supervisor.close()
    assert supervisor.states() == {}


def test_supervisord_and_children_end_when_their_starter_is_killed(plan: Plan) -> None:
    script = (
        "import os, sys, time; from launcher.plan import Plan; from launcher.supervisord import Supervisor\n"
        "from tests.launcher.test_supervisord import sleeper, wait_for_state\n"
        "plan = Plan.from_json(sys.argv[1]); found = Supervisor(plan)\n"
        "found.start([sleeper('one', plan)], os.environ); found.run('one')\n"
        "wait_for_state(found, 'one', 'RUNNING'); print('running', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, plan.to_json()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"running\n"
        assert len(mentioning(plan.data_dir)) >= 3
        starter.kill()

    assert wait_until_gone(plan.data_dir) == {}
    files.clear_stale(plan)
