"""What templates/admin/knowledge/job_panel.html needs."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from . import jobs
from .models import Job, KnowledgeBase


def job_panel(base: KnowledgeBase, kind: Job.Kind, *, may_change: bool) -> dict[str, Any]:
    """`running` jobs with the addresses that cancel them, and the `last` one when none is."""
    found = [jobs.data(job) for job in jobs.of_base(base, kind)]
    for job in found:
        job["cancel"] = reverse("admin:knowledge_knowledgebase_jobs_cancel", args=[base.pk, kind.value, job["id"]])
    return {
        "job_panel": {
            "kind": kind.value,
            "url": reverse("admin:knowledge_knowledgebase_jobs", args=[base.pk, kind.value]),
            "running": [job for job in found if not job["over"]],
            "last": next((job for job in found if job["over"]), None),
            "may_change": may_change,
        }
    }
