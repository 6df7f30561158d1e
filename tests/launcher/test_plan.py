from __future__ import annotations

import os
from pathlib import Path

from config.services import services_file
from launcher.plan import Plan
from tests.launcher.conftest import make_plan


def test_a_plan_survives_the_hand_over(folder: Path) -> None:
    plan = make_plan(folder, redis_url="redis://name:secret@host:1/0")

    assert Plan.from_json(plan.to_json()) == plan


def test_the_services_file_is_where_the_others_look(folder: Path) -> None:
    plan = make_plan(folder)

    assert plan.services_path == services_file(plan.data)


def test_sockets_lie_in_the_data_folder_when_its_path_is_short_and_plain() -> None:
    assert make_plan(Path("/srv/coach")).socket_dir == Path("/srv/coach/run")


def test_sockets_move_to_a_short_folder_when_the_path_is_long_or_odd() -> None:
    for data_dir in (Path("/srv") / ("x" * 90), Path("/srv/my coach"), Path("/srv/코치"), Path("/srv/100%")):
        found = make_plan(data_dir).socket_dir

        assert found != data_dir / "run"
        assert len(str(found / "supervisor.sock.4194304")) < 108
        assert str(os.getuid()) in found.name

    assert make_plan(Path("/srv/a b")).socket_dir != make_plan(Path("/srv/a c")).socket_dir
