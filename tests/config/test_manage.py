"""The command line itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers import hear_ctrl_c

PROJECT = Path(__file__).resolve().parents[2]


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    code = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(30)"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    assert done.returncode == 130
    assert done.stderr == ""
