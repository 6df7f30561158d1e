"""The turn runner: a Channels worker on the channel `turns` (`manage.py runworker turns`).

A message is only a wake-up; truth is the turn's row. Each second the runner renews its leases,
looks for turns that wait or whose runner died, and for coachees who asked to stop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import UUID

from channels.consumer import AsyncConsumer
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from knowledge.database import DatabaseThreads
from llm import first_words, loops
from llm.types import Place

from . import selectors, services
from .events import Fenced, LogUnavailable, LogWriter, redis_client
from .models import Turn
from .runner_channel import HEARTBEAT_KEY
from .turn import final_event, run_turn, warm

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
_threads = DatabaseThreads("turns")

HEARTBEAT_SECONDS = 10
# A whole answer waits so long to be stored while others await their first word; its reader has the text already.
LAST_SECONDS = 0.3


class TurnRunner(AsyncConsumer):
    """One per process. Turns run as tasks; the consumer itself never waits for one."""

    channel_layer_alias = "none"  # it only receives from the worker; no channel of its own is needed

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self.tasks: dict[UUID, asyncio.Task[UUID | None]] = {}
        self.stops: dict[UUID, asyncio.Event] = {}
        self.ticker: asyncio.Task[None] | None = None
        self.warming: asyncio.Task[None] | None = None
        self.storing = asyncio.Lock()

    # --- messages --------------------------------------------------------------------------

    async def runner_start(self, _message: dict[str, Any]) -> None:
        if self.ticker is None:
            self.ticker = asyncio.create_task(self._tick_forever())

    async def runner_stop(self, message: dict[str, Any]) -> None:
        """Shut down: running turns go back to the queue unharmed, and `message["done"]` is set."""
        if self.ticker is not None:
            self.ticker.cancel()
        tasks = dict(self.tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for turn in tasks:
            await _threads.call(services.release)(turn_id=turn, runner=self.name)
        await loops.close_clients()
        message["done"].set()

    async def turn_run(self, message: dict[str, Any]) -> None:
        await self.runner_start(message)
        self._start(UUID(message["turn"]))

    async def turn_stop(self, message: dict[str, Any]) -> None:
        self._stop(UUID(message["turn"]))

    async def conversation_open(self, message: dict[str, Any]) -> None:
        """Warm the prompt of a conversation somebody opened, unless there is real work to do."""
        self._begin_warming(UUID(message["conversation"]))

    def _begin_warming(self, conversation: UUID) -> None:
        if not self.tasks and (self.warming is None or self.warming.done()):
            self.warming = asyncio.create_task(self._warm(conversation))

    async def _warm(self, conversation: UUID) -> None:
        try:
            opened = await _threads.call(selectors.opened_conversation)(conversation)
            if opened is not None:
                await warm(opened)
        except DatabaseError:
            log.warning("conversation %s could not be read for warming", conversation)

    # --- turns -----------------------------------------------------------------------------

    def _start(self, turn: UUID) -> None:
        if self.warming is not None:
            self.warming.cancel()  # a question goes first
        if turn in self.tasks or len(self.tasks) >= settings.TURNS_AT_ONCE:
            return  # the tick finds it again when there is room
        self.stops[turn] = asyncio.Event()
        task = asyncio.create_task(self._run(turn))
        self.tasks[turn] = task
        task.add_done_callback(lambda ended: self._ended(turn, ended))

    def _ended(self, turn: UUID, task: asyncio.Task[UUID | None]) -> None:
        self.tasks.pop(turn, None)
        self.stops.pop(turn, None)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("turn %s", turn, exc_info=error)
        elif (conversation := task.result()) is not None:
            self._begin_warming(conversation)

    def _stop(self, turn: UUID) -> None:
        stop, task = self.stops.get(turn), self.tasks.get(turn)
        if stop is not None and task is not None and not stop.is_set():
            stop.set()
            task.cancel()

    async def _run(self, turn: UUID) -> UUID | None:
        """The conversation, if a model of this machine should read its answer again while the coachee does: it holds
        the one it wrote, in the pieces it wrote it in, and the one stored may cite other sources."""
        try:
            with first_words.awaited():
                found = await _threads.call(self._claim)(turn)
            if found is not None:
                context, attempt = found
                outcome = await self._answer(context, attempt)
                return context.conversation if outcome.answer and outcome.place == Place.LOCAL else None
        except Fenced:
            log.warning("turn %s was taken over by another runner", turn)
        except DatabaseError:
            log.exception("turn %s: the database did not answer; its lease will run out", turn)
        return None

    def _claim(self, turn: UUID) -> tuple[selectors.TurnContext, int] | None:
        """Claim and read in one hop to the database thread."""
        attempt = services.claim(turn_id=turn, runner=self.name)
        return (selectors.turn_context(turn), attempt) if attempt else None

    async def _answer(self, context: selectors.TurnContext, attempt: int) -> services.Outcome:
        async with aclosing(LogWriter(context.turn, attempt)) as writer:
            return await self._write_answer(context, _Emitter(writer))

    async def _write_answer(self, context: selectors.TurnContext, emit: _Emitter) -> services.Outcome:
        if await emit.open():
            await emit("reset", {})
        try:
            outcome = await run_turn(context, emit, self.stops[context.turn])
        except (Fenced, asyncio.CancelledError, DatabaseError):
            raise
        except Exception:
            log.exception("turn %s failed", context.turn)
            outcome = services.Outcome(
                state=Turn.State.FAILED, failure_code="internal", failure="Something went wrong on the server."
            )
        self.stops.pop(context.turn, None)  # too late to stop: the answer is whole and will be stored
        async with self._at_last():
            stored = await _threads.call(services.finish_turn)(turn_id=context.turn, runner=self.name, outcome=outcome)
        if stored:  # outside of the line: a stream log that hangs keeps no other answer from being stored
            await emit(*final_event(outcome))
        return outcome

    @asynccontextmanager
    async def _at_last(self) -> AsyncIterator[None]:
        """After the first words of others, and one by one: all at once, they would make a burst of new questions."""
        whole = time.monotonic()
        async with self.storing:
            await first_words.others_first(LAST_SECONDS - (time.monotonic() - whole))
            yield

    # --- each second -----------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        while True:
            try:
                await self._tick()
            except DatabaseError:
                log.exception("the database did not answer")
            except LogUnavailable:
                log.warning("the stream log does not answer")
            await asyncio.sleep(TICK_SECONDS)

    async def _tick(self) -> None:
        stopped, waiting, lost = await _threads.call(self._look)()
        for turn in stopped:
            self._stop(turn)
        for turn in waiting:
            self._start(turn)
        for turn, attempts in lost:
            async with aclosing(LogWriter(turn, attempts + 1)) as writer:
                await writer.open()
                await writer.write("failed", {"code": "runner_lost", "message": "The runner died three times."})
        try:
            await redis_client().set(HEARTBEAT_KEY, self.name, ex=HEARTBEAT_SECONDS)
        except (RedisError, OSError) as error:
            raise LogUnavailable(str(error)) from error

    def _look(self) -> tuple[set[UUID], list[UUID], list[tuple[UUID, int]]]:
        stopped = services.renew_leases(runner=self.name) if self.tasks else set()
        lost = services.give_up_exhausted()
        return stopped, selectors.claimable_turns(), lost


class _Emitter:
    """Writes to the stream log; when the log is gone the turn goes on and the answer is in SQL."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._lost = False

    async def open(self) -> bool:
        try:
            return await self._writer.open()
        except LogUnavailable:
            self._lost = True
            return False

    async def __call__(self, type_: str, data: dict[str, Any]) -> None:
        if self._lost:
            return
        try:
            await self._writer.write(type_, data)
        except LogUnavailable:
            log.warning("the stream log is gone; the answer will be read from the database")
            self._lost = True
