"""Start, cancel and try comparisons again; a worker does the work (run.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from llm import policy
from llm.cloud import cloud_models
from llm.endpoints import checked_models
from llm.errors import UnknownModel
from training.models import Comparison, DataSet, Example, TunedModel

from . import promotions
from .errors import (
    AlreadyOver,
    BadOptions,
    CloudNotMeant,
    NotFound,
    NothingToAsk,
    NotOver,
    SameModel,
    StaleModel,
    WrongModel,
)
from .options import Options
from .promotions import check_model

State = Comparison.State


def start(
    *,
    candidate: TunedModel,
    live: str = "",
    dataset: DataSet | None = None,
    options: Mapping[str, Any] | None = None,
    by: User | None = None,
) -> Comparison:
    """A comparison that waits for a worker; the edge wakes one (wake.py).

    live: the model to compare with, '' for the one that answers first now. dataset: whose held-out examples are
    asked, None for the suite alone. Raises errors of errors.py.
    """
    check_model(candidate)
    chosen = Options.from_json(options or {})
    against = live_model(live, candidate=candidate)
    if against == candidate.model:
        raise SameModel(against)
    if dataset is not None:
        _check_data(dataset, f"{candidate.model},{against}", chosen)
    examples = _examples(dataset) if chosen.held_out else 0
    if not examples and not (chosen.suite and chosen.languages):
        raise NothingToAsk
    return Comparison.objects.create(
        candidate=candidate, live=against, dataset=dataset, options=chosen.to_json(), created_by=by
    )


def cancel(*, comparison: Comparison) -> Comparison:
    """At once when it waits, after the running question when a worker is at it. Raises AlreadyOver."""
    rows = Comparison.objects.filter(pk=comparison.pk)
    waiting = rows.filter(state=State.WAITING)
    over = waiting.update(state=State.CANCELLED, cancel_requested=True, finished=timezone.now())
    if not over and not rows.filter(state=State.RUNNING).update(cancel_requested=True):
        raise AlreadyOver
    comparison.refresh_from_db()
    return comparison


def retry(*, comparison: Comparison) -> Comparison:
    """One that failed or was cancelled waits for a worker again; the edge wakes one.

    What both models answered is kept; a question to which one of them gave nothing is asked again. Raises NotOver, and
    what `start` says of a candidate or data set that cannot be used any more.
    """
    check_model(comparison.candidate)
    if comparison.dataset is not None:
        models = f"{comparison.candidate.model},{comparison.live}"
        _check_data(comparison.dataset, models, Options.from_json(comparison.options))
    rows = Comparison.objects.filter(pk=comparison.pk, state__in=(State.FAILED, State.CANCELLED))
    values = {"error": "", "cancel_requested": False, "finished": None, "lease_owner": "", "lease_until": None}
    with transaction.atomic():
        if not rows.update(state=State.WAITING, **values):
            raise NotOver
        told = comparison.pairs.values_list("pk", "figures")
        silent = [pk for pk, one in told if any(one.get(side, {}).get("error") for side in ("first", "second"))]
        comparison.pairs.filter(pk__in=silent).delete()
    comparison.refresh_from_db()
    return comparison


def get(comparison_id: int | str) -> Comparison:
    """Raises NotFound."""
    rows = Comparison.objects.select_related("candidate", "dataset")
    found = rows.filter(pk=int(comparison_id)).first() if is_key(comparison_id) else None
    if found is None:
        raise NotFound
    return found


def is_key(text: int | str) -> bool:
    """Whether it may be the id of a row."""
    return isinstance(text, int) or (text.isascii() and text.isdecimal() and len(text) < 19)


def live_model(text: str, *, candidate: TunedModel | None = None) -> str:
    """The model that is named, or the one that answers first now: what is promoted to all, else the order's first.

    The candidate is not compared with itself when it is live already. Guided mode can be on the other side, too.
    """
    if not text.strip():
        live = [row.model for row in promotions.live() if row.share == promotions.WHOLE]
        others = [model.model for model in live if candidate is None or model.pk != candidate.pk]
        return others[0] if others else str(policy.default_models()[0])
    try:
        found = checked_models(text)
    except UnknownModel as error:
        raise WrongModel(str(error)) from error
    if len(found) != 1:
        raise WrongModel(_("Name one model to compare with."))
    return str(found[0])


def _check_data(dataset: DataSet, models: str, options: Options) -> None:
    if dataset.state != DataSet.State.FROZEN:
        raise BadOptions(_("The data set %(name)s is not frozen yet; approve its examples first.") % {"name": dataset})
    if dataset.stale is not None:
        raise StaleModel(dataset)
    outside = cloud_models(models)
    if outside and options.held_out and not options.cloud:
        raise CloudNotMeant(", ".join(map(str, outside)))


def _examples(dataset: DataSet | None) -> int:
    if dataset is None:
        return 0
    return dataset.examples.filter(split=Example.Split.HELD_OUT, state=Example.State.APPROVED).count()
