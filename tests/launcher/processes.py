"""Looking at processes through /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path


def mentioning(text: str) -> dict[int, str]:
    """Living processes whose command line or environment holds `text`, without this one: pid and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if command and text.encode() in command + environment:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def wait_until_gone(text: str, seconds: float = 20.0) -> dict[int, str]:
    """What `mentioning` still finds after at most `seconds`; {} is what one hopes for."""
    deadline = time.monotonic() + seconds
    while (found := mentioning(text)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
