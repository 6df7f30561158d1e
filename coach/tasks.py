"""Periodic work around turns."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from celery import shared_task
from channels.layers import get_channel_layer

from . import selectors
from .runner_channel import wake_runner

PENDING_SECONDS = 5.0


@shared_task(queue="default", ignore_result=True)
def sweep_turns() -> int:
    """Wake the runners for turns that wait longer than 5 s or whose runner died; how many there were."""
    turns = selectors.claimable_turns(pending_for=PENDING_SECONDS)

    async def wake() -> None:
        for turn in turns:
            await wake_runner(get_channel_layer(), "turn.run", turn)

    if turns:
        async_to_sync(wake)()
    return len(turns)
