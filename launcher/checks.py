"""What must hold before anything is started: one start per data folder, a free port, room on the disk."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from pathlib import Path

from .errors import StartError
from .plan import HOST, Plan

LEAST_FREE_BYTES = 500_000_000


class Lock:
    """`<data>/run/up.lock`, held with flock: the kernel lets go of it however this process ends."""

    def __init__(self, plan: Plan) -> None:
        self._path = plan.run_dir / "up.lock"
        self._url = plan.url
        self._handle = -1

    def acquire(self) -> None:
        """Raises StartError with the address of the start that holds the lock."""
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                where = os.pread(handle, 200, 0).decode(errors="replace") or "with the same data folder"
                os.close(handle)
                raise StartError(f"AI Coach already runs here: {where}") from None
            if _is_still(handle, self._path):
                break
            os.close(handle)  # its holder removed the file while we waited for nothing: look again
        os.ftruncate(handle, 0)
        os.pwrite(handle, self._url.encode(), 0)
        self._handle = handle

    def release(self) -> None:
        if self._handle >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def check_port(port: int) -> None:
    """Raises StartError when nothing can listen on this port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise StartError(
                    f"Port {port} is reserved for the administrator; start with PORT=8000 make run."
                ) from error
            other = 8010 if port != 8010 else 8020
            raise StartError(
                f"Port {port} is in use by another program; start with PORT={other} make run, or stop that program."
            ) from error


def check_disk(folder: Path) -> None:
    """Raises StartError when less than 500 MB are free where `folder` lies."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise StartError(
            f"Only {free // 1_000_000} MB are free where {folder} lies and at least {LEAST_FREE_BYTES // 1_000_000} MB "
            "are needed; free some space or set COACH_DATA_DIR to a folder on another disk."
        )
