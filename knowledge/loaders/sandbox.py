"""Parses a file in a child process with limits, so that no upload can take the worker or the machine down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import BY_CODE, Damaged, LoadError, OutOfMemory, TimedOut
from .types import Block, LoadedDocument

PROJECT = Path(__file__).resolve().parents[2]
# Address space in bytes. A 10,000-page PDF takes under 400 MB resident; shared libraries map more than they use.
MEMORY_BYTES = 1024 * 1024 * 1024
CPU_SECONDS = 240
WALL_SECONDS = 480.0
BEAT_SECONDS = 1.0


Job = tuple[Path, str]  # the file and its suffix of the registry, e.g. '.pdf'
Loaded = LoadedDocument | LoadError


def load(path: Path, suffix: str, **limits: Any) -> LoadedDocument:
    """The document in `path`. Raises only errors of `errors.py`, and what `beat` raises; see `load_many`."""
    found = load_many([(path, suffix)], **limits)[0]
    if isinstance(found, LoadError):
        raise found
    return found


def load_many(
    jobs: Sequence[Job],
    *,
    beat: Callable[[], None] | None = None,
    memory: int = MEMORY_BYTES,
    cpu: int = CPU_SECONDS,
    wall: float = WALL_SECONDS,
) -> list[Loaded]:
    """What is in each file, or why it could not be read; all in one child, which takes 0.15 s to start.

    When the child dies, what it had not finished is read again, each file in a child of its own.

    beat          called about each second while the child works, to renew a lease; when it raises, the child dies
    memory, cpu   bytes of address space and seconds of processor time for the child
    wall          seconds until it is killed
    """
    with tempfile.TemporaryDirectory(prefix="coach-load-") as folder:
        outs = [Path(folder) / f"{number}.json" for number in range(len(jobs))]
        death = _run(folder, jobs, outs, beat, memory, cpu, wall)
        found: list[Loaded | None] = [_result(out) if out.exists() else None for out in outs]
    if len(jobs) == 1:
        return [found[0] or death or Damaged()]
    limits = {"beat": beat, "memory": memory, "cpu": cpu, "wall": wall}
    return [one or load_many([job], **limits)[0] for one, job in zip(found, jobs, strict=True)]  # type: ignore[arg-type]


def _run(
    folder: str,
    jobs: Sequence[Job],
    outs: Sequence[Path],
    beat: Callable[[], None] | None,
    memory: int,
    cpu: int,
    wall: float,
) -> LoadError | None:
    """Runs the child; gives what its death means, None when it ended well."""
    arguments = [str(memory), str(cpu)]
    for (path, suffix), out in zip(jobs, outs, strict=True):
        arguments += [str(path.absolute()), suffix, str(out)]
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and module; a path is one argument, never a shell's
        [sys.executable, "-s", "-m", "knowledge.loaders.child", *arguments],
        cwd=PROJECT,
        env={"PATH": os.defpath, "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8", "TMPDIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(child, beat, wall)
    except TimedOut as error:
        return error
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    return _death(child.returncode)


def _wait(child: subprocess.Popen[bytes], beat: Callable[[], None] | None, wall: float) -> None:
    """Until the child ends. Raises TimedOut and what `beat` raises; the caller kills the child."""
    end = time.monotonic() + wall
    while True:
        try:
            child.wait(min(BEAT_SECONDS, max(0.0, end - time.monotonic())))
            return
        except subprocess.TimeoutExpired:
            if time.monotonic() >= end:
                raise TimedOut from None
            if beat is not None:
                beat()


def _result(out: Path) -> Loaded:
    with out.open(encoding="utf-8") as file:
        found = json.load(file)
    if "error" in found:
        return BY_CODE.get(found["error"], Damaged)()
    blocks = tuple(Block(start, end, tuple(headings), page) for start, end, headings, page in found["blocks"])
    return LoadedDocument(found["title"], found["text"], blocks)


def _death(code: int) -> LoadError | None:
    if code == 0:
        return None
    if code == -signal.SIGXCPU:
        return TimedOut()
    # The kernel kills who takes too much memory, and C code that gets none aborts or jumps to nowhere.
    out_of_memory = (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)
    return OutOfMemory() if code in out_of_memory else Damaged()
