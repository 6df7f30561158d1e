"""How the admin has a turn replayed: the runners, which have the models and the embedder, listen on a channel.

A lost wake-up is harmless: the page that waits for the answer sends it again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer
from channels.layers import get_channel_layer
from django.utils.translation import gettext as _
from django.utils.translation import override
from redis.exceptions import RedisError

from knowledge.database import DatabaseThreads

from . import replay_jobs
from .models import Replay

log = logging.getLogger(__name__)
CHANNEL = "coach-replay"
SAVE_SECONDS = 0.7
_threads = DatabaseThreads("replays")


def wake(replay_id: UUID, language: str) -> None:
    """From a page; never raises when the broker is away. language: of the sentences about what went wrong."""
    message = {"type": "replay.run", "replay": str(replay_id), "language": language}
    try:
        async_to_sync(get_channel_layer().send)(CHANNEL, message)
    except (RedisError, OSError):
        log.warning("the broker does not answer; the page asks again")


class Replayer(AsyncConsumer):
    """One replay at a time in each runner: conversations come first."""

    channel_layer_alias = "none"  # it only receives from the worker; no channel of its own is needed

    def __init__(self) -> None:
        self.tasks: dict[UUID, asyncio.Task[None]] = {}
        self.one = asyncio.Semaphore(1)

    async def replay_run(self, message: dict[str, Any]) -> None:
        replay_id = UUID(message["replay"])
        if replay_id not in self.tasks:
            task = asyncio.create_task(self._run(replay_id, message["language"]))
            self.tasks[replay_id] = task
            task.add_done_callback(lambda _task: self.tasks.pop(replay_id, None))

    async def _run(self, replay_id: UUID, language: str) -> None:
        async with self.one:
            row = await _threads.call(replay_jobs.claim)(replay_id=replay_id)
            if row is not None:
                with override(language):
                    await self._answer(row)

    async def _answer(self, row: Replay) -> None:
        from .replay import Change, ReplayFailed, replay  # the web process imports this module, and no model

        text = ""

        async def written(so_far: str) -> None:
            nonlocal text
            text = so_far

        answer = asyncio.ensure_future(replay(row.turn_id, Change(row.model, row.prompt, row.search), written))
        try:
            while not (await asyncio.wait({answer}, timeout=SAVE_SECONDS))[0]:
                if not await _threads.call(replay_jobs.progress)(replay_id=row.pk, answer=text):
                    await _threads.call(replay_jobs.stopped)(replay_id=row.pk)
                    return
            found = answer.result()
            await _threads.call(replay_jobs.finish)(replay_id=row.pk, answer=found.answer, result=result_data(found))
        except ReplayFailed as error:
            await _threads.call(replay_jobs.fail)(replay_id=row.pk, sentence=str(error))
        except Exception:
            log.exception("replay %s", row.pk)
            await _threads.call(replay_jobs.fail)(replay_id=row.pk, sentence=_("Something went wrong on the server."))
        finally:
            answer.cancel()


def result_data(found: Any) -> dict[str, Any]:
    """A replay.Replayed as `Replay.result`."""
    return {
        "model": found.model,
        "place": found.place,
        "exact": found.exact,
        "sources": list(found.sources),
        "citations": list(found.citations),
        "seconds": found.seconds,
    }
