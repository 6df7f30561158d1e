"""The websocket of the chat page: `/ws/chat/` (docs/protocol.md).

The consumer stores questions and passes events on; it knows no model. Whatever a frame says, the
socket stays open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.selectors import token_is_valid

from . import selectors, services
from .errors import NotFound, Refusal
from .events import Event, LogUnavailable, read_log
from .models import Turn
from .runner_channel import wake_runner

FRAME_BYTES = 16 * 1024
SILENCE_SECONDS = 2.0
UNAUTHENTICATED = 4401


class BadFrame(Exception):
    """A frame that cannot be understood; `code` goes back to the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SignedOut(Exception):
    """The token was revoked while its socket was open."""


class ChatConsumer(AsyncWebsocketConsumer):
    channel_layer_alias = "none"  # events come from the stream log, not from a channel of each socket

    async def connect(self) -> None:
        self.tails: dict[UUID, asyncio.Task[None]] = {}
        self.user = self.scope.get("user")
        self.language = self.scope.get("language", "en")
        await self.accept()
        if self.user is None or not self.user.is_authenticated:
            await self._error("unauthenticated", _("Sign in first."))
            await self.close(code=UNAUTHENTICATED)

    async def disconnect(self, code: int) -> None:
        for task in self.tails.values():
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.user is None or not self.user.is_authenticated:
            return  # it was told so and closed; this frame was on its way already
        with override(self.language):
            try:
                frame = _parse(text_data)
                await self._act(frame)
            except SignedOut:
                await self._error("unauthenticated", _("Sign in again."))
                await self.close(code=UNAUTHENTICATED)
            except BadFrame as error:
                await self._error(error.code, str(error))
            except Refusal as error:
                await self._error(error.code, error.message, turn=_text(frame.get("turn")))

    async def _act(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "ask":
                turn = _uuid(frame, "turn")
                conversation, text = _uuid(frame, "conversation"), _string(frame, "text")
                await self._as_person(services.ask, turn_id=turn, conversation_id=conversation, text=text)
                await self._accepted(turn)
            case "regenerate":
                turn, old = _uuid(frame, "new_turn"), _uuid(frame, "turn")
                changed = _string(frame, "text") if "text" in frame else None
                await self._as_person(services.regenerate, turn_id=old, new_turn_id=turn, text=changed)
                await self._accepted(turn)
            case "stop":
                turn = _uuid(frame, "turn")
                await self._as_person(services.request_stop, turn_id=turn)
                await wake_runner(get_channel_layer(), "turn.stop", turn)
            case "resume":
                await self._resume(_uuid(frame, "turn"), _after(frame))
            case unknown:
                name = ascii(unknown[:40])  # it may hold half a surrogate pair, which no frame can carry
                raise BadFrame("unknown_type", _("Unknown message type: %(type)s.") % {"type": name})

    async def _as_person(self, service: Callable[..., object], **values: Any) -> None:
        """A service on behalf of the person, in one hop to the database thread. Raises SignedOut."""
        await database_sync_to_async(self._checked)(service, values)

    def _checked(self, service: Callable[..., object], values: dict[str, Any]) -> None:
        token = self.scope.get("token")
        if token and not token_is_valid(token):  # revoked meanwhile
            raise SignedOut
        service(user_id=self.user.pk, **values)

    async def _accepted(self, turn: UUID) -> None:
        await self.send(Event("accepted", {}).frame(turn))
        await wake_runner(get_channel_layer(), "turn.run", turn)
        self._tail(turn, after=0)

    async def _resume(self, turn: UUID, after: int) -> None:
        await self._as_person(_require_turn, turn_id=turn)
        self._tail(turn, after)

    def _tail(self, turn: UUID, after: int) -> None:
        """Pass on the events of a turn; a second request for the same turn replaces the first."""
        old = self.tails.pop(turn, None)
        if old is not None:
            old.cancel()
        task = asyncio.create_task(self._pass_on(turn, after))
        self.tails[turn] = task
        task.add_done_callback(lambda done: self.tails.pop(turn, None) if self.tails.get(turn) is done else None)

    async def _pass_on(self, turn: UUID, after: int) -> None:
        last = after
        try:
            async with aclosing(read_log(turn, block=SILENCE_SECONDS)) as batches:
                async for events in batches:
                    for event in events:
                        if event.seq > last:
                            await self.send(event.frame(turn))
                            last = event.seq
                    if not events and await self._send_stored(turn, last):
                        return
        except LogUnavailable:
            while not await self._send_stored(turn, last):  # noqa: ASYNC110 - the runner may be on another machine
                await asyncio.sleep(SILENCE_SECONDS)

    async def _send_stored(self, turn: UUID, last: int) -> bool:
        """When the log is silent and the turn is over, the database has the answer. True when sent."""
        for number, event in enumerate(await database_sync_to_async(stored_events)(self.user.pk, turn), start=1):
            await self.send(Event(event.type, event.data, last + number).frame(turn))
            if event.type in ("done", "stopped", "failed"):
                return True
        return False

    async def _error(self, code: str, message: str, **extra: Any) -> None:
        await self.send(json.dumps({"type": "error", "code": code, "message": message, **extra}, ensure_ascii=False))


def _require_turn(*, user_id: int, turn_id: UUID) -> None:
    if selectors.turn_of(user_id, turn_id) is None:
        raise NotFound


def stored_events(user_id: int, turn_id: UUID) -> list[Event]:
    """A finished turn as events, from SQL; [] while it runs."""
    turn = selectors.turn_of(user_id, turn_id)
    if turn is None:
        return [Event("failed", {"code": "not_found", "message": _("This was not found.")})]
    if turn.state in services.UNFINISHED:
        return []
    events = [Event("reset", {})]
    if turn.state == Turn.State.FAILED:
        return [*events, Event("failed", {"code": turn.failure_code, "message": turn.failure})]
    events += [Event("notice", notice) for notice in turn.notices]
    events += [Event("sources", {"sources": selectors.sources_of_turn(turn)}), Event("token", {"text": turn.answer})]
    return [*events, Event(turn.state, selectors.final_data(turn))]


def _parse(text: str | None) -> dict[str, Any]:
    if text is None:
        raise BadFrame("not_text", _("Send JSON as text."))
    if len(text.encode()) > FRAME_BYTES:
        raise BadFrame("too_large", _("The message is larger than 16 KiB."))
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: also a number of thousands of digits
        raise BadFrame("not_json", _("This is not JSON.")) from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise BadFrame("not_a_message", _("A message is a JSON object with a type."))
    return frame


def _uuid(frame: dict[str, Any], key: str) -> UUID:
    try:
        return UUID(_string(frame, key))
    except ValueError:
        raise BadFrame("bad_id", _("%(key)s must be a UUID.") % {"key": key}) from None


def _string(frame: dict[str, Any], key: str) -> str:
    value = frame.get(key)
    if not isinstance(value, str):
        raise BadFrame("missing", _("%(key)s must be a text.") % {"key": key})
    # Half a surrogate pair is valid JSON but no text; it would break the database and the log.
    return value.encode("utf-8", "replace").decode()


def _after(frame: dict[str, Any]) -> int:
    value = frame.get("after", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadFrame("bad_seq", _("after must be a sequence number."))
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= 40 else None
