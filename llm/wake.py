"""How an edge wakes a worker. A lost wake-up is harmless: a sweeper looks for what waits.

Edges import no task: they send its name, through a Celery application that only sends and gives up at once when the
broker is away. (With Celery's defaults an upload would hang for six seconds then.) Celery is imported when the first
message goes out: the web process of people who only talk has 8 MB less without it.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any
from uuid import UUID

from django.db import transaction

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
    """After the commit, have a worker fetch what this row asks for."""
    send_soon(PULL, QUEUE, str(pull_id))


def send_soon(task: str, queue: str, *arguments: Any, seconds: float = 0.0) -> None:
    """After the commit, and not before so many seconds; never raises when the broker is away."""
    transaction.on_commit(lambda: send(task, queue, *arguments, seconds=seconds))


def send(task: str, queue: str, *arguments: Any, seconds: float = 0.0) -> None:
    """At once; never raises when the broker is away."""
    from kombu.exceptions import OperationalError

    try:
        sender().send_task(task, args=arguments, queue=queue, countdown=seconds or None, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find what waits")


def worker_answers() -> bool:
    """True when a Celery worker answers within a second."""
    from kombu.exceptions import OperationalError

    try:
        return bool(sender().control.ping(timeout=1.0))
    except (OperationalError, OSError):
        return False


@cache
def sender() -> Any:
    """A Celery application that gives up at once."""
    from celery import Celery

    app = Celery("wake", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_AT_ONCE}
    return app
