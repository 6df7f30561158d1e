"""Events of a turn, and the log that carries them from the runner to every web process.

The log of a turn is a Redis stream `turn:{id}`. Entry ids are `{attempt}-{seq}`: Redis refuses an
id that is not larger than the last one, so a runner whose lease was taken over cannot write any
more (the new attempt writes a fence first). `seq` counts on over attempts and is what clients see.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from redis import asyncio as redis_asyncio
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from llm.loops import PerLoop

LOG_SECONDS = 3600
# After the end SQL has it all; at 8 kB a turn an hour of logs would fill the broker at ten turns a second.
LOG_SECONDS_AFTER_END = 300
LOG_ENTRIES = 5000
FINAL = frozenset({"done", "stopped", "failed"})


class Fenced(Exception):
    """Another runner took this turn over; stop writing."""


class LogUnavailable(Exception):
    """The stream log cannot be reached."""


@dataclass(frozen=True, slots=True)
class Event:
    """One frame to the client: `{"type": type, "turn": …, "seq": seq, **data}`."""

    type: str
    data: dict[str, Any]
    seq: int = 0

    def frame(self, turn: UUID) -> str:
        return json.dumps({"type": self.type, "turn": str(turn), "seq": self.seq, **self.data}, ensure_ascii=False)


def redis_client() -> redis_asyncio.Redis:
    """The running loop's client."""
    return _clients.get()


def _client() -> redis_asyncio.Redis:
    # socket_timeout=None: a blocking XREAD must outlive redis-py's default of 5 s.
    client: redis_asyncio.Redis = redis_asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=None, socket_connect_timeout=2, max_connections=2000
    )
    return client


async def _close(client: redis_asyncio.Redis) -> None:
    await client.aclose()


_clients = PerLoop(_client, _close)


def log_key(turn: UUID) -> str:
    return f"turn:{turn}"


class Line:
    """One connection of the pool, lent to one reader or writer of a log.

    The client's own layers (pool, retries, telemetry) cost twice what the command costs, and a turn
    writes some thirty of them. Raises ResponseError, LogUnavailable.
    """

    def __init__(self) -> None:
        self._connection: Any = None

    async def ask(self, *command: str | int) -> Any:
        try:
            if self._connection is None:
                self._connection = await redis_client().connection_pool.get_connection()
            connection = self._connection
            await connection.send_packed_command(connection.pack_command(*command), check_health=False)
            return await connection.read_response()  # a cancelled read closes the connection; the next one reopens it
        except OutOfMemoryError as error:
            raise LogUnavailable(str(error)) from error
        except ResponseError:
            raise
        except (RedisError, OSError) as error:
            raise LogUnavailable(str(error)) from error

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await redis_client().connection_pool.release(connection)


class LogWriter:
    """Writes the events of one attempt. Raises Fenced and LogUnavailable. Close it at the end."""

    def __init__(self, turn: UUID, attempt: int) -> None:
        self._key = log_key(turn)
        self._attempt = attempt
        self._seq = 0
        self._line = Line()
        # Tokens and notices come from two tasks; their entries must reach Redis in the order of their numbers.
        self._turnstile = asyncio.Lock()

    async def open(self) -> bool:
        """Fence off earlier attempts. True when an earlier attempt had written events already."""
        try:
            await self._line.ask("XADD", self._key, f"{self._attempt}-0", "e", "")
            await self._line.ask("EXPIRE", self._key, LOG_SECONDS)
            last = await self._line.ask("XREVRANGE", self._key, "+", "-", "COUNT", 2)
        except ResponseError as error:
            raise Fenced(str(error)) from error
        earlier = [entry_id for entry_id, fields in last if fields[1]]
        if earlier:
            self._seq = int(earlier[0].partition(b"-")[2])
        return bool(earlier)

    async def write(self, type_: str, data: dict[str, Any]) -> Event:
        body = json.dumps({"type": type_, **data}, ensure_ascii=False)
        async with self._turnstile:
            # Counted before it is sent: an entry whose answer was not waited for (stop) may be there.
            self._seq += 1
            event = Event(type=type_, data=data, seq=self._seq)
            entry_id = f"{self._attempt}-{event.seq}"
            try:
                await self._line.ask("XADD", self._key, "MAXLEN", "~", LOG_ENTRIES, entry_id, "e", body)
                if type_ in FINAL:
                    await self._line.ask("EXPIRE", self._key, LOG_SECONDS_AFTER_END)
            except ResponseError as error:
                raise Fenced(str(error)) from error
            return event

    async def aclose(self) -> None:
        await self._line.close()


async def read_log(turn: UUID, *, block: float) -> AsyncGenerator[list[Event]]:
    """Batches of events from the first on, as they come; an empty batch after `block` seconds of silence.

    Ends after a final event. Raises LogUnavailable. Close it (aclosing) when leaving early.
    """
    key, last, line = log_key(turn), "0-0", Line()
    try:
        while True:
            found = await line.ask("XREAD", "COUNT", 500, "BLOCK", int(block * 1000), "STREAMS", key, last)
            entries = _entries(found)
            if entries:
                last = entries[-1][0].decode()
            events = [_event(entry_id, fields[1]) for entry_id, fields in entries if fields[1]]
            if entries and not events:
                continue  # a fence: somebody is at work
            yield events
            if events and events[-1].type in FINAL:
                return
    finally:
        await line.close()


def _entries(found: Any) -> list[tuple[bytes, list[bytes]]]:
    """The entries of the one stream we asked for; RESP2 answers a list, RESP3 a mapping."""
    if not found:
        return []
    return next(iter(found.values())) if isinstance(found, dict) else found[0][1]


def _event(entry_id: bytes, body: bytes) -> Event:
    data = json.loads(body)
    return Event(type=data.pop("type"), data=data, seq=int(entry_id.partition(b"-")[2]))
