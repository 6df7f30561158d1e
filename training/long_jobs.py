"""Any long job of the training loop in one shape: exports, data sets, fine-tunes, comparisons and evaluations.

An id is the kind and the key, `finetune-3f0c…` or `dataset-12`; a bare UUID is looked for among those that have one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .models import Comparison, DataSet, EvaluationRun, Export, FineTune

UNFINISHED = ("waiting", "running", "building")
MOST_SHOWN = 1000
HEAVY = ("manifest", "losses", "events", "figures", "gates", "counts", "filter", "versions", "options")


@dataclass(frozen=True, slots=True)
class LongJob:
    """progress is 0 to 1; page is its address in the panel."""

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


@dataclass(frozen=True, slots=True)
class Kind:
    """`ended` is the field with the moment of its end; `page` is the admin view that takes the key."""

    label: str | Promise
    model: type[Model]
    permission: str
    ended: str
    page: str
    title: Callable[[Any], str]
    related: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "export": Kind(
        _("Export"),
        Export,
        "training.view_export",
        "finished",
        "training_export_change",
        lambda row: str(row.get_kind_display()),
    ),
    "dataset": Kind(
        _("Data set"),
        DataSet,
        "training.view_dataset",
        "frozen",
        "training_dataset_change",
        lambda row: str(row.name),
    ),
    "finetune": Kind(
        _("Fine-tune"),
        FineTune,
        "training.view_finetune",
        "finished",
        "training_finetune_change",
        lambda row: str(row.name),
    ),
    "comparison": Kind(
        _("Comparison"),
        Comparison,
        "training.view_comparison",
        "finished",
        "training_comparison_change",
        lambda row: str(row),
        ("candidate",),
    ),
    "evaluation": Kind(
        _("Evaluation"),
        EvaluationRun,
        "training.view_evaluationrun",
        "created",
        "training_evaluationrun_change",
        lambda row: str(row),
    ),
}


def find(user: Any, job_id: str) -> LongJob | None:
    """None when it is not there or the person may not see it."""
    kind, _dash, key = job_id.partition("-")
    wanted = {kind: key} if kind in KINDS else {"finetune": job_id, "export": job_id}
    for name, value in wanted.items():
        if user.has_perm(KINDS[name].permission) and (pk := _key(name, value)) is not None:
            row = _rows(name).filter(pk=pk).first()
            if row is not None:
                return shown(name, row)
    return None


def between(user: Any, since: datetime, until: datetime) -> list[LongJob]:
    """What was begun, ran or ended in this time and the person may see, oldest first."""
    found = []
    for name, kind in KINDS.items():
        if user.has_perm(kind.permission):
            ends = Q(**{f"{kind.ended}__gte": since}) | Q(**{f"{kind.ended}__isnull": True})
            rows = _rows(name).filter(ends, created__lt=until)
            found += [shown(name, row) for row in rows.order_by("-created")[:MOST_SHOWN]]
    return sorted((job for job in found if _touches(job, since)), key=lambda job: job.created)


def shown(name: str, row: Any) -> LongJob:
    kind = KINDS[name]
    state = getattr(row, "state", "done")
    total, done = getattr(row, "total", 0), getattr(row, "done", 0)
    finished = getattr(row, kind.ended)
    over = state not in UNFINISHED
    return LongJob(
        id=f"{name}-{row.pk}",
        kind=name,
        title=kind.title(row),
        state=state,
        label=str(row.get_state_display()) if hasattr(row, "get_state_display") else "",
        over=over,
        done=done,
        total=total,
        progress=_progress(state, done, total),
        stage=getattr(row, "stage", ""),
        error_code=getattr(row, "error_code", ""),
        error=getattr(row, "error", ""),
        cancelling=bool(getattr(row, "cancel_requested", False)) and not over,
        created=row.created,
        finished=finished,
        page=reverse(f"admin:{kind.page}", args=[row.pk]),
    )


def _progress(state: str, done: int, total: int) -> float:
    if state in ("done", "frozen", "review"):
        return 1.0
    return round(min(done / total, 1.0), 4) if total else 0.0


def _touches(job: LongJob, since: datetime) -> bool:
    """A job without an end that does not run (failed, to be approved) belongs to the day it was made."""
    return job.created >= since or not job.over or (job.finished is not None and job.finished >= since)


def _rows(name: str) -> QuerySet[Any]:
    """Without the columns that may be large: manifests with ids, losses, events."""
    kind = KINDS[name]
    heavy = [field.name for field in kind.model._meta.concrete_fields if field.name in HEAVY]
    rows = kind.model._default_manager.defer(*heavy)
    return rows.select_related(*kind.related) if kind.related else rows


def _key(name: str, value: str) -> Any:
    """Its primary key, None when it cannot be one."""
    try:
        return UUID(value) if name in ("finetune", "export") else int(value)
    except ValueError:
        return None
