"""Tasks for jobs.py, loaded with knowledge/tasks.py."""

from __future__ import annotations

import importlib
from uuid import UUID

from celery import shared_task

from . import jobs
from .models import Job
from .wake import job_soon

# kind → module and function, imported when such a job runs: they bring numpy and language models.
WORK = {
    Job.Kind.MAP: "knowledge.projection:draw",
    Job.Kind.QUESTIONS: "knowledge.question_answers:write",
    Job.Kind.PAIRS: "knowledge.similar:find",
}


@shared_task(queue="knowledge", name="knowledge.tasks.run_job", ignore_result=True)
def run_job(job_id: str) -> None:
    """Do a slice of a job, then queue behind what else waits."""
    kind = Job.objects.filter(pk=job_id).values_list("kind", flat=True).first()
    if kind is None:
        return  # deleted with its base
    module, function = WORK[Job.Kind(kind)].split(":")
    work = getattr(importlib.import_module(module), function)
    if jobs.run_slice(job_id=UUID(job_id), work=work):
        job_soon(UUID(job_id))


@shared_task(queue="default", name="knowledge.tasks.sweep_jobs", ignore_result=True)
def sweep_jobs() -> None:
    """Hand out again what a lost worker or a lost message left behind."""
    jobs.wake(jobs.forgotten())
