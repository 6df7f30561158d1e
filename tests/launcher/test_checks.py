from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import namedtuple

import pytest

from launcher import checks
from launcher.errors import StartError
from launcher.plan import Plan
from tests.servers import ROOT


def test_a_free_port_passes(plan: Plan) -> None:
    checks.check_port(plan.port)


def test_a_port_in_use_is_named_with_a_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(StartError) as raised:
            checks.check_port(port)

    assert str(raised.value) == (
        f"Port {port} is in use by another program; start with PORT=8010 make run, or stop that program."
    )


def test_a_full_disk_is_told_before_anything_starts(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(10**12, 10**12 - 123_000_000, 123_000_000))

    with pytest.raises(StartError, match=r"^Only 123 MB are free where .* at least 500 MB are needed"):
        checks.check_disk(plan.data)


def test_a_second_start_on_the_same_folder_is_told_where_the_first_runs(plan: Plan) -> None:
    first, second = checks.Lock(plan), checks.Lock(plan)
    first.acquire()

    with pytest.raises(StartError, match=f"^AI Coach already runs here: {plan.url}$"):
        second.acquire()

    first.release()
    assert not (plan.run_dir / "up.lock").exists()
    second.acquire()
    second.release()


def test_the_lock_of_a_killed_start_does_not_hold(plan: Plan) -> None:
    script = (
        "import sys; from launcher.checks import Lock; from launcher.plan import Plan\n"
        "lock = Lock(Plan.from_json(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, plan.to_json()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StartError):
            checks.Lock(plan).acquire()
        os.kill(holder.pid, signal.SIGKILL)

    lock = checks.Lock(plan)
    lock.acquire()
    lock.release()
