"""How an edge asks the worker for the work on knowledge; see llm/wake.py. The sweeper looks every 30 seconds."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from llm.wake import send_soon

PROCESS, DROP = "knowledge.tasks.process_documents", "knowledge.tasks.drop_collections"
JOB = "knowledge.tasks.run_job"
INDEX, FORGET = "knowledge.tasks.complete_indexes", "knowledge.tasks.forget_vectors"
# Ids in one message; more are left to the sweeper.
MOST_FORGOTTEN = 5000


def wake_worker() -> None:
    """After the commit, ask a worker to take pending documents."""
    send_soon(PROCESS, "knowledge")


def drop_later(collections: Sequence[str]) -> None:
    """After the commit, have a worker remove a deleted base's collections."""
    if collections:
        send_soon(DROP, "default", list(collections))


def index_later() -> None:
    """After the commit, have a worker complete the indexes that lack something; see reindex.py."""
    send_soon(INDEX, "knowledge")


def forget_later(collections: Sequence[str], ids: Sequence[int]) -> None:
    """After the commit, have a worker remove vectors; what it is not told, the sweeper finds."""
    if collections and 0 < len(ids) <= MOST_FORGOTTEN:
        send_soon(FORGET, "default", list(collections), list(ids))


def job_soon(job_id: UUID) -> None:
    """After the commit, have a worker go on with a job (jobs.py)."""
    send_soon(JOB, "knowledge", str(job_id))
