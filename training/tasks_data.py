"""Tasks of exports and data sets: each names its queue and calls one service."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from .datasets import build
from .exports import services as exports
from .wake import build_soon, export_soon


@shared_task(queue="default", name="training.tasks_data.run_export", ignore_result=True)
def run_export(export_id: str) -> None:
    exports.run(export_id=UUID(export_id))


@shared_task(queue="default", name="training.tasks_data.build_dataset", ignore_result=True)
def build_dataset(dataset_id: int) -> None:
    """A slice of a data set, then queue behind what else waits."""
    if build.run_slice(dataset_id=dataset_id):
        build_soon(dataset_id)


@shared_task(queue="default", name="training.tasks_data.ask_scheduled_exports", ignore_result=True)
def ask_scheduled_exports() -> None:
    """By the clock, every ten minutes."""
    for export_id in exports.ask_scheduled(now=timezone.now()):
        export_soon(export_id)


@shared_task(queue="default", name="training.tasks_data.sweep_data", ignore_result=True)
def sweep_data() -> None:
    """Hand out again what a lost worker or a lost message left behind."""
    for export_id in exports.forgotten():
        export_soon(export_id)
    for dataset_id in build.forgotten():
        build_soon(dataset_id)
