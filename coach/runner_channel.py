"""How a web process or a task wakes the runners. A lost wake-up is harmless: runners look each second."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

log = logging.getLogger(__name__)
CHANNEL = "turns"
HEARTBEAT_KEY = "runner:heartbeat"


async def wake_runner(layer: Any, type_: str, turn: UUID) -> None:
    """Send `turn.run` or `turn.stop` to every runner; never raises when the broker is away."""
    await _send(layer, {"type": type_, "turn": str(turn)})


def conversation_opened(conversation: UUID) -> None:
    """Tell the runners, from a page or a REST call, that somebody is about to ask here."""
    async_to_sync(_send)(get_channel_layer(), {"type": "conversation.open", "conversation": str(conversation)})


async def _send(layer: Any, message: dict[str, str]) -> None:
    try:
        await layer.send(CHANNEL, message)
    except (RedisError, OSError):
        log.warning("the broker does not answer; runners will find waiting turns by themselves")
