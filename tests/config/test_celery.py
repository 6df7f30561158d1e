"""The worker with its clock, as `up` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.launcher.processes import mentioning, wait_until_gone
from tests.servers import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at through /proc")
def test_the_clock_dies_with_a_killed_worker_also_without_a_broker(tmp_path: Path) -> None:
    """Without a broker it looked for one for ever, long after `up` and all the others were gone."""
    (tmp_path / "run").mkdir()  # where the clock keeps when each job ran last
    environment = {**os.environ, "COACH_DATA_DIR": str(tmp_path), "REDIS_URL": f"unix://{tmp_path}/no.sock"}
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-B", "-c", "1", "-l", "warning"]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while len(mentioning(str(tmp_path))) < 3 and time.monotonic() < deadline:  # worker, clock, one at work
            time.sleep(0.1)
        assert len(mentioning(str(tmp_path))) >= 3
    finally:
        worker.kill()
        worker.wait(20)
    assert wait_until_gone(str(tmp_path), 20) == {}
