"""The vector index: the only file that talks to Chroma.

One collection per base and index generation, cosine space, ids are those of entry_ids.py as text; no documents, no
metadata (a `where` filter costs six times the query), no embedding function (CVE-2026-45829: we make the vectors).

It speaks Chroma's REST API v2 itself, because the `chromadb` client sets no time-outs, so a server that hangs would
hang a turn, and because importing it costs each process 20 to 45 MB.

Workers write through plain functions. The runner asks through `query_entries`, and with aiohttp: httpx looks at every
connection of its pool for every request, which cost 4 ms a query when fifty people ask, aiohttp 0.3.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import numpy.typing as npt
import orjson
from django.conf import settings

from config.services import read_services
from llm.loops import PerLoop

from .entry_ids import chunk_of
from .errors import IndexUnavailable

if TYPE_CHECKING:
    import aiohttp

Vectors = npt.NDArray[np.float32]

_ROOT = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_JSON = {"content-type": "application/json"}
QUERY_SECONDS, QUERY_CONNECT_SECONDS = 3.0, 1.0
WRITE_TIMEOUT = httpx.Timeout(60.0, connect=2.0)
ADD_BATCH = 500
LIST_BATCH = 5000
# Of `mend`: vectors of one request, cosine distance of equal vectors as Chroma rounds it, and the most tries.
LOOK_BATCH, SAME_VECTOR, MOST_WRITES = 256, 1e-5, 3


COLLECTION_PREFIX = "kb"  # services.live_generation names collections; ids never start so


class _Gone(Exception):
    """The server does not know this collection (any more)."""


class _Refused(Exception):
    """The server answered with an error."""


class _Server:
    """Where Chroma is, and the ids it gave our collections; shared by all threads of the process."""

    def __init__(self) -> None:
        self.url = ""
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def base(self) -> str:
        if not self.url:
            self.move(settings.CHROMA_URL)
        return self.url + _ROOT

    def move(self, url: str) -> None:
        with self._lock:
            self.url = url.rstrip("/")
            self._ids.clear()

    def look_again(self) -> bool:
        """After a failed connection: True when `up` has moved the server meanwhile, or the settings changed."""
        fresh = "" if os.environ.get("CHROMA_URL") else read_services(settings.DATA_DIR).get("chroma", "")
        for url in (fresh, settings.CHROMA_URL):
            if url and url.rstrip("/") != self.url:
                self.move(url)
                return True
        return False

    def id_of(self, collection: str) -> str | None:
        return self._ids.get(collection)

    def learn(self, collection: str, id_: str) -> None:
        self._ids[collection] = id_

    def forget(self, collection: str) -> None:
        self._ids.pop(collection, None)


_server = _Server()
_threads = threading.local()


# --- writing, from workers -----------------------------------------------------------------------


def create(collection: str) -> None:
    """Make the collection unless it is there. Raises IndexUnavailable."""
    body = {"name": collection, "get_or_create": True, "configuration": {"hnsw": {"space": "cosine"}}}
    with _plain_errors():
        found = _send("POST", "", body)
        _server.learn(collection, found["id"])


def add(collection: str, ids: Sequence[int], vectors: Vectors) -> None:
    """Store vectors (float32, (n, dimensions)) under their chunk ids, replacing; makes the collection if missing.

    When it returns, the server has them in its log. Raises IndexUnavailable.
    """
    with _plain_errors():
        for at in range(0, len(ids), ADD_BATCH):
            some = vectors[at : at + ADD_BATCH]
            body = {"ids": [str(chunk) for chunk in ids[at : at + ADD_BATCH]], "embeddings": np.ascontiguousarray(some)}
            _call(collection, "POST", "/upsert", body, make=True)


def delete(collection: str, ids: Sequence[int]) -> None:
    """Forget vectors; unknown ids and an unknown collection are no error. Raises IndexUnavailable."""
    with _plain_errors(), _missing_is_fine():
        for at in range(0, len(ids), LIST_BATCH):
            _call(collection, "POST", "/delete", {"ids": [str(chunk) for chunk in ids[at : at + LIST_BATCH]]})


def drop(collection: str) -> None:
    """Delete a collection; an unknown one is no error. Raises IndexUnavailable."""
    with _plain_errors(), _missing_is_fine():
        _send("DELETE", f"/{collection}")
    _server.forget(collection)


def count(collection: str) -> int:
    """How many vectors it holds, 0 when it is unknown. Raises IndexUnavailable."""
    with _plain_errors(), _missing_is_fine():
        return int(_call(collection, "GET", "/count"))
    return 0


def ids(collection: str) -> set[int]:
    """The ids of the entries it holds. Raises IndexUnavailable."""
    found: set[int] = set()
    with _plain_errors(), _missing_is_fine():
        while True:
            body = {"limit": LIST_BATCH, "offset": len(found), "include": []}
            page = _call(collection, "POST", "/get", body)["ids"]
            found.update(map(int, page))
            if len(page) < LIST_BATCH:
                break
    return found


def damaged(collection: str, dimensions: int) -> bool:
    """True when the server is there and knows the collection, but cannot search in it. Raises IndexUnavailable."""
    body = {"query_embeddings": [[1.0] * dimensions], "n_results": 1, "include": ["distances"]}
    with _plain_errors(), _missing_is_fine():
        try:
            _call(collection, "POST", "/query", body)
        except (_Refused, httpx.ReadTimeout):
            return True
    return False


def vectors(collection: str, ids: Sequence[int]) -> tuple[list[int], Vectors]:
    """Those of these chunks that it holds, in its own order: (ids, float32 (n, dimensions)). Raises IndexUnavailable.

    Ask for a thousand at a time: an answer is 4 MB of JSON then.
    """
    with _plain_errors(), _missing_is_fine():
        body = {"ids": [str(chunk) for chunk in ids], "include": ["embeddings"]}
        page = _call(collection, "POST", "/get", body)
        return [int(chunk) for chunk in page["ids"]], np.array(page["embeddings"] or [[]], np.float32)
    return [], np.zeros((0, 0), np.float32)


def mend(collection: str, ids: Sequence[int]) -> list[int]:
    """Write again those of these entries that a search for their own vector does not find; gives them.

    Chroma's graph links a new vector to its neighbours, but each of those may refuse the link back when it has many
    neighbours of its own: the first policy among 800 near-equal courses was out of reach in 38 of 60 tries. Writing it
    once more links it through its neighbours' neighbours (found again in 105 of 105). Raises IndexUnavailable.
    """
    lost: list[int] = []
    with _plain_errors(), _missing_is_fine():
        for at in range(0, len(ids), LOOK_BATCH):
            some, found = vectors(collection, ids[at : at + LOOK_BATCH])
            for _ in range(MOST_WRITES):
                away = _out_of_reach(collection, some, found)
                if not away:
                    break
                some, found = [some[row] for row in away], found[away]
                lost += [entry for entry in some if entry not in lost]
                add(collection, some, found)
    return lost


def _out_of_reach(collection: str, ids: Sequence[int], own: Vectors) -> list[int]:
    """Rows of entries that are not found, nor another one with the same vector."""
    if not ids:
        return []
    body = {"query_embeddings": own, "n_results": 1, "include": ["distances"]}
    found = _call(collection, "POST", "/query", body)
    nearest = zip(ids, found["ids"], found["distances"], strict=True)
    return [
        row
        for row, (own_id, near, far) in enumerate(nearest)
        if near and near != [str(own_id)] and far[0] > SAME_VECTOR
    ]


# --- asking, from the runner ---------------------------------------------------------------------


async def query_vectors(collection: str, vector: Vectors, k: int) -> tuple[list[int], Vectors]:
    """The k nearest entries with their vectors: (chunk ids, a chunk of several entries as often; float32 (n, d)).

    Raises IndexUnavailable, also for an unknown collection.
    """
    body = {"query_embeddings": [np.ascontiguousarray(vector)], "n_results": k, "include": ["embeddings"]}
    data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    try:
        with _plain_errors():
            found = await _ask(collection, data)
            vectors = np.array(found["embeddings"][0], np.float32).reshape(-1, len(vector))
            return [chunk_of(int(entry)) for entry in found["ids"][0]], vectors
    except _Gone as error:
        raise IndexUnavailable from error


async def query_entries(collection: str, vector: Vectors, k: int) -> list[tuple[int, float]]:
    """The k nearest entries themselves: [(entry id, cosine)], best first; `entry_ids.chunk_of` tells their chunk.

    Raises IndexUnavailable, also for an unknown collection.
    """
    body = {"query_embeddings": [np.ascontiguousarray(vector)], "n_results": k, "include": ["distances"]}
    data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    try:
        with _plain_errors():
            found = await _ask(collection, data)
    except _Gone as error:
        raise IndexUnavailable from error
    near = zip(found["ids"][0], found["distances"][0], strict=True)
    return [(int(entry), 1.0 - distance) for entry, distance in near]


async def entry_vectors(collection: str, entries: Sequence[int]) -> tuple[list[int], Vectors]:
    """Vectors of entries, in the server's order: (entry ids, float32 (n, dimensions)). Raises IndexUnavailable."""
    data = orjson.dumps({"ids": [str(entry) for entry in entries], "include": ["embeddings"]})
    try:
        with _plain_errors():
            found = await _ask(collection, data, "/get")
    except _Gone as error:
        raise IndexUnavailable from error
    return [int(entry) for entry in found["ids"]], np.array(found["embeddings"] or [[]], np.float32)


async def _ask(collection: str, data: bytes, what: str = "/query") -> Any:
    for last in (False, True):
        try:
            id_ = _server.id_of(collection)
            if id_ is None:
                id_ = (await _request("GET", f"/{collection}"))["id"]
                _server.learn(collection, id_)
            return await _request("POST", f"/{id_}{what}", data)
        except httpx.TransportError:
            if last or not _server.look_again():
                raise
        except _Gone:
            _server.forget(collection)  # made anew by someone else: ask for its id once more
            if last:
                raise
    raise AssertionError("unreachable")


async def _request(method: str, path: str, data: bytes | None = None) -> Any:
    """As `_send`, without waiting in a thread; fails as httpx does."""
    import aiohttp

    url = _server.base() + path
    try:
        async with _sessions.get().request(method, url, data=data, headers=_JSON) as response:
            return _read(response.status, await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise httpx.TransportError(str(error)) from error


def _session() -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(QUERY_SECONDS, sock_connect=QUERY_CONNECT_SECONDS),
        connector=aiohttp.TCPConnector(limit=20, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _close(session: aiohttp.ClientSession) -> None:
    await session.close()


_sessions = PerLoop(_session, _close)


# --- one request ---------------------------------------------------------------------------------


def _call(collection: str, method: str, action: str, body: Any = None, make: bool = False) -> Any:
    """A request about one collection; raises _Gone when it is unknown and not to be made."""
    for last in (False, True):
        id_ = _server.id_of(collection)
        try:
            if id_ is None:
                id_ = _send("GET", f"/{collection}")["id"]
                _server.learn(collection, id_)
            return _send(method, f"/{id_}{action}", body)
        except _Gone:
            _server.forget(collection)
            if last:
                raise
            if make:
                create(collection)
    raise AssertionError("unreachable")


def _send(method: str, path: str, body: Any = None) -> Any:
    client = getattr(_threads, "client", None)
    if client is None:
        client = _threads.client = httpx.Client(timeout=WRITE_TIMEOUT, trust_env=False)
    data = None if body is None else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    url = _server.base() + path
    try:
        return _read_sync(client.request(method, url, content=data, headers=_JSON))
    except httpx.TransportError:
        if not _server.look_again():
            raise
        if path and not path.startswith(f"/{COLLECTION_PREFIX}"):
            raise _Gone from None  # the id belongs to the server that went away
        return _read_sync(client.request(method, _server.base() + path, content=data, headers=_JSON))


def _read_sync(response: httpx.Response) -> Any:
    return _read(response.status_code, response.content)


def _read(status: int, content: bytes) -> Any:
    if status == 404:
        raise _Gone
    if status >= 400:
        raise _Refused(content[:200])
    return orjson.loads(content) if content else None


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, _Refused, orjson.JSONDecodeError, KeyError, IndexError) as error:
        raise IndexUnavailable from error


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    try:
        yield
    except _Gone:
        return
