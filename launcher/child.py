"""`python -S child.py SIGNAL NICE COMMAND…`: becomes COMMAND, and gets SIGNAL when its parent dies.

Without this, a `kill -9` of the process manager would leave its children behind. Run as a plain
file: it must cost nothing, so it imports no more than it needs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int) -> None:
    """Ask Linux to send `signal_number` to this process when its parent ends; a no-op on other systems."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the request took hold
        os.kill(os.getpid(), signal_number)


def main(arguments: list[str]) -> None:
    signal_name, nice, *command = arguments
    die_with_parent(getattr(signal, f"SIG{signal_name}"))
    os.nice(int(nice))
    os.execv(command[0], command)  # noqa: S606 - it is the point of this file


if __name__ == "__main__":
    main(sys.argv[1:])
