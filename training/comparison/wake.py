"""How an edge asks the worker to go on with a comparison. A lost wake-up is harmless: the sweeper looks.

Edges import no task: they send its name, and give up at once when the broker is away.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from celery import Celery
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

COMPARE, QUEUE = "training.tasks_comparison.compare", "training"
_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}


def compare_soon(comparison_id: int) -> None:
    """After the commit; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(comparison_id))


@cache
def _sender() -> Any:
    app = Celery("wake-comparisons", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_AT_ONCE}
    return app


def _send(comparison_id: int) -> None:
    try:
        _sender().send_task(COMPARE, args=(comparison_id,), queue=QUEUE, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find the comparison that waits")
