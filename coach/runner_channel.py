"""How a web process or a task wakes the runners. A lost wake-up is harmless: runners look each second."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

log = logging.getLogger(__name__)
CHANNEL = "turns"
HEARTBEAT_KEY = "runner:heartbeat"


async def wake_runner(layer: Any, type_: str, turn: UUID) -> None:
    """Send `turn.run` or `turn.stop` to every runner; never raises when the broker is away."""
    try:
        await layer.send(CHANNEL, {"type": type_, "turn": str(turn)})
    except (RedisError, OSError):
        log.warning("the broker does not answer; a runner will find turn %s by itself", turn)
