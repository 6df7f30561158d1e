"""Parses a file in a child process with limits, so that no upload can take the worker or the machine down."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import ocr
from .errors import BY_CODE, Damaged, LoadError, OutOfMemory, TimedOut
from .types import Block, LoadedDocument

PROJECT = Path(__file__).resolve().parents[2]
# Address space in bytes. A 10,000-page PDF takes under 400 MB resident; shared libraries map more than they use.
MEMORY_BYTES = 1024 * 1024 * 1024
CPU_SECONDS = 240
WALL_SECONDS = 480.0
# A person waits for a picture; a page of text takes 0.1 s.
DRAW_CPU_SECONDS, DRAW_WALL_SECONDS = 8, 20.0
BEAT_SECONDS = 1.0
_REAP_SECONDS = 10.0
_NO_MEMORY = 3  # of zygote.py


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
    """What is in each file, or why it could not be read; all in one child, forked from a zygote in milliseconds.

    When the child dies, what it had not finished is read again, each file in a child of its own.

    beat          called about each second while the child works, to renew a lease; when it raises, the child dies
    memory, cpu   bytes of address space and seconds of processor time for the child
    wall          seconds until it is killed
    """
    with tempfile.TemporaryDirectory(prefix="coach-load-", ignore_cleanup_errors=True) as folder:
        outs = [Path(folder) / f"{number}.json" for number in range(len(jobs))]
        request = {
            "jobs": [[str(path.absolute()), suffix, str(out)] for (path, suffix), out in zip(jobs, outs, strict=True)],
            "pictures": [],
            "memory": memory,
            "cpu": cpu,
            "folder": folder,
            "environment": _recognition(),
        }
        death = _run(Path(folder), request, beat, wall)
        found: list[Loaded | None] = [_result(out) if out.exists() else None for out in outs]
    if len(jobs) == 1:
        return [found[0] or death or Damaged()]
    limits = {"beat": beat, "memory": memory, "cpu": cpu, "wall": wall}
    return [one or load_many([job], **limits)[0] for one, job in zip(found, jobs, strict=True)]  # type: ignore[arg-type]


def draw(path: Path, page: int) -> bytes:
    """A page of a PDF file, from 1, as a PNG picture of some 100 kB. Raises only errors of `errors.py`."""
    with tempfile.TemporaryDirectory(prefix="coach-draw-", ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "page.png"
        request = {
            "jobs": [],
            "pictures": [[str(path.absolute()), page, str(out)]],
            "memory": MEMORY_BYTES,
            "cpu": DRAW_CPU_SECONDS,
            "folder": folder,
            "environment": {},
        }
        death = _run(Path(folder), request, None, DRAW_WALL_SECONDS)
        if not out.exists():
            raise death or Damaged()
        picture = out.read_bytes()
    if picture.startswith(b"{"):
        raise BY_CODE.get(json.loads(picture)["error"], Damaged)()
    return picture


def _recognition() -> dict[str, str]:
    from django.conf import settings  # the child imports this package and has no Django

    return ocr.installed(tuple(settings.COACH_OCR_LANGUAGES))


class _Zygote:
    """The one of this process, started when it is needed and again when it is gone (zygote.py)."""

    _process: subprocess.Popen[bytes] | None = None
    _control: socket.socket | None = None

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def ask(self, request: Path) -> socket.socket:
        """A connection on which the end of the child is told, and whose closing ends it."""
        ours, its = socket.socketpair()
        with its, self._lock:
            for _ in range(2):
                control = self._control or self._start()
                try:
                    socket.send_fds(control, [os.fsencode(request)], [its.fileno()])
                    return ours
                except (BrokenPipeError, ConnectionError):
                    self._end()
        ours.close()
        raise Damaged

    def forget(self) -> None:
        """In a forked process: the zygote is the parent's, and would outlive it with this copy of its socket."""
        if self._control is not None:
            self._control.close()
        self._control = self._process = None
        self._lock = threading.Lock()  # another thread may have held it

    def _start(self) -> socket.socket:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-s", "-m", "knowledge.loaders.zygote", str(its.fileno())],
                cwd=PROJECT,
                env={"PATH": os.defpath, "PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8"},
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self._control

    def _end(self) -> None:
        """It is gone already, or goes when its socket closes."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait(_REAP_SECONDS)
        self._control = self._process = None


_zygote = _Zygote()
os.register_at_fork(after_in_child=_zygote.forget)


def _run(folder: Path, request: dict[str, Any], beat: Callable[[], None] | None, wall: float) -> LoadError | None:
    """Runs the child; gives what its death means, None when it ended well."""
    name = folder / "request.json"
    name.write_text(json.dumps(request), encoding="utf-8")
    end = time.monotonic() + wall
    for _ in range(2):
        with _zygote.ask(name) as connection:
            try:
                code = _wait(connection, beat, end)
            except TimedOut as error:
                return error
            finally:
                _stop(connection)
        if code is not None:
            return _death(code)
    return OutOfMemory()  # the zygote itself died, twice: the kernel had no memory for anything


def _wait(connection: socket.socket, beat: Callable[[], None] | None, end: float) -> int | None:
    """How the child ended; None when its zygote is gone. Raises TimedOut and what `beat` raises."""
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimedOut
        connection.settimeout(min(BEAT_SECONDS, left))
        try:
            said = connection.recv(64)
            return int(said) if said else None
        except TimeoutError:
            if beat is not None:
                beat()


def _stop(connection: socket.socket) -> None:
    """End the child if it still runs, and wait until it has: its folder is removed next."""
    try:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_REAP_SECONDS)
        while connection.recv(64):
            pass
    except OSError:
        return


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
    # The kernel kills who takes too much memory, and C code that gets none aborts, traps or jumps to nowhere.
    signals = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP, signal.SIGILL)
    return OutOfMemory() if code == _NO_MEMORY or -code in signals else Damaged()
