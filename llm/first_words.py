"""Whose first word is still awaited in this process: with many of them, those who read already wait a little longer,
and whole answers are stored later.

For one event loop in one process, the runner's: nothing here is safe between threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_awaited = 0
_waiting: set[asyncio.Future[None]] = set()


@contextmanager
def awaited() -> Iterator[None]:
    """Around what has to be done before a model can be asked."""
    global _awaited
    _awaited += 1
    try:
        yield
    finally:
        _awaited -= 1
        if not _awaited:
            for others_heard in _waiting:
                others_heard.set_result(None)
            _waiting.clear()


def count() -> int:
    return _awaited


async def others_first(longest: float) -> None:
    """Returns when nobody of this event loop awaits a first word any more, at the latest after so many seconds."""
    if _awaited and longest > 0:
        heard = asyncio.get_running_loop().create_future()
        _waiting.add(heard)
        try:
            await asyncio.wait([heard], timeout=longest)
        finally:
            _waiting.discard(heard)
