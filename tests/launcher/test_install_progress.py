from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.install_progress import Progress, sentence
from tests.servers import ROOT


def run(text: str, log: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "launcher/install_progress.py", "requirements.txt", "3", str(log)]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True)


def test_all_went_well(tmp_path: Path) -> None:
    pip = "Collecting django==5.2\n  Downloading django.whl (8 MB)\nProgress 1 of 8000000\nSuccessfully installed\n"

    done = run(pip, tmp_path / "log")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("  installed requirements.txt")
    assert "Progress" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("pip", "plain"),
    [
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(…)'\n"
            "ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)\n",
            "The packages could not be downloaded; check the network connection and start again.",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
            "The disk is full; free some space and start again.",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n",
            "A downloaded package was damaged; start again.",
        ),
        ("ERROR: something else\n", "The packages could not be installed; the reason is in"),
    ],
)
def test_an_error_of_pip_is_one_plain_sentence(pip: str, plain: str, tmp_path: Path) -> None:
    done = run(pip, tmp_path / "log")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {plain}")
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "log").read_text() == pip


def test_a_retry_that_worked_is_no_error(tmp_path: Path) -> None:
    done = run("WARNING: Retrying after connection broken\nSuccessfully installed\n", tmp_path / "log")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_gets_one_line_that_is_rewritten() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    progress = Progress("torch", 15, out)

    progress.line("Collecting torch==2.13.0\n")
    progress.drawn = 0.0
    progress.line("Progress 12000000 of 190000000\n")
    progress.end(well=True)

    assert "installing torch: 1 of 15  torch 12.0 of 190.0 MB" in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_the_sentence_names_the_log() -> None:
    assert sentence(["No space left on device"], ".venv/install.log").endswith(
        "(pip's own words are in .venv/install.log)"
    )
