"""How an edge asks the worker for an export or a data set. A lost wake-up is harmless: the sweeper looks.

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

EXPORT, BUILD, QUEUE = "training.tasks_data.run_export", "training.tasks_data.build_dataset", "default"
_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}


def export_soon(export_id: UUID) -> None:
    """After the commit, have a worker make the file; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(EXPORT, str(export_id)))


def build_soon(dataset_id: int) -> None:
    """After the commit, have a worker go on with the data set; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(BUILD, dataset_id))


@cache
def _sender() -> Any:
    app = Celery("wake-data", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_AT_ONCE}
    return app


def _send(task: str, argument: str | int) -> None:
    try:
        _sender().send_task(task, args=(argument,), queue=QUEUE, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find what waits")
