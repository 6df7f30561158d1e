"""`pip install … | python install_progress.py TITLE COUNT LOG`: pip's output as one line of progress.

All lines go to LOG. An error of pip ends in one plain sentence. Only the standard library: it runs
in a virtual environment that is still empty.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterable
from typing import TextIO

PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
SENTENCES = [
    (
        ("No space left on device", "Errno 28", "Disk quota exceeded"),
        "The disk is full; free some space and start again.",
    ),
    (
        (
            "NewConnectionError",
            "ConnectTimeout",
            "ReadTimeout",
            "NameResolution",
            "Failed to establish",
            "Connection broken",
            "IncompleteRead",
            "ProxyError",
            "ConnectionReset",
            "SSLError",
            "Temporary failure",
        ),
        "The packages could not be downloaded; check the network connection and start again.",
    ),
    (("DO NOT MATCH THE HASHES",), "A downloaded package was damaged; start again."),
    (("Permission denied", "Errno 13"), "A file could not be written; check who owns this folder."),
    (
        ("No matching distribution", "Could not find a version"),
        "A package was not found; check the network connection, and that pip's index has it.",
    ),
]


class Progress:
    """Rewrites one line on a terminal; prints only the end result elsewhere."""

    def __init__(self, title: str, count: int, out: TextIO) -> None:
        self.title, self.count, self.out = title, count, out
        self.found, self.current = 0, ""
        self.live, self.drawn = out.isatty(), 0.0
        self.started = time.monotonic()

    def line(self, text: str) -> None:
        progress = PROGRESS.match(text)
        if progress:
            self._draw(f"{_megabytes(progress[1])} of {_megabytes(progress[2])} MB")
        elif text.startswith("Collecting "):
            self.found += 1
            self.current = re.split(r"[=<>!~ \[(;]", text.removeprefix("Collecting ").strip())[0]
            self._draw("")
        elif text.startswith("Installing collected packages"):
            self.current = "writing the files, this takes a minute"
            self._draw("", now=True)

    def _draw(self, detail: str, *, now: bool = False) -> None:
        if not self.live or not (now or time.monotonic() - self.drawn > 0.1):
            return
        self.drawn = time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        text = f"  installing {self.title}: {min(self.found, self.count)} of {self.count}  {self.current} {detail}"
        self.out.write(f"\r{text[:width]:<{width}}")
        self.out.flush()

    def end(self, *, well: bool) -> None:
        if self.live:
            self.out.write(f"\r{'':<{shutil.get_terminal_size().columns - 1}}\r")
        if well:
            self.out.write(f"  {'installed ' + self.title:<50}{time.monotonic() - self.started:6.1f} s\n")
        self.out.flush()


def _megabytes(text: str) -> str:
    return f"{int(text) / 1e6:.1f}"


def sentence(lines: Iterable[str], log: str) -> str:
    """What went wrong, in plain words."""
    text = "\n".join(lines)
    for signs, plain in SENTENCES:
        if any(sign in text for sign in signs):
            return f"{plain} (pip's own words are in {log})"
    return f"The packages could not be installed; the reason is in {log}."


def main(arguments: list[str]) -> int:
    title, count, log = arguments
    progress = Progress(title, int(count), sys.stdout)
    errors: list[str] = []
    with open(log, "a", encoding="utf-8") as file:
        for text in sys.stdin:
            if not PROGRESS.match(text):
                file.write(text)
            if text.lstrip().startswith(("ERROR", "WARNING: Retrying", "OSError")):
                errors.append(text)
            progress.line(text)
    failed = any(not text.lstrip().startswith("WARNING") for text in errors)
    progress.end(well=not failed)
    if failed:
        print(f"error: {sentence(errors, log)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nStopped; the next start goes on from here.", file=sys.stderr)
        sys.exit(130)
