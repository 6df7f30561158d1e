"""Celery is one more edge: each run asks for one pair of answers, then queues behind what else waits."""

from __future__ import annotations

from celery import shared_task

from .review import asking, funnel_counts
from .wake import pair_soon


@shared_task(queue="training", name="training.tasks_review.ask_pair", ignore_result=True)
def ask_pair(batch: str) -> None:
    """Have both models of a batch answer its next question."""
    try:
        more, wait = asking.ask_next(batch=batch), 0.0
    except asking.Busy:
        more, wait = True, asking.BUSY_SECONDS
    if more:
        pair_soon(batch, seconds=wait)


@shared_task(queue="default", name="training.tasks_review.count_funnel", ignore_result=True)
def count_funnel(days: int, coach: str, language: str) -> None:
    """Lost, it is asked for again by the next look at the page."""
    funnel_counts.recount(days=days, coach=coach, language=language)


@shared_task(queue="default", name="training.tasks_review.sweep_pairs", ignore_result=True)
def sweep_pairs() -> None:
    """Hand out again what a lost worker or a lost message left behind; remove what was deleted by its owner."""
    asking.forget_deleted()
    for batch in asking.forgotten():
        pair_soon(batch)
