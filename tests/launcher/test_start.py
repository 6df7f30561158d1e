from __future__ import annotations

from pathlib import Path

import pytest

from config.services import read_services
from launcher.monitor import Monitor
from launcher.plan import Plan
from launcher.programs import Program
from launcher.start import Start, child_environment
from launcher.supervisord import NoAnswer
from tests.launcher.conftest import make_plan
from tests.launcher.processes import wait_until_gone
from tests.servers import chroma_server, free_port, valkey_server


def test_servers_given_by_url_are_checked_and_not_started(folder: Path) -> None:
    with (
        valkey_server(folder / "v", folder / "v.sock") as redis_url,
        chroma_server(folder / "c", free_port()) as chroma_url,
    ):
        plan = make_plan(folder / "data", redis_url=redis_url, chroma_url=chroma_url)
        start = Start(plan)
        try:
            start._check()
            start._start_servers()

            assert [program.name for program in start.programs] == ["runner", "worker", "web"]
            assert read_services(plan.data) == {"redis": redis_url, "chroma": chroma_url}
        finally:
            start.stop()
    assert wait_until_gone(plan.data_dir) == {}
    assert sorted(path.name for path in plan.run_dir.iterdir()) == ["ports.json"]


def test_who_is_not_ready_is_named_with_its_log(plan: Plan) -> None:
    start = Start(plan)

    assert start._not_ready(None) == (
        f"The web server does not answer after 120 s; its log is {plan.log_dir}/web.log. Still trying."
    )
    assert start._not_ready(["redis", "runner"]) == (
        "Not ready after 120 s, missing: redis, runner; "
        f"see {plan.log_dir}/runner.log, {plan.log_dir}/valkey.log. Still trying."
    )


def test_children_get_absolute_folders_and_no_password(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "secret")
    monkeypatch.setenv("COACH_DATA_DIR", "relative")

    environment = child_environment(plan)

    assert environment["COACH_DATA_DIR"] == plan.data_dir
    assert environment["PORT"] == str(plan.port)
    assert "secret" not in environment.values()


class Told:
    """Stands for a supervisor: tells what it was told to tell."""

    def __init__(self) -> None:
        self.alive = True
        self.told: dict[str, tuple[str, int]] = {"web": ("RUNNING", 10), "worker": ("STARTING", 11)}
        self.asked: list[str] = []

    def states(self) -> dict[str, tuple[str, int]]:
        return self.told

    def run(self, name: str) -> None:
        self.asked.append(name)
        raise NoAnswer("ABNORMAL_TERMINATION")


def test_a_restart_is_told_once(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    told = Told()
    monitor = Monitor(told, [Program("web", "web server", []), Program("worker", "worker", [])], plan.log_dir)  # type: ignore[arg-type]
    told.told = {"web": ("STARTING", 20), "worker": ("RUNNING", 11)}
    monitor.look()
    assert capsys.readouterr().out == ""

    told.told = {"web": ("RUNNING", 20), "worker": ("RUNNING", 11)}
    monitor.look()
    monitor.look()

    log = plan.log_dir / "web.log"
    assert capsys.readouterr().out == f"  The web server had stopped and was started again; its log is {log}.\n"


def test_what_does_not_start_any_more_is_told_and_tried_again(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, now = Told(), [1000.0]
    monkeypatch.setattr("launcher.monitor.time.monotonic", lambda: now[0])
    monitor = Monitor(told, [Program("web", "web server", [])], plan.log_dir)  # type: ignore[arg-type]
    told.told = {"web": ("FATAL", 0)}

    for now[0] in (1000.0, 1010.0, 1031.0, 1040.0):
        monitor.look()

    assert capsys.readouterr().out.count("The web server does not start any more") == 1
    assert told.asked == ["web"]
