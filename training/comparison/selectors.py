"""Every read about comparisons and promotions, for the admin pages and REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from coach.models import Coach
from training.models import Comparison, DataSet, Promotion, TunedModel

from . import gates
from .errors import NotFound
from .services import is_key

# (key of figures, title, what is better); as percent, seconds, a number or money.
TABLE: tuple[tuple[str, Any, str, str], ...] = (
    ("held_out_loss", gettext_lazy("Held-out loss"), "low", "number"),
    ("likeness", gettext_lazy("Likeness to the approved answers"), "high", "percent"),
    ("match", gettext_lazy("Known answers found"), "high", "percent"),
    ("citations", gettext_lazy("Citation precision"), "high", "percent"),
    ("honesty", gettext_lazy("Says when the sources do not tell"), "high", "percent"),
    ("coaching", gettext_lazy("Coaching meter"), "high", "percent"),
    ("language", gettext_lazy("Answers in the right language"), "high", "percent"),
    ("safety", gettext_lazy("Safe answers"), "high", "percent"),
    ("first_token", gettext_lazy("First word, seconds"), "low", "seconds"),
    ("speed", gettext_lazy("Tokens a second"), "high", "number"),
    ("cost", gettext_lazy("Cost of an answer"), "low", "money"),
)
WHY = {
    "no_examples": gettext_lazy("Not measured: no held-out examples were asked."),
    "no_probabilities": gettext_lazy(
        "Not measured: only models of the embedded server say how probable an answer is to them."
    ),
}

BREAK = timedelta(hours=1)  # between two questions: it was not at work, so its pace begins after it


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    title: str
    passed: bool
    measured: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the table. better: whether the interval is wholly on the good side (True), the bad one, or neither."""

    name: str
    title: str
    form: str
    n: int
    candidate: float
    live: float
    difference: float
    low: float
    high: float
    better: bool | None
    why: str = ""


def comparisons() -> QuerySet[Comparison]:
    return Comparison.objects.select_related("candidate", "dataset", "created_by")


def tuned_models() -> QuerySet[TunedModel]:
    return TunedModel.objects.select_related("finetune__dataset")


def tuned_model(name: str) -> TunedModel:
    """By name. Raises NotFound."""
    found = tuned_models().filter(name=name).first()
    if found is None:
        raise NotFound
    return found


def promotion(promotion_id: int | str) -> Promotion:
    """Raises NotFound."""
    rows = Promotion.objects.select_related("model", "coach", "comparison")
    found = rows.filter(pk=int(promotion_id)).first() if is_key(promotion_id) else None
    if found is None:
        raise NotFound
    return found


def coach(slug: str) -> Coach | None:
    """None for '', which means all of them. Raises NotFound."""
    if not slug:
        return None
    found = Coach.objects.filter(slug=slug).first()
    if found is None:
        raise NotFound
    return found


def dataset(key: int | str | None) -> DataSet | None:
    """By id or name; the newest of that name. Raises NotFound."""
    if key is None or key == "":
        return None
    by_id = is_key(key)
    found = DataSet.objects.filter(**({"pk": int(str(key))} if by_id else {"name": key})).first()
    if found is None:
        raise NotFound
    return found


def with_own_list() -> list[Coach]:
    """Coaches that a promotion to all does not reach."""
    return list(Coach.objects.filter(active=True).exclude(language_models=""))


def seconds_left(comparison: Comparison, *, now: datetime) -> float | None:
    """At the pace since its first question, or since it was tried again; None while nobody can say."""
    times = [*comparison.pairs.order_by("pk").values_list("created", flat=True), now]
    begun = max((at for at in range(1, len(times)) if times[at] - times[at - 1] > BREAK), default=0)
    if comparison.finished or len(times) < 2 or comparison.done - begun < 2 or begun == len(times) - 1:
        return None
    pace = (now - times[begun]).total_seconds() / (comparison.done - begun - 1)
    return pace * (comparison.total - comparison.done)


def gates_of(comparison: Comparison) -> list[Gate]:
    return [
        Gate(name, str(gates.NAMES.get(name, name)), gate["passed"], gate.get("measured", True), gates.sentence(gate))
        for name, gate in comparison.gates.items()
    ]


def measures_of(figures: Mapping[str, Any]) -> list[Measure]:
    """Of a finished comparison (or one of its languages), in the order of the table; what applied to nothing is left
    out, but for what was left out with a reason."""
    found = []
    for name, title, good, form in TABLE:
        figure = figures.get(name) or {}
        why = str(WHY.get(figure.get("why", ""), ""))
        if figure.get("n") and (form != "money" or figure["candidate"] or figure["live"]):
            found.append(_measure(name, str(title), good, form, figure, why))
        elif why:
            found.append(Measure(name, str(title), form, 0, 0, 0, 0, 0, 0, None, why))
    return found


def _measure(name: str, title: str, good: str, form: str, figure: Mapping[str, Any], why: str) -> Measure:
    low, high = figure["low"], figure["high"]
    sure = low > 0 or high < 0
    rises = low > 0
    values = {key: figure[key] for key in ("n", "candidate", "live", "difference", "low", "high")}
    return Measure(name, title, form, better=(rises == (good == "high")) if sure else None, why=why, **values)


def data(comparison: Comparison) -> dict[str, Any]:
    """JSON of a comparison."""
    return {
        "id": comparison.pk,
        "candidate": comparison.candidate.name,
        "model": comparison.candidate.model,
        "live": comparison.live,
        "dataset": comparison.dataset_id,
        "state": comparison.state,
        "options": comparison.options,
        "done": comparison.done,
        "total": comparison.total,
        "progress": comparison.done / comparison.total if comparison.total else 0.0,
        "figures": comparison.figures,
        "gates": [
            {"name": gate.name, "passed": gate.passed, "measured": gate.measured, "why": gate.sentence}
            for gate in gates_of(comparison)
        ],
        "passed": comparison.passed,
        "error": comparison.error,
        "created": comparison.created,
        "finished": comparison.finished,
    }


def promotion_data(row: Promotion) -> dict[str, Any]:
    return {
        "id": row.pk,
        "model": row.model.name,
        "language_model": row.model.model,
        "coach": row.coach.slug if row.coach else "",
        "share": row.share,
        "comparison": row.comparison_id,
        "overridden": row.overridden,
        "started": row.started,
        "ended": row.ended,
        "live": row.ended is None,
    }


def tuned_model_data(row: TunedModel, live: Sequence[Promotion]) -> dict[str, Any]:
    newest = row.comparisons.filter(state=Comparison.State.DONE).order_by("-finished").first()
    return {
        "name": row.name,
        "model": row.model,
        "base": row.base,
        "dataset": row.finetune.dataset_id if row.finetune else None,
        "synthetic": row.synthetic,
        "stale": row.stale is not None,
        "compared": newest.pk if newest else None,
        "passed": newest.passed if newest else None,
        "live": [promotion_data(one) for one in live if one.model_id == row.pk],
        "created": row.created,
    }
