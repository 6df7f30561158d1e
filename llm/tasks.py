"""Celery is one more edge: each task names its queue and calls one service."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from . import pulls, rollup
from .wake import pull_soon


@shared_task(queue="models", name="llm.tasks.pull_model", ignore_result=True)  # type: ignore[untyped-decorator]
def pull_model(pull_id: str) -> None:
    """Fetch a model for at most a slice of time, then queue behind what else waits."""
    if pulls.run_slice(pull_id=UUID(pull_id)):
        pull_soon(UUID(pull_id))


@shared_task(queue="default", name="llm.tasks.sweep_pulls", ignore_result=True)  # type: ignore[untyped-decorator]
def sweep_pulls() -> None:
    """Hand out again what a lost worker or a lost message left behind."""
    for pull_id in pulls.forgotten():
        pull_soon(pull_id)


@shared_task(queue="default", name="llm.tasks.roll_up_calls", ignore_result=True)  # type: ignore[untyped-decorator]
def roll_up_calls() -> None:
    """Sum the calls of yesterday and today, and of days that were missed."""
    rollup.roll_up()


@shared_task(queue="default", name="llm.tasks.forget_calls", ignore_result=True)  # type: ignore[untyped-decorator]
def forget_calls() -> None:
    """Delete calls older than LLM_CALL_DAYS; their sums stay."""
    rollup.forget()
