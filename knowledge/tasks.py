"""Celery is one more edge: each task names its queue and calls one service."""

from __future__ import annotations

import os
import socket
import time

from celery import shared_task

from . import ingest, reconcile
from .embedding.errors import EmbedderUnavailable
from .errors import IndexUnavailable
from .wake import wake_worker

BATCH_SECONDS = 110  # a task takes at most about two minutes, then queues itself again


@shared_task(queue="knowledge", name="knowledge.tasks.process_documents", ignore_result=True)
def process_documents() -> None:
    """Index pending documents until none is left or two minutes passed."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    deadline = time.monotonic() + BATCH_SECONDS
    try:
        ingest.process_pending(worker, deadline)
    except (EmbedderUnavailable, IndexUnavailable):
        return  # logged, and shown with the documents; the sweeper asks again
    if time.monotonic() >= deadline:
        wake_worker()


@shared_task(queue="default", name="knowledge.tasks.sweep_documents", ignore_result=True)
def sweep_documents() -> None:
    """Wake the worker for what was forgotten, and make the vector index agree with SQL."""
    if reconcile.forgotten():
        wake_worker()
    if reconcile.reconcile():
        wake_worker()


@shared_task(queue="default", name="knowledge.tasks.drop_collections", ignore_result=True)
def drop_collections(collections: list[str]) -> None:
    """Remove the vectors of a deleted base."""
    reconcile.drop(collections)
