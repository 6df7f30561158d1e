"""Celery is one more edge: fine-tunes are followed in short looks; no worker sleeps until a job is over.

What trains is a process of its own, or OpenAI; a look writes down how far it is and asks for the next look.
"""

from __future__ import annotations

from celery import shared_task

from .finetune import following, jobs
from .wake import follow_soon

# What can wait longer is left to the sweeper.
SOON_SECONDS = 10.0


@shared_task(queue="training", name="training.tasks_finetune.follow", ignore_result=True)
def follow(job_id: str) -> None:
    """One look at a fine-tune, then the next one in a while; the sweeper finds what gets lost between them."""
    wait = following.look(job_id=job_id)
    if wait is not None and wait <= SOON_SECONDS:
        follow_soon(job_id, seconds=wait + 0.1)


@shared_task(queue="default", name="training.tasks_finetune.sweep", ignore_result=True)
def sweep() -> None:
    """Hand out what waits for a look, and what a lost worker left behind."""
    for job_id in jobs.forgotten():
        follow_soon(job_id)
