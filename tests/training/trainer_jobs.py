"""Job folders for the trainer, with a tiny random model: seconds instead of minutes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.llm import tiny
from tests.servers import ROOT
from training.finetune import trainer_model

OPTIONS = {
    "epochs": 4,
    "learning_rate": 0.02,
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "batch": 4,
    "max_tokens": 200,
    "early_stop": 0,
    "beta": 0.1,
    "seed": 7,
}


def job_folder(home: Path, *, base: Path | None = None, rows: int = 12, name: str = "job", **spec: Any) -> Path:
    folder = home / name
    folder.mkdir(parents=True)
    base = base or home / "tiny.gguf"
    if not base.exists():
        tiny.gguf_file(base)
    options = {**OPTIONS, **spec.pop("options", {})}
    known = trainer_model.sha256(base) if base.is_file() else ""
    values = {"method": "sft", "base": str(base), "base_sha256": known, "options": options, "checkpoint_every": 2}
    (folder / "spec.json").write_text(json.dumps({**values, **spec}), encoding="utf-8")
    for part, count in (("train", rows), ("held_out", 3)):
        lines = [json.dumps(example(number)) for number in range(count)]
        (folder / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def example(number: int) -> dict[str, Any]:
    prompt = [{"role": "system", "content": "coach"}, {"role": "user", "content": f"habit {number}"}]
    return {"prompt": prompt, "answer": "One step. When?", "rejected": "Just do it!"}


def events(folder: Path, kind: str = "") -> list[dict[str, Any]]:
    path = folder / "progress.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in found if kind in ("", event["kind"])]


def spawn(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "training.finetune.trainer", str(folder)]
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def until(child: subprocess.Popen[bytes], true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not true():
        assert child.poll() is None, "the trainer ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stop(child: subprocess.Popen[bytes], number: signal.Signals) -> int:
    child.send_signal(number)
    return child.wait(60)
