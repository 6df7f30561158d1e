"""`runworker turns`: Channels' worker, which also starts looking for waiting turns by itself,
loads the embedder before the first question, and gives its turns back when it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from typing import Any

import uvloop
from channels.management.commands.runworker import Command as ChannelsCommand
from channels.worker import Worker

from coach import garbage, replay_channel
from coach.runner_channel import CHANNEL
from knowledge import search_channel
from knowledge.embedding.registry import embedder
from llm.policy import load_models

log = logging.getLogger(__name__)


class TurnWorker(Worker):
    """A worker on `turns` has the embedder, so it answers the searches and replays of web processes as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wanted: list[str] = list(self.channels)  # type: ignore[has-type]
        also = [search_channel.CHANNEL, replay_channel.CHANNEL]
        self.channels = [*wanted, *also] if CHANNEL in wanted else wanted

    async def handle(self) -> None:
        listening = asyncio.ensure_future(super().handle())
        if CHANNEL in self.channels:
            loop, stop = asyncio.get_running_loop(), asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            runner = self.get_or_create_application_instance(CHANNEL, {"type": "channel", "channel": CHANNEL})
            await runner.put({"type": "runner.start"})
            loading = asyncio.gather(
                asyncio.to_thread(embedder), asyncio.to_thread(load_models), return_exceptions=True
            )
            loading.add_done_callback(lambda _: garbage.spare_what_is_here())
            gc.set_threshold(garbage.YOUNG_OF_RUNNER)
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            done = asyncio.Event()
            await runner.put({"type": "runner.stop", "done": done})
            await asyncio.wait_for(done.wait(), timeout=5)
            loading.cancel()
            listening.cancel()
            return
        await listening


class Command(ChannelsCommand):
    worker_class: Any = TurnWorker

    def handle(self, *args: Any, **options: Any) -> None:
        # A quarter of a turn's CPU here is the event loop's own: many small reads and writes.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        super().handle(*args, **options)
