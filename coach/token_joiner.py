"""Fewer, larger pieces of text on their way to the coachee."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

Emit = Callable[[str, dict[str, Any]], Awaitable[None]]

JOIN_SECONDS = 0.025


class TokenJoiner:
    """Sends the first piece of text at once and joins later ones for up to 25 ms into one event."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._parts: list[str] = []
        self._ready = asyncio.Event()
        self._sending = asyncio.Lock()
        self._pump = asyncio.create_task(self._run())

    def add(self, text: str) -> None:
        if self._pump.done():
            self._pump.result()  # raises what stopped the pump, e.g. Fenced
        if text:
            self._parts.append(text)
            self._ready.set()

    async def _run(self) -> None:
        while True:
            await self._ready.wait()
            await self.flush()
            await asyncio.sleep(JOIN_SECONDS)

    async def flush(self) -> None:
        self._ready.clear()
        async with self._sending:
            if self._parts:
                text, self._parts = "".join(self._parts), []
                await self._emit("token", {"text": text})

    def drop(self) -> None:
        self._parts = []

    async def close(self) -> None:
        async with self._sending:  # a piece on its way is not torn off
            self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
