"""How an edge asks the worker to look at a fine-tune. A lost wake-up is harmless: the sweeper looks every 15 seconds.

Edges import no task: they send its name, and give up at once when the broker is away.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any
from uuid import UUID

from celery import Celery
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

FOLLOW, QUEUE = "training.tasks_finetune.follow", "training"
_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}


def follow_soon(job_id: UUID) -> None:
    """After the commit, have a worker look at the job; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(str(job_id)))


@cache
def _sender() -> Any:
    app = Celery("wake-training", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_AT_ONCE}
    return app


def _send(job_id: str) -> None:
    try:
        _sender().send_task(FOLLOW, args=(job_id,), queue=QUEUE, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find the fine-tune that waits")
