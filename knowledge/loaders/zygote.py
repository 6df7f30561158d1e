"""The parent of the processes that parse: `python -m knowledge.loaders.zygote SOCKET`, one for each worker process.

It imports the loaders once and forks a fresh child for each group of files, so that starting one takes
milliseconds and nothing of a file outlives its group. It never parses anything itself.

    worker ──(name of a request, a connection)──► zygote ── fork ──► child: child.run
           ◄──────── how the child ended ────────┘
           closing the connection ends the child

The zygote ends with its worker, because their socket closes then, and after IDLE_SECONDS without work.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from . import child, loader_for

IDLE_SECONDS = 900.0
# How a child ends that got no memory while it wrote its result.
NO_MEMORY = 3
_NAME_BYTES = 4096
_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


class _Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, socket.socket] = {}
        self._waiting = selectors.DefaultSelector()
        self._wake, tick = socket.socketpair()
        for end in (self._wake, tick):
            end.setblocking(False)
        self._tick = tick
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(tick.fileno(), warn_on_full_buffer=False)
        self._waiting.register(control, selectors.EVENT_READ)
        self._waiting.register(self._wake, selectors.EVENT_READ)
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        """Until the worker is gone or nothing came for IDLE_SECONDS."""
        while True:
            ready = self._waiting.select(IDLE_SECONDS)
            if not ready and not self._children:
                return
            for key, _ in ready:
                if key.fileobj is self._control:
                    if not self._take():
                        return
                elif key.fileobj is self._wake:
                    self._reap()
                else:
                    _kill(key.data)
                    self._waiting.unregister(key.fileobj)

    def _take(self) -> bool:
        """Start the child of a request; False when the worker is gone."""
        name, descriptors, _, _ = socket.recv_fds(self._control, _NAME_BYTES, 1)
        if not name:
            for pid in self._children:
                _kill(pid)
            return False
        connection = socket.socket(fileno=descriptors[0])
        with contextlib.suppress(OSError, ValueError):
            request = json.loads(Path(os.fsdecode(name)).read_bytes())
            with contextlib.suppress(ImportError):  # then the child tells of it
                for suffix in {suffix for _, suffix, _ in request["jobs"]}:
                    loader_for(suffix)
            gc.freeze()
            pid = os.fork()
            if pid == 0:
                self._be_child(request, connection)
            self._children[pid] = connection
            self._waiting.register(connection, selectors.EVENT_READ, pid)
            return True
        connection.close()  # the request was withdrawn, or the machine starts no more processes
        return True

    def _be_child(self, request: dict[str, Any], own: socket.socket) -> None:
        """Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            self._libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            self._waiting.close()
            for connection in (own, self._control, self._wake, self._tick, *self._children.values()):
                connection.close()
            child.run(request)
            code = 0
        except MemoryError:
            code = NO_MEMORY
        finally:
            os._exit(code)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # what the child had started itself
            connection = self._children.pop(pid)
            with contextlib.suppress(KeyError):
                self._waiting.unregister(connection)
            with contextlib.suppress(OSError):
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            connection.close()


def _kill(pid: int) -> None:
    """The child with all it has started: it leads a session of its own."""
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


if __name__ == "__main__":
    _Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()
