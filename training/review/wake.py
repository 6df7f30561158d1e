"""How an edge asks the worker to go on with pairs of answers; a lost wake-up is found by the sweeper.

Edges import no task: they send its name, and give up at once when the broker is away.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

ASK, QUEUE = "training.tasks_review.ask_pair", "training"
_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}


def pair_soon(batch: str, *, seconds: float = 0.0) -> None:
    """After the commit, have a worker ask for the next pair of a batch; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(batch, seconds))


@cache
def _sender() -> Any:
    app = Celery("wake-review", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **_AT_ONCE}
    return app


def _send(batch: str, seconds: float) -> None:
    try:
        _sender().send_task(ASK, args=(batch,), queue=QUEUE, countdown=seconds or None, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find the pairs that wait")
