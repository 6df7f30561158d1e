"""REST for fine-tunes: staff with the permission of the panel. Shapes are in docs/protocol.md."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from .finetune import jobs, selectors, services
from .finetune.errors import Forbidden
from .wake import follow_soon

router = Router(tags=["training"])


class FineTuneIn(Schema):
    """dataset: id or name. options: of training/finetune/options.py; absent ones follow the size of the data."""

    where: Literal["local", "openai"]
    dataset: int | str
    base: str = Field(min_length=1, max_length=300)
    name: str = Field(min_length=1, max_length=60)
    method: Literal["sft", "dpo"] = "sft"
    options: dict[str, Any] = {}


class DataSetOut(Schema):
    id: int
    name: str
    sha256: str


class ResultOut(Schema):
    name: str
    model: str


class FineTuneOut(Schema):
    id: UUID
    where: str
    method: str
    dataset: DataSetOut
    base: str
    name: str
    options: dict[str, Any]
    state: str
    stage: str
    done: int
    total: int
    progress: float
    seconds_left: float | None
    losses: list[list[float | None]]
    events: list[dict[str, Any]]
    cost: dict[str, Any]
    versions: dict[str, Any]
    remote: str
    error_code: str
    error: str
    cancelling: bool
    created: str
    finished: str | None
    result: ResultOut | None


def _allowed(request: HttpRequest, act: str) -> Any:
    """The user. Raises Forbidden for those who are not staff or lack the permission."""
    user: Any = request.user
    if not user.is_active or not user.is_staff or not user.has_perm(f"training.{act}_finetune"):
        raise Forbidden
    return user


@router.get("/finetunes", response=list[FineTuneOut])
def list_finetunes(request: HttpRequest) -> Any:
    """Unfinished ones first, then the newest."""
    _allowed(request, "view")
    return [selectors.data(job) for job in selectors.recent()]


@router.post("/finetunes", response={202: FineTuneOut})
def start_finetune(request: HttpRequest, data: FineTuneIn) -> Any:
    user = _allowed(request, "add")
    job = services.start(
        where=data.where,
        dataset=services.find_dataset(str(data.dataset)),
        base=data.base,
        name=data.name,
        method=data.method,
        options=data.options,
        user_id=user.pk,
    )
    follow_soon(job.pk)
    return 202, selectors.data(job)


@router.get("/finetunes/{job_id}", response=FineTuneOut)
def get_finetune(request: HttpRequest, job_id: UUID) -> Any:
    _allowed(request, "view")
    return selectors.data(jobs.get(job_id))


@router.post("/finetunes/{job_id}/cancel", response=FineTuneOut)
def cancel_finetune(request: HttpRequest, job_id: UUID) -> Any:
    """At once when it was not begun, else within seconds: `cancelling` says so."""
    _allowed(request, "change")
    job = services.cancel(job_id=job_id)
    follow_soon(job.pk)
    return selectors.data(job)
