"""REST: any long job of the training loop in one shape (long_jobs.py). Staff only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from . import long_jobs
from .finetune.errors import Forbidden, NotFound

router = Router(tags=["training"])


class JobOut(Schema):
    id: str
    kind: str
    title: str
    state: str
    label: str
    over: bool
    done: int
    total: int
    progress: float
    stage: str
    error_code: str
    error: str
    cancelling: bool
    created: datetime
    finished: datetime | None
    page: str


@router.get("/jobs/{job_id}", response=JobOut)
def get_job(request: HttpRequest, job_id: str) -> Any:
    """`export-UUID`, `dataset-ID`, `finetune-UUID`, `comparison-ID`, `evaluation-ID`, or the UUID alone."""
    if not request.user.is_active or not request.user.is_staff:
        raise Forbidden
    found = long_jobs.find(request.user, job_id)
    if found is None:
        raise NotFound
    return found
