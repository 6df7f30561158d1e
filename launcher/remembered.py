"""Which model file was served last: its server can start before Django has said which one is wanted."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .files import write_private
from .plan import Plan
from .prepare import Prepared


def remember(plan: Plan, prepared: Prepared) -> None:
    path = _file(plan)
    if not prepared.model_path:
        path.unlink(missing_ok=True)
        return
    known = {"wanted": _wanted(), "path": prepared.model_path, "name": prepared.model_name}
    write_private(path, json.dumps({**known, "state": _state(prepared.model_path)}))


def recall(plan: Plan) -> Prepared:
    """The last model if COACH_MODELS and the file are as they were; else an empty answer. Only ever a guess."""
    try:
        known = json.loads(_file(plan).read_text(encoding="utf-8"))
        if known["wanted"] == _wanted() and known["state"] == _state(known["path"]):
            return Prepared(model_path=known["path"], model_name=known["name"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing remembered, or nothing that can be used: `prepare` will say
    return Prepared()


def _file(plan: Plan) -> Path:
    return plan.run_dir / "model.json"


def _wanted() -> str:
    return os.environ.get("COACH_MODELS", "").strip()


def _state(path: str) -> list[int]:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns]
