"""What follows for data sets and exports when somebody takes back what was given: coach knows nothing of training."""

from __future__ import annotations

from celery import shared_task

from . import consent
from .exports import marks


@shared_task(queue="default", name="training.tasks_consent.sweep_deleted", ignore_result=True)
def sweep_deleted() -> None:
    consent.deleted()


@shared_task(queue="default", name="training.tasks_consent.mark_exports", ignore_result=True)
def mark_exports(at_once: bool = False) -> None:
    """After somebody took something back, and by the clock for what was deleted."""
    marks.mark(at_once=at_once)
