"""How a process without an embedder searches: it asks a process that has one, over the channel layer.

Web processes import no embedder. `ask` sends the question to the channel `knowledge-search`, where
`Searcher` listens in the turn runner's process (`manage.py runworker turns knowledge-search`), and waits
for the reply on a channel of its own. With several runners each answers and the first reply counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from channels.consumer import AsyncConsumer
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from .errors import KnowledgeError, SearchUnavailable
from .types import Passage, SearchResult

log = logging.getLogger(__name__)

CHANNEL = "knowledge-search"
WAIT_SECONDS = 10.0
_REPLY_PREFIX = "knowledge.reply"
_OPTIONS = ("bases", "k", "language")


async def ask(query: str, *, bases: Sequence[int], k: int = 5, language: str = "") -> SearchResult:
    """As `retrieval.search`, answered by a runner. Raises SearchUnavailable when none answers in time."""
    return unpack(await _ask("knowledge.search", {"query": query, "bases": list(bases), "k": k, "language": language}))


async def explain(
    query: str, *, bases: Sequence[int], k: int = 5, language: str = "", generation: int | None = None
) -> dict[str, Any]:
    """As `bench.explained`, answered by a runner. Raises SearchUnavailable when none answers in time."""
    question = {"query": query, "bases": list(bases), "k": k, "language": language, "generation": generation}
    return dict(await _ask("knowledge.explain", question))


async def _ask(kind: str, question: dict[str, Any]) -> Any:
    layer = get_channel_layer()
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            reply = await layer.new_channel(_REPLY_PREFIX)
            # Listening starts before the question is sent: the layer keeps nothing for an absent listener.
            answer = asyncio.ensure_future(layer.receive(reply))
            await asyncio.sleep(0)
            try:
                await layer.send(CHANNEL, {"type": kind, "reply": reply, **question})
                message: dict[str, Any] = await answer
            finally:
                answer.cancel()
    except (TimeoutError, RedisError, OSError) as error:
        raise SearchUnavailable from error
    if message.get("error"):
        raise SearchUnavailable
    return message["result"]


def unpack(data: dict[str, Any]) -> SearchResult:
    """The opposite of `dataclasses.asdict` of a SearchResult."""
    return SearchResult(**{**data, "passages": tuple(Passage(**passage) for passage in data["passages"])})


class Searcher(AsyncConsumer):
    """Answers searches; each runs as a task, so that a slow one holds up no other."""

    channel_layer_alias = "none"  # it only receives from the worker; no channel of its own is needed

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    async def knowledge_search(self, message: dict[str, Any]) -> None:
        self._start(message, self._search)

    async def knowledge_explain(self, message: dict[str, Any]) -> None:
        self._start(message, self._explain)

    def _start(self, message: dict[str, Any], find: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
        task = asyncio.create_task(self._answer(message, find))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _search(self, message: dict[str, Any]) -> dict[str, Any]:
        from . import retrieval

        return asdict(await retrieval.search(message["query"], **{name: message[name] for name in _OPTIONS}))

    async def _explain(self, message: dict[str, Any]) -> dict[str, Any]:
        from . import bench

        options = {name: message[name] for name in (*_OPTIONS, "generation")}
        return await bench.explained(query=message["query"], **options)

    async def _answer(
        self, message: dict[str, Any], find: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    ) -> None:
        from .embedding.errors import EmbedderUnavailable

        try:
            reply: dict[str, Any] = {"type": "knowledge.found", "result": await find(message)}
        except (KnowledgeError, EmbedderUnavailable) as error:
            log.warning("a search failed: %s", error)
            reply = {"type": "knowledge.found", "error": "search_unavailable"}
        try:
            await get_channel_layer().send(message["reply"], reply)
        except (RedisError, OSError):
            log.warning("the broker does not answer; a search has no reply")
