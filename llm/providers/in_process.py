"""Models that compute inside this process: one after the other in one thread, first come, first served.

Two at once would share the cores and both be slower than one after the other. What has not been asked for
IDLE_SECONDS, such as a model that another one has replaced, gives its memory back; its next call loads it again.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

from llm.types import AdapterEvent, ChatRequest, ModelId, Place

from .patience import reading_seconds

log = logging.getLogger(__name__)

IDLE_SECONDS, LOOK_SECONDS = 900.0, 30.0

_line: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
_starting = threading.Lock()
_worker: threading.Thread | None = None
_models: weakref.WeakSet[InProcessModel] = weakref.WeakSet()


class Listener:
    """The one who asked, as the computing thread sees it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[AdapterEvent | Exception | None] = asyncio.Queue()
        self._left = threading.Event()

    @property
    def left(self) -> bool:
        """True when nobody listens any more; the model has to stop then."""
        return self._left.is_set()

    def leave(self) -> None:
        self._left.set()

    def put(self, event: AdapterEvent | Exception | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # its loop was closed
            self.leave()


async def computed(work: Callable[[Listener], None]) -> AsyncGenerator[AdapterEvent]:
    """What `work` puts, from the thread, when its turn has come; what it raises is raised here.

    Closing the iterator sets `left` at once. A work that has not begun by then never does.
    """
    listener = Listener()
    _submit(lambda: _run(work, listener))
    try:
        while (event := await listener.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        listener.leave()


class InProcessModel(ABC):
    """What adapters of models in this process share. They load at the first call and keep what they loaded.

    loading_seconds    how long the first call may take more
    """

    place = Place.LOCAL
    loading_seconds: float

    def __init__(self, model_id: ModelId) -> None:
        self.id = model_id
        self._loaded: Any = None
        self._used = time.monotonic()
        _models.add(self)

    def first_token_seconds(self, request: ChatRequest) -> float:
        return reading_seconds(self.id, request) + (0 if self._loaded else self.loading_seconds)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[AdapterEvent]:
        events = computed(partial(self._use, request))
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def warm(self, request: ChatRequest) -> None:
        """Load the model; nothing of the prompt is kept. Raises errors of llm/errors.py."""
        async for _event in computed(self._only_load):
            pass

    async def aclose(self) -> None:
        self._loaded = None

    def rest(self) -> None:
        """Give the memory back when nobody has asked for IDLE_SECONDS; runs in the computing thread only."""
        if self._loaded is not None and time.monotonic() - self._used > IDLE_SECONDS:
            log.info("%s has not been asked for a while; its memory is given back", self.id)
            self._loaded = None

    def _only_load(self, _listener: Listener) -> None:
        self._used = time.monotonic()
        self._load()

    def _use(self, request: ChatRequest, listener: Listener) -> None:
        try:
            self._answer(request, listener)
        finally:
            self._used = time.monotonic()

    @abstractmethod
    def _load(self) -> Any:
        """What answering needs; runs in the computing thread only. Raises errors of llm/errors.py."""

    @abstractmethod
    def _answer(self, request: ChatRequest, listener: Listener) -> None:
        """Put the answer's events; runs in the computing thread only. Raises errors of llm/errors.py."""


def waiting() -> int:
    """How many wait in line behind the one that computes."""
    return _line.qsize()


def _run(work: Callable[[Listener], None], listener: Listener) -> None:
    if listener.left:
        return
    try:
        work(listener)
    except Exception as error:
        if listener.left:
            log.warning("a model failed after its listener had left: %s", error)
        listener.put(error)
    else:
        listener.put(None)


def _submit(job: Callable[[], None]) -> None:
    global _worker
    with _starting:
        if _worker is None or not _worker.is_alive():
            # A daemon: loading may take a minute, and nobody should wait for it at the end of the process.
            _worker = threading.Thread(target=_serve, name="in-process models", daemon=True)
            _worker.start()
    _line.put(job)


def _serve() -> None:
    while True:
        try:
            job = _line.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            for model in list(_models):
                model.rest()
        else:
            job()
