"""How an edge asks the worker to fetch a model. A lost wake-up is harmless: the sweeper looks every 30 seconds.

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

PULL, QUEUE = "llm.tasks.pull_model", "models"
_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}


def pull_soon(pull_id: UUID) -> None:
    """After the commit, have a worker fetch what this row asks for; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(str(pull_id)))


@cache
def _sender() -> Any:
    app = Celery("wake-models", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_AT_ONCE}
    return app


def _send(pull_id: str) -> None:
    try:
        _sender().send_task(PULL, args=(pull_id,), queue=QUEUE, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find the download that waits")
