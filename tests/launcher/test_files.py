from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from config.services import read_services, services_file
from launcher import files
from launcher.errors import StartError
from launcher.plan import Plan
from tests.launcher.conftest import make_plan


def test_services_are_written_whole_and_for_their_owner_only(plan: Plan) -> None:
    services = {"redis": "unix:///x/valkey.sock?db=0", "llamacpp": {"url": "http://127.0.0.1:1", "key": "k"}}

    files.write_services(plan, services)

    assert read_services(plan.data) == services
    assert stat.S_IMODE(services_file(plan.data).stat().st_mode) == 0o600
    assert sorted(path.name for path in plan.run_dir.iterdir()) == ["services.json"]


def test_each_start_has_a_new_key_that_only_its_owner_reads(plan: Plan) -> None:
    first, path = files.new_key(plan)
    second, _ = files.new_key(plan)

    assert first != second
    assert path.read_text() == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_ports_are_kept_while_they_are_free(plan: Plan) -> None:
    first = files.choose_ports(plan, ("chroma", "model"))
    assert files.choose_ports(plan, ("chroma", "model")) == first

    with socket.socket() as other:
        other.bind(("127.0.0.1", first["chroma"]))
        other.listen()
        moved = files.choose_ports(plan, ("chroma", "model"))

    assert moved["chroma"] != first["chroma"]
    assert moved["model"] == first["model"]


def test_a_damaged_ports_file_is_no_obstacle(plan: Plan) -> None:
    for text in ("", "[1]", '{"chroma": "x"}'):
        (plan.run_dir / "ports.json").write_text(text)
        assert files.choose_ports(plan, ("chroma",))["chroma"] > 0


def test_what_a_killed_start_left_is_cleared_and_the_ports_stay(plan: Plan) -> None:
    ports = files.choose_ports(plan, ("chroma",))
    files.write_services(plan, {"redis": "x"})
    files.new_key(plan)
    for name in ("supervisord.conf", "supervisord.pid", "valkey.sock", "supervisor.sock", "supervisor.sock.123"):
        (plan.run_dir / name).touch()

    files.clear_stale(plan)

    assert [path.name for path in plan.run_dir.iterdir()] == ["ports.json"]
    assert json.loads((plan.run_dir / "ports.json").read_text()) == ports


def test_run_folders_are_private(folder: Path) -> None:
    plan = make_plan(folder / ("long" * 25))

    files.make_folders(plan)

    assert plan.socket_dir != plan.run_dir
    for path in (plan.run_dir, plan.socket_dir):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files.remove_all(plan)
    assert not plan.socket_dir.exists()


def test_a_data_folder_that_cannot_be_made_is_one_sentence(folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(StartError, match=r"cannot be written \(Not a directory\); set COACH_DATA_DIR"):
        files.make_folders(make_plan(folder / "file" / "data"))
