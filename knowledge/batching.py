"""Questions that arrive together are embedded together, by one thread per process."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from .embedding.registry import embedder
from .embedding.types import Floats

MOST_AT_ONCE = 16


@dataclass
class _Batch:
    texts: list[str] = field(default_factory=list)
    open: bool = True
    task: asyncio.Task[dict[str, Floats]] | None = None


class QueryBatcher:
    """While one batch is embedded the next one gathers: no waiting when alone, shared work under load."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embed")
        # The latest batch of each loop and embedder.
        self._latest: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Batch]] = WeakKeyDictionary()

    async def embed(self, text: str, embedder_id: str) -> Floats:
        """(dimensions,). Raises EmbedderUnavailable."""
        loop = asyncio.get_running_loop()
        latest = self._latest.setdefault(loop, {})
        batch = latest.get(embedder_id)
        if batch is None or batch.task is None or not batch.open or len(batch.texts) >= MOST_AT_ONCE:
            before = batch.task if batch else None
            batch = latest[embedder_id] = _Batch()
            batch.task = loop.create_task(self._run(batch, embedder_id, before))
        batch.texts.append(text)
        # A caller that is cancelled must not take the batch of the others with it.
        return (await asyncio.shield(batch.task))[text]

    async def _run(
        self, batch: _Batch, embedder_id: str, before: asyncio.Task[dict[str, Floats]] | None
    ) -> dict[str, Floats]:
        if before is not None and not before.done():
            await asyncio.wait([before])
        batch.open = False
        texts = list(dict.fromkeys(batch.texts))
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._thread, lambda: embedder(embedder_id).embed_queries(texts))
        return dict(zip(texts, vectors, strict=True))
