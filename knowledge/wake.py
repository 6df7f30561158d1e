"""How an edge wakes a worker. A lost wake-up is harmless: the sweeper looks every 30 seconds.

Edges import no task: they send its name, through a Celery application that only sends and gives up at once when
the broker is away. (With Celery's defaults an upload would hang for six seconds then.)
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from celery import Celery
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

PROCESS, DROP = "knowledge.tasks.process_documents", "knowledge.tasks.drop_collections"
JOB = "knowledge.tasks.run_job"
INDEX, FORGET = "knowledge.tasks.complete_indexes", "knowledge.tasks.forget_vectors"
# Ids in one message; more are left to the sweeper.
MOST_FORGOTTEN = 5000
_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
}


def wake_worker() -> None:
    """After the commit, ask a worker to take pending documents; never raises when the broker is away."""
    transaction.on_commit(lambda: _send(PROCESS, "knowledge"))


def drop_later(collections: Sequence[str]) -> None:
    """After the commit, have a worker remove a deleted base's collections; never raises when the broker is away."""
    if collections:
        transaction.on_commit(lambda: _send(DROP, "default", list(collections)))


def index_later() -> None:
    """After the commit, have a worker complete the indexes that lack something; see reindex.py."""
    transaction.on_commit(lambda: _send(INDEX, "knowledge"))


def forget_later(collections: Sequence[str], ids: Sequence[int]) -> None:
    """After the commit, have a worker remove vectors; what it is not told, the sweeper finds."""
    if collections and 0 < len(ids) <= MOST_FORGOTTEN:
        transaction.on_commit(lambda: _send(FORGET, "default", list(collections), list(ids)))


def job_soon(job_id: UUID) -> None:
    """After the commit, have a worker go on with a job (jobs.py); never raises when the broker is away."""
    transaction.on_commit(lambda: _send(JOB, "knowledge", str(job_id)))


def worker_answers() -> bool:
    """True when a Celery worker answers within a second."""
    try:
        return bool(_sender().control.ping(timeout=1.0))
    except (OperationalError, OSError):
        return False


@cache
def _sender() -> Any:
    app = Celery("wake", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **_AT_ONCE}
    return app


def _send(task: str, queue: str, *arguments: Any) -> None:
    try:
        _sender().send_task(task, args=arguments, queue=queue, retry=False)
    except (OperationalError, OSError):
        log.warning("the broker does not answer; the sweeper will find what waits")
