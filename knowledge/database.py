"""How the event loop of a runner asks the database: threads of its own, and as few rows as there are answers.

In a process whose event loop is busy, each time a thread lets go of Python's lock it may wait 5 ms to get it back.
The sqlite3 module lets go of it for every statement and every row; psycopg once for a whole answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import orjson
from channels.db import database_sync_to_async
from django.db import connection

P = ParamSpec("P")
R = TypeVar("R")

# One for SQLite: what writes waits for the same lock anyway, and threads that only wait for Python's lock cost 20 %.
SQLITE_THREADS, SERVER_THREADS = 1, 4


class DatabaseThreads:
    """A few threads, each with its database connection, for the functions of one purpose."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    def shutdown(self) -> None:
        """End the threads, and their connections with them; the next call makes new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def call(self, function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        """The function as a coroutine that runs in one of the threads."""
        if self._pool is None:
            count = SQLITE_THREADS if connection.vendor == "sqlite" else SERVER_THREADS
            self._pool = ThreadPoolExecutor(count, thread_name_prefix=self._name)
        return database_sync_to_async(function, thread_sensitive=False, executor=self._pool)


def rows(statement: str, values: Sequence[Any] | Mapping[str, Any], columns: int) -> list[Sequence[Any]]:
    """All rows of a SELECT with so many columns, in its order; no column may be binary.

    SQLite hands them out as one JSON text: dates, UUIDs and JSON come as it stores them, as text.
    """
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute(statement, values)
            return list(cursor.fetchall())
        names = ", ".join(f"c{number}" for number in range(columns))
        cursor.execute(
            f"WITH found ({names}) AS ({statement}) SELECT json_group_array(json_array({names})) FROM found",  # noqa: S608
            values,
        )
        return list(orjson.loads(cursor.fetchone()[0]))
