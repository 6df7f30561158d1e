"""What follows for data sets when somebody deletes a conversation: coach knows nothing of training."""

from __future__ import annotations

from celery import shared_task

from . import consent


@shared_task(queue="default", name="training.tasks_consent.sweep_deleted", ignore_result=True)
def sweep_deleted() -> None:
    consent.deleted()
