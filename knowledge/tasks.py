"""Celery is one more edge: each task names its queue and calls one service."""

from __future__ import annotations

import os
import socket
import time

from celery import shared_task

from . import (
    generations,
    ingest,
    reconcile,
    reindex,
    services,
    tasks_quality,  # noqa: F401 - Celery finds tasks in this module alone
)
from .embedding.errors import EmbedderUnavailable
from .errors import IndexUnavailable
from .wake import index_later, wake_worker

BATCH_SECONDS = 110  # a task takes at most about two minutes, then queues itself again


@shared_task(queue="knowledge", name="knowledge.tasks.process_documents", ignore_result=True)
def process_documents() -> None:
    """Index pending documents until none is left or two minutes passed."""
    deadline = time.monotonic() + BATCH_SECONDS
    try:
        taken = ingest.process_pending(_worker(), deadline)
    except (EmbedderUnavailable, IndexUnavailable):
        return  # logged, and shown with the documents; the sweeper asks again
    if taken and generations.others_wait():
        index_later()
    if time.monotonic() >= deadline:
        wake_worker()


@shared_task(queue="knowledge", name="knowledge.tasks.complete_indexes", ignore_result=True)
def complete_indexes() -> None:
    """Build new index generations and complete the others, in slices of two minutes."""
    if reindex.complete(_worker(), time.monotonic() + BATCH_SECONDS):
        index_later()


@shared_task(queue="default", name="knowledge.tasks.forget_vectors", ignore_result=True)
def forget_vectors(collections: list[str], ids: list[int]) -> None:
    """Remove the vectors of deleted passages."""
    reconcile.forget(collections, ids)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@shared_task(queue="default", name="knowledge.tasks.sweep_documents", ignore_result=True)
def sweep_documents() -> None:
    """Wake the worker for what was forgotten or what an index lacks, and remove what is no longer needed."""
    services.retire_all_replaced()
    if reconcile.forgotten():
        wake_worker()
    if reconcile.reconcile():
        index_later()
    reconcile.tidy()


@shared_task(queue="default", name="knowledge.tasks.drop_collections", ignore_result=True)
def drop_collections(collections: list[str]) -> None:
    """Remove the vectors of a deleted base."""
    reconcile.drop(collections)
