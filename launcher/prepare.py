"""Runs `manage.py prepare` as a child: everything that must be there before the processes start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from .child import die_with_parent
from .errors import StartError
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` reports: the model file to serve ('' for none), its name, and a sentence for the person."""

    model_path: str = ""
    model_name: str = ""
    notice: str = ""


def prepare(plan: Plan, environment: Mapping[str, str]) -> Prepared:
    """Migrations, static files, starter knowledge, coaches, models. Its progress bars go to the terminal.

    Raises StartError with the sentence that `prepare` gave.
    """
    command = [sys.executable, str(plan.base / "manage.py"), "prepare"]
    process = subprocess.Popen(
        command,
        cwd=plan.base,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(signal.SIGKILL),
    )
    try:
        output, _ = process.communicate()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return _read(process.returncode, output)


def _read(code: int, output: bytes) -> Prepared:
    try:
        report = json.loads(output.decode().strip().rpartition("\n")[2])
    except ValueError:
        report = {}
    if code != 0 or not isinstance(report, dict):
        sentence = report.get("error") if isinstance(report, dict) else ""
        raise StartError(
            sentence or f"Preparing the start failed (exit code {code}); the reason is in the lines above."
        )
    return Prepared(
        model_path=str(report.get("model_path") or ""),
        model_name=str(report.get("model_name") or ""),
        notice=str(report.get("notice") or ""),
    )
