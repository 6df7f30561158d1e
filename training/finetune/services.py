"""The ways in to fine-tuning for edges: an estimate before the start, the start, the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from llm.machine import this_machine
from training.models import DataSet, FineTune

from . import checks, duration, jobs, openai_data
from .errors import BadOptions, NotFound
from .options import LocalOptions, OpenAIOptions, options_of, suggested


def find_dataset(name_or_id: str) -> DataSet:
    """By id, or by name: the newest frozen one of several, else the newest. Raises NotFound."""
    text = str(name_or_id).strip()
    found = DataSet.objects.filter(pk=int(text)).first() if text.isascii() and text.isdigit() else None
    named = DataSet.objects.filter(name=text).order_by("-created")
    found = found or named.filter(state=DataSet.State.FROZEN).first() or named.first()
    if found is None:
        raise NotFound
    return found


def chosen_options(*, where: str, dataset: DataSet, given: Mapping[str, Any]) -> LocalOptions | OpenAIOptions:
    """What was given, and defaults for this many examples and this machine. Raises BadOptions."""
    options_of(where, given)
    gpu = where == FineTune.Where.LOCAL and this_machine().gpu_bytes > 0
    defaults = suggested(where, examples=checks.training_examples(dataset), gpu=gpu)
    return options_of(where, defaults.to_json() | {name: value for name, value in given.items() if value is not None})


def check(*, where: str, dataset: DataSet, base: str, name: str, method: str) -> None:
    """All that can be known before the start. Raises errors of errors.py."""
    if where not in FineTune.Where.values:
        raise BadOptions(_("%(where)s is no place to train; there are local and openai.") % {"where": where})
    checks.check_base(where, base)
    if where == FineTune.Where.OPENAI:
        checks.check_cloud(dataset)
    checks.check_data(dataset, method)
    checks.check_name(name)


def estimate(*, dataset: DataSet, base: str, options: LocalOptions | OpenAIOptions) -> dict[str, Any]:
    """What it will take: tokens, and the cost at OpenAI or the seconds of this machine. Raises errors of errors.py."""
    if isinstance(options, OpenAIOptions):
        return openai_data.estimate(dataset=dataset, base=base, options=options).to_json()
    found = duration.estimate(base=base, dataset=dataset, options=options)
    return {"examples": checks.training_examples(dataset), "epochs": options.epochs, **found}


def start(
    *,
    where: str,
    dataset: DataSet,
    base: str,
    name: str,
    method: str = FineTune.Method.SFT,
    options: Mapping[str, Any] | None = None,
    user_id: int | None = None,
) -> FineTune:
    """A job that waits for a worker, with its estimate stored; the edge wakes one. Raises errors of errors.py."""
    check(where=where, dataset=dataset, base=base, name=name, method=method)
    chosen = chosen_options(where=where, dataset=dataset, given=options or {})
    cost = estimate(dataset=dataset, base=base, options=chosen)
    return jobs.create(
        where=where,
        dataset=dataset,
        base=base,
        name=name,
        method=method,
        options=chosen,
        user_id=user_id,
        cost=cost,
    )


def cancel(*, job_id: UUID | str) -> FineTune:
    """At once when it was not begun, else within seconds; the edge wakes a worker. Raises NotFound, AlreadyOver."""
    return jobs.cancel(job_id=job_id)
