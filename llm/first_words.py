"""Whose first word is still awaited in this process: with many of them, those who read already wait a little longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_awaited = 0


@contextmanager
def awaited() -> Iterator[None]:
    """Around what has to be done before a model can be asked."""
    global _awaited
    _awaited += 1
    try:
        yield
    finally:
        _awaited -= 1


def count() -> int:
    return _awaited
