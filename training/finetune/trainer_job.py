"""The trainer's side of a job folder: what shall be done, telling how it goes, and when to stop. No Django here.

spec.json           Spec
train.jsonl         one example a line: {"prompt": [messages], "answer": "…", "rejected": "…" (preferences only)}
held_out.jsonl      the same; may be empty
cancel              when it is there, the person wants the end
progress.jsonl      events, told by Reporter
checkpoints/        trainer_state.py
result/             adapter_model.safetensors, adapter_config.json (peft's own), adapter.gguf, result.json
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POLL_SECONDS = 1.0
GRACE_SECONDS = 30.0


class TrainerError(Exception):
    """Work that cannot be done: a code and values of local_texts.py, which has the sentences."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(f"{code}: {values}")
        self.code, self.values = code, values


class Stopped(Exception):
    """`why`: cancelled (a person wants the end) or paused (this machine stops; it goes on later)."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Spec:
    """What is trained on what.

    base            path of a GGUF file or a transformers folder, or a name of the hub
    base_sha256     of the GGUF file; '' for the others
    options         training/finetune/options.py, LocalOptions
    watch_pid       the process manager of this installation: the trainer pauses when it ends; 0 when there is none
    """

    method: str
    base: str
    base_sha256: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    watch_pid: int = 0
    checkpoint_every: int = 20

    @classmethod
    def read(cls, folder: Path) -> Spec:
        return cls(**json.loads((folder / "spec.json").read_text(encoding="utf-8")))


class Reporter:
    """Appends events to progress.jsonl, each with one write: a reader sees whole lines, but for the last one."""

    def __init__(self, folder: Path) -> None:
        path = folder / "progress.jsonl"
        cut_short = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = path.open("ab", buffering=0)
        if cut_short and path.stat().st_size:
            self._file.write(b"\n")

    def tell(self, kind: str, **values: Any) -> None:
        line = json.dumps({"kind": kind, "at": round(time.time(), 3), **values}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")


class Stop:
    """Whether to stop; asked between two examples. What takes too long after a pause was asked for is cut short."""

    def __init__(self, folder: Path, watch_pid: int) -> None:
        self._cancel, self._pid, self._why = folder / "cancel", watch_pid, ""
        signal.signal(signal.SIGTERM, lambda *_: self._ask("paused"))
        threading.Thread(target=self._watch, name="stop", daemon=True).start()

    def check(self) -> None:
        """Raises Stopped."""
        if self._cancel.exists():
            raise Stopped("cancelled")
        if self._why:
            raise Stopped(self._why)

    def _ask(self, why: str) -> None:
        self._why = self._why or why

    def _watch(self) -> None:
        since = 0.0
        while not since or time.monotonic() - since < GRACE_SECONDS:
            time.sleep(POLL_SECONDS)
            if self._pid and not _runs(self._pid):
                self._ask("paused")
            if self._why == "paused":
                since = since or time.monotonic()
        os._exit(0)  # the last checkpoint is what counts


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
