from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = str(hadolint) if hadolint.exists() else shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint has no wheel for this system")

    done = subprocess.run([found, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_torch_comes_first_and_alone(dockerfile: str) -> None:
    lines = dockerfile.splitlines()
    assert lines.index("RUN pip install torch==2.13.0") < lines.index("RUN pip install -r requirements.txt")


def test_the_image_runs_as_nobody_special_and_holds_no_tests(dockerfile: str) -> None:
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert "\nUSER 10001\n" in last_stage
    assert "HEALTHCHECK" in last_stage
    assert "requirements-dev" not in dockerfile
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert not {"!tests/", "!bench/", "!.git/", "!var/"} & set(ignored)


def test_every_application_folder_is_in_the_image() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    for folder in packages | {"templates", "static", "locale", "starter_knowledge"}:
        assert f"!{folder}/" in kept, folder
