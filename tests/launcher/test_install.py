"""`make install` where something is missing: one plain sentence, and nothing half-done is taken for whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "launcher").mkdir()
    for name in ("Makefile", "requirements.txt", "launcher/install.sh", "launcher/install_progress.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def install(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return subprocess.run(
        ["make", "install"], cwd=clone, env={**kept, **environment}, capture_output=True, text=True, timeout=120
    )


def executable(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_is_too_old_is_refused(clone: Path) -> None:
    old = executable(clone / "bin" / "python3.9", "exit 1")

    done = install(clone, PYTHON=old)

    assert done.returncode != 0
    assert f"error: PYTHON={old} is not Python 3.11 or later; name another one." in done.stderr
    assert not (clone / ".venv").exists()


def test_no_python_at_all_is_told_with_the_command_that_helps(clone: Path) -> None:
    for tool in ("bash", "dirname", "df", "awk", "cat", "sha256sum", "cut", "sh"):
        (clone / "bin").mkdir(exist_ok=True)
        (clone / "bin" / tool).symlink_to(shutil.which(tool) or tool)

    done = subprocess.run(
        ["bash", "launcher/install.sh", "requirements.txt"],
        cwd=clone,
        env={"PATH": str(clone / "bin")},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert done.stderr.startswith("error: Python 3.11 or later was not found; install it (Debian: apt install python3")


def test_a_missing_venv_module_is_told_with_the_command_that_helps(clone: Path) -> None:
    bare = executable(clone / "bin" / "python", f'case "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"')

    done = install(clone, PYTHON=bare)

    assert "error: Python's venv module is missing; install it with: apt install python3-venv" in done.stderr


def test_without_a_network_the_next_start_begins_where_this_one_failed(clone: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}

    for _ in range(2):
        done = install(clone, PYTHON=sys.executable, **nowhere)

        assert done.returncode != 0
        assert "The packages could not be downloaded; check the network connection and start again." in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
        assert not (clone / ".venv" / ".installed-requirements.txt").exists()
