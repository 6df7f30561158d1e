"""Celery is one more edge: a slice of a comparison, then it queues behind what else waits."""

from __future__ import annotations

from celery import shared_task

from .comparison import jobs, run
from .wake import compare_soon


@shared_task(queue="training", name="training.tasks_comparison.compare", ignore_result=True)
def compare(comparison_id: int) -> None:
    """Ask both models some questions more."""
    if run.run_slice(comparison_id=comparison_id):
        compare_soon(comparison_id)


@shared_task(queue="default", name="training.tasks_comparison.sweep", ignore_result=True)
def sweep() -> None:
    """Hand out again what a lost worker or a lost message left behind."""
    for comparison_id in jobs.forgotten():
        compare_soon(comparison_id)
