"""One client per event loop: pooled connections of an HTTP client belong to the loop that opened them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_all: weakref.WeakSet[PerLoop[Any]] = weakref.WeakSet()


class PerLoop(Generic[T]):
    """Makes a client at its first use in each running loop and forgets it with the loop."""

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = weakref.WeakKeyDictionary()
        _all.add(self)

    def get(self) -> T:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._make()
        return client

    async def close(self) -> None:
        """Close the running loop's client, if it has one; the next `get` makes a new one."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await self._close(client)


async def close_clients() -> None:
    """Close every client of the running loop, at its end."""
    for clients in list(_all):
        await clients.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, and leaves no connection behind."""

    async def whole() -> T:
        try:
            return await work
        finally:
            await close_clients()

    return asyncio.run(whole())
