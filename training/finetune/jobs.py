"""The life of a fine-tune (a FineTune row): who may move it from state to state.

    waiting ──claim──► running ──────────────────► done | failed | cancelled
                        │  ▲
                        ├──┘ released between two looks, claimed again for the next one (following.py)
                        └──  worker lost: its lease runs out, the sweeper hands the job out again and it goes on,
                             at most ATTEMPTS times without progress

Whoever claims a job holds it under a name (`lease_owner`) until `lease_until`; `renew` and `progress` put the lease
off. Everything a holder writes is written only while the lease is its own, so a worker that was thought dead can
break nothing. `progress`, `event` and `renew` raise CancelRequested when a person wants the end and LeaseLost when
the job is another's; the holder then lets go (and calls `cancelled` in the first case).
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from training.models import DataSet, FineTune, TunedModel

from . import checks
from .checks import UNFINISHED
from .errors import AlreadyOver, CancelRequested, JobFailed, LeaseLost, NotFound
from .options import LocalOptions, OpenAIOptions

log = logging.getLogger(__name__)
State = FineTune.State

LEASE = timedelta(seconds=60)
ATTEMPTS = 5
# A look that is due is asked for by the one before it; so long after it the message is lost.
OVERDUE = timedelta(seconds=5)
MOST_EVENTS = 200
MOST_LOSSES = 1000


def create(
    *,
    where: str,
    dataset: DataSet,
    base: str,
    name: str,
    options: LocalOptions | OpenAIOptions,
    method: str = FineTune.Method.SFT,
    user_id: int | None = None,
    cost: Mapping[str, Any] | None = None,
) -> FineTune:
    """A job that waits for a worker; the edge wakes one (wake.py). Raises errors of errors.py."""
    checks.check_base(where, base)
    if where == FineTune.Where.OPENAI:
        checks.check_cloud(dataset)
    with transaction.atomic():
        dataset = DataSet.objects.select_for_update().get(pk=dataset.pk)
        checks.check_data(dataset, method)
        checks.check_name(name)
        return FineTune.objects.create(
            where=where,
            method=method,
            dataset=dataset,
            base=base,
            name=name,
            options=options.to_json(),
            cost=dict(cost or {}),
            created_by_id=user_id,
        )


def get(job_id: UUID | str) -> FineTune:
    """Raises NotFound, also for what is no id."""
    try:
        found = FineTune.objects.select_related("dataset", "created_by").filter(pk=job_id).first()
    except ValidationError as error:
        raise NotFound from error
    if found is None:
        raise NotFound
    return found


# --- the hold of a worker ----------------------------------------------------------------------


def claim(*, job_id: UUID | str, to_cancel: bool = False) -> FineTune | None:
    """Compare and set: only one worker gets it; None when somebody holds it, it is over or shall end.

    `to_cancel` takes one that shall end, to stop what runs elsewhere. A claim after a holder that never let go counts
    as an attempt. Only one job of this machine runs at a time: the others wait.
    """
    owner, now = uuid.uuid4().hex, timezone.now()
    local = FineTune.objects.filter(where=FineTune.Where.LOCAL, state=State.RUNNING)
    free = _unheld().filter(pk=job_id, cancel_requested=to_cancel, attempts__lt=ATTEMPTS)
    free = free.exclude(Q(where=FineTune.Where.LOCAL) & Exists(local.exclude(pk=job_id)))
    values = {"state": State.RUNNING, "lease_owner": owner, "lease_until": now + LEASE}
    taken = free.filter(lease_owner="").update(**values)
    if not taken:
        taken = free.exclude(lease_owner="").update(**values, attempts=F("attempts") + 1)
    return held(job_id=job_id, owner=owner) if taken else None


def held(*, job_id: UUID | str, owner: str) -> FineTune:
    """The job that `owner` claimed. Raises LeaseLost."""
    found = FineTune.objects.select_related("dataset", "created_by").filter(pk=job_id, lease_owner=owner)
    job = found.filter(state=State.RUNNING).first() if owner else None
    if job is None:
        raise LeaseLost
    return job


def renew(*, job: FineTune) -> None:
    """Sign of life; at least every 20 seconds. Raises CancelRequested, LeaseLost."""
    _write(job, {})


def progress(
    *,
    job: FineTune,
    done: int,
    total: int,
    stage: str = "",
    losses: Iterable[Sequence[float | None]] = (),
    seconds_left: float | None = None,
) -> None:
    """What people see meanwhile. `losses` are new rows [step, training loss, held-out loss or None].

    Rows of a step that is known already take its place, so a resumed job may repeat steps. Progress clears the count
    of attempts. Raises CancelRequested, LeaseLost.
    """
    values: dict[str, Any] = {"done": done, "total": total, "seconds_left": seconds_left}
    if stage:
        values["stage"] = stage
    rows = list(losses)
    if rows:
        values["losses"] = _merged(job.losses, rows)
    if done > job.done:
        values["attempts"] = 0
    _write(job, values)


def event(*, job: FineTune, text: str, level: str = "info", at: str = "") -> None:
    """Something worth telling: level is info, warning or error. Raises LeaseLost."""
    line = {"at": at or timezone.now().isoformat(timespec="seconds"), "level": level, "text": text}
    keep(job=job, events=[*job.events, line][-MOST_EVENTS:])


def save(*, job: FineTune, **values: Any) -> None:
    """Fields the holder knows better: remote, cost, versions, events … Raises CancelRequested, LeaseLost."""
    _write(job, values)


def keep(*, job: FineTune, **values: Any) -> None:
    """As `save`, but also when the end was asked for: for what must not be lost. Raises LeaseLost."""
    _write(job, values, also_when_cancelled=True)


def cancel_requested(*, job: FineTune) -> bool:
    """Whether a person asked for the end since."""
    return bool(FineTune.objects.filter(pk=job.pk, cancel_requested=True).exists())


def release(*, job: FineTune, wait: float = 0.0) -> None:
    """Let go without an end: whoever claims it next goes on, `wait` seconds later at the earliest.

    No error when it is another's already.
    """
    _mine(job).update(lease_owner="", lease_until=timezone.now() + timedelta(seconds=wait))


# --- ends ---------------------------------------------------------------------------------------


def finish(
    *,
    job: FineTune,
    model: str,
    path: str = "",
    sha256: str = "",
    versions: Mapping[str, Any] | None = None,
) -> TunedModel:
    """The result and the end in one commit, or neither. Raises CancelRequested, LeaseLost, JobFailed (name taken)."""
    try:
        with transaction.atomic():
            dataset = DataSet.objects.get(pk=job.dataset_id)
            tuned = TunedModel.objects.create(
                name=job.name,
                model=model,
                base=job.base,
                finetune=job,
                path=path,
                sha256=sha256,
                synthetic=dataset.synthetic,
                stale=dataset.stale,
            )
            values = _end_values(State.DONE) | {"seconds_left": None, "done": job.total or job.done}
            if versions is not None:
                values["versions"] = dict(versions)
            _write(job, values)
            return tuned
    except IntegrityError as error:
        raise JobFailed(
            "name_taken", _("Another tuned model took the name %(name)s meanwhile.") % {"name": job.name}
        ) from error


def fail(*, job: FineTune, code: str, sentence: str) -> None:
    """It cannot be done: what happened and what to do. Nothing happens when the job is another's."""
    log.warning("fine-tune %s fails: %s: %s", job.pk, code, sentence)
    _mine(job).update(**_end_values(State.FAILED), error_code=code, error=sentence, seconds_left=None)


def cancelled(*, job: FineTune) -> None:
    """The holder has stopped because it was asked to."""
    _mine(job).update(**_end_values(State.CANCELLED), seconds_left=None)


def cancel(*, job_id: UUID | str) -> FineTune:
    """Asks for the end: at once when it was not begun, else the next look stops it. Raises NotFound, AlreadyOver."""
    rows = FineTune.objects.filter(pk=job_id, state__in=UNFINISHED)
    if not rows.update(cancel_requested=True):
        get(job_id)
        raise AlreadyOver
    rows.filter(lease_owner="").update(lease_until=None)
    _end_unheld(rows)
    return get(job_id)


# --- the sweeper --------------------------------------------------------------------------------


def forgotten() -> list[UUID]:
    """Jobs that a worker shall look at now: new ones, those between two looks, and those whose worker died.

    What nobody holds and somebody cancelled, or what was lost ATTEMPTS times, is ended here.
    """
    _end_unheld(FineTune.objects.all())
    lost = _unheld().filter(attempts__gte=ATTEMPTS)
    lost.filter(cancel_requested=True).update(**_end_values(State.CANCELLED))
    for job in lost.select_related("created_by"):
        with override(language_of(job)):
            sentence = _("The training stopped again and again; look into the log of the worker and try again.")
        log.warning("fine-tune %s was lost %s times", job.pk, job.attempts)
        lost.filter(pk=job.pk).update(**_end_values(State.FAILED), error_code="lost", error=sentence)
    overdue = _unheld().exclude(lease_owner="", lease_until__gt=timezone.now() - OVERDUE)
    return list(overdue.order_by("created").values_list("pk", flat=True))


def language_of(job: FineTune) -> str:
    """In which language the person who made it reads what went wrong."""
    return (job.created_by.language if job.created_by else "") or "en"


# --- within -------------------------------------------------------------------------------------


def _unheld() -> QuerySet[FineTune]:
    """A lease that ran out, or the time of the next look is there."""
    free = Q(lease_until=None) | Q(lease_until__lte=timezone.now())
    return FineTune.objects.filter(free, state__in=UNFINISHED)


def _end_unheld(rows: QuerySet[FineTune]) -> None:
    """What was never begun can end at once; what runs is first stopped where it runs, by the next look."""
    fresh = _unheld().filter(state=State.WAITING, cancel_requested=True)
    fresh.filter(pk__in=rows.values("pk")).update(**_end_values(State.CANCELLED))


def _mine(job: FineTune) -> QuerySet[FineTune]:
    return FineTune.objects.filter(pk=job.pk, state=State.RUNNING, lease_owner=job.lease_owner).exclude(lease_owner="")


def _write(job: FineTune, values: dict[str, Any], *, also_when_cancelled: bool = False) -> None:
    """Writes under the lease and puts it off, unless `values` end it."""
    rows = _mine(job) if also_when_cancelled else _mine(job).filter(cancel_requested=False)
    written = {"lease_until": timezone.now() + LEASE, **values}
    if not rows.update(**written):
        raise CancelRequested if _mine(job).filter(cancel_requested=True).exists() else LeaseLost
    for name, value in written.items():
        if name != "lease_owner":
            setattr(job, name, value)


def _end_values(state: FineTune.State) -> dict[str, Any]:
    return {"state": state, "lease_owner": "", "lease_until": None, "finished": timezone.now()}


def _merged(known: Sequence[Sequence[Any]], rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """By step; thinned out when there are many, but never a row with a held-out loss."""
    steps = {row[0]: list(row) for row in known} | {row[0]: [_number(value) for value in row] for row in rows}
    merged = [steps[step] for step in sorted(steps)]
    while len(merged) > MOST_LOSSES:
        thin = [row for number, row in enumerate(merged) if number % 2 == 0 or row[2] is not None]
        if len(thin) == len(merged):
            return merged[-MOST_LOSSES:]
        merged = thin
    return merged


def _number(value: Any) -> Any:
    """JSON knows no infinity and no NaN, which a loss may become."""
    return value if value is None or math.isfinite(value) else None
