"""A plan in a short temporary folder: unix sockets do not bear pytest's long ones."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.plan import Plan
from tests.servers import ROOT, free_port


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="up-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def make_plan(data_dir: Path, **values: object) -> Plan:
    defaults: dict[str, object] = {
        "base_dir": str(ROOT),
        "data_dir": str(data_dir),
        "cache_dir": str(data_dir / "cache"),
        "port": free_port(),
        "redis_url": "",
        "chroma_url": "",
    }
    return Plan(**{**defaults, **values})  # type: ignore[arg-type]


@pytest.fixture
def plan(folder: Path) -> Plan:
    from launcher.files import make_folders

    found = make_plan(folder / "data")
    make_folders(found)
    return found
