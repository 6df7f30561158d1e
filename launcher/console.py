"""The few lines that a start prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WIDTH = 50


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print `title` with the seconds it took, once it is done."""
    live, done = sys.stdout.isatty(), False
    if live:
        print(f"  {title} …", end="", flush=True)
    started = time.monotonic()
    try:
        yield
        done = True
    finally:
        if live and not done:
            print(flush=True)
    print(f"{chr(13) if live else ''}  {title:<{_WIDTH}}{time.monotonic() - started:6.1f} s", flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def note(text: str) -> None:
    """A line below the step it belongs to."""
    print(f"  {text}", flush=True)


def complain(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
