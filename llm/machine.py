"""What this machine can run: memory, cores, a GPU.

The rule (measured on 2 cores, see docs and FACTS: a 1.1 GB model reads 75 prompt tokens and writes 28 a second):

    fits    its memory need is at most what is left beside the other processes of the coach (5 % and 1.2 GB)
    quick   at most 0.75 GB of model file for each core: reading a prompt is a question of cores times bytes
    GPU     a model whose file and a fifth more fits into the memory of a GPU is quick, when Ollama runs it
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .catalogue import Entry
from .llamacpp_server import cores

OTHERS_SHARE = 0.05
OTHERS_BYTES = 1_200_000_000
BYTES_PER_CORE = 750_000_000
GPU_SPARE = 1.2
_GPU_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes and physical cores that this installation may use; `gpu_bytes` is that of the largest NVIDIA GPU."""

    memory_bytes: int
    cores: int
    gpu_bytes: int = 0

    @property
    def usable_bytes(self) -> int:
        return max(0, int(self.memory_bytes * (1 - OTHERS_SHARE)) - OTHERS_BYTES)

    def fits(self, entry: Entry) -> bool:
        return entry.memory_bytes <= self.usable_bytes

    def is_quick(self, entry: Entry) -> bool:
        return entry.bytes <= self.cores * BYTES_PER_CORE

    def fits_gpu(self, entry: Entry) -> bool:
        return bool(entry.ollama) and 0 < entry.bytes * GPU_SPARE <= self.gpu_bytes


@cache
def this_machine() -> Machine:
    """Looked at once in a process."""
    return Machine(memory_bytes=_memory(), cores=cores(), gpu_bytes=_gpu())


def free_memory() -> int:
    """Bytes that can be had now without swapping; 0 when the system does not say."""
    return _meminfo().get("MemAvailable", 0)


def _memory() -> int:
    total = _meminfo().get("MemTotal", 0)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        limit = "max"
    return min(total or int(limit), int(limit)) if limit.isdecimal() else total


def _meminfo() -> dict[str, int]:
    """Bytes by name. Where there is no /proc (macOS), `sysctl` says the total."""
    found: dict[str, int] = {}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _colon, value = line.partition(":")
            number, _space, unit = value.strip().partition(" ")
            found[name] = int(number) * (1024 if unit == "kB" else 1)
    except OSError:
        text = _ask(["sysctl", "-n", "hw.memsize"])
        found = {"MemTotal": int(text), "MemAvailable": int(text)} if text.isdecimal() else {}
    return found


def _gpu() -> int:
    text = _ask(["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"])
    return max((int(line) * 2**20 for line in text.splitlines() if line.strip().isdecimal()), default=0)


def _ask(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
