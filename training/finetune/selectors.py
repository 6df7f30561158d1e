"""Fine-tunes as pages, REST and the command line see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from llm import catalogue
from llm.charts import Chart, line_chart
from llm.embedded import embedded_server
from llm.models import Price
from training.models import DataSet, FineTune

from .checks import UNFINISHED

# What runs, by the name in FineTune.stage; OpenAI's own states are among them.
STAGES: dict[str, Any] = {
    "checking": gettext_lazy("checking the examples"),
    "uploading": gettext_lazy("sending the examples"),
    "validating_files": gettext_lazy("OpenAI checks the examples"),
    "queued": gettext_lazy("waiting at OpenAI"),
    "running": pgettext_lazy("stage of a fine-tune", "training"),
    "training": pgettext_lazy("stage of a fine-tune", "training"),
    "paused": gettext_lazy("paused at OpenAI"),
    "succeeded": gettext_lazy("trained; tidying up"),
    "loading": gettext_lazy("loading the base model"),
    "saving": gettext_lazy("saving the adapter"),
    "waiting": gettext_lazy("waiting for another training"),
}
# Models that OpenAI fine-tunes; any other name may be typed.
OPENAI_BASES = ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4.1-nano-2025-04-14", "gpt-4.1-mini-2025-04-14")
MOST_POINTS = 400
LEAST_MEASURED = 3


def recent(limit: int = 100) -> list[FineTune]:
    """Those that are not over, oldest first, then the newest."""
    rows = FineTune.objects.select_related("dataset", "result")
    unfinished = rows.filter(state__in=UNFINISHED).order_by("created")
    return [*unfinished, *rows.exclude(state__in=UNFINISHED).order_by("-created")[:limit]]


def trainable_sets() -> list[DataSet]:
    return list(DataSet.objects.filter(state=DataSet.State.FROZEN, stale=None).order_by("-frozen", "-created"))


def local_bases() -> list[str]:
    """Names of the catalogue whose file is here: what the embedded server runs, then the small ones first.

    An adapter is loaded beside the very model it was trained on, so the one that runs is the usual choice.
    """
    here = [entry for entry in catalogue.entries().values() if (catalogue.models_dir() / entry.file).is_file()]
    server = embedded_server()
    runs = Path(server.model).name if server else ""
    return [entry.name for entry in sorted(here, key=lambda entry: (entry.file != runs, entry.bytes))]


def openai_bases() -> list[str]:
    """Known names, those with a price for training first in their order."""
    priced = Price.objects.filter(training__isnull=False, model__startswith="openai:").exclude(model__contains="*")
    names = [model.removeprefix("openai:") for model in priced.values_list("model", flat=True)]
    return list(dict.fromkeys([*OPENAI_BASES, *(name for name in names if not name.startswith("ft:"))]))


def cloud_on() -> bool:
    return bool(settings.COACH_OPENAI_TRAINING)


def stage_label(stage: str) -> str:
    return str(STAGES.get(stage, stage))


def is_over(job: FineTune) -> bool:
    return job.state not in UNFINISHED


def data(job: FineTune) -> dict[str, Any]:
    """A fine-tune as JSON."""
    result = getattr(job, "result", None)
    return {
        "id": str(job.pk),
        "where": job.where,
        "method": job.method,
        "dataset": {"id": job.dataset_id, "name": job.dataset.name, "sha256": job.dataset.sha256},
        "base": job.base,
        "name": job.name,
        "options": job.options,
        "state": job.state,
        "stage": job.stage,
        "done": job.done,
        "total": job.total,
        "progress": progress_of(job),
        "seconds_left": job.seconds_left,
        "losses": job.losses,
        "events": job.events,
        "cost": job.cost,
        "versions": job.versions,
        "remote": job.remote.get("job", ""),
        "error_code": job.error_code,
        "error": job.error,
        "cancelling": job.cancel_requested and not is_over(job),
        "created": job.created.isoformat(),
        "finished": job.finished.isoformat() if job.finished else None,
        "result": {"name": result.name, "model": result.model} if result else None,
    }


def progress_of(job: FineTune) -> float:
    """0 to 1."""
    if job.state == FineTune.State.DONE:
        return 1.0
    return round(min(job.done / job.total, 1.0), 4) if job.total else 0.0


def loss_chart(job: FineTune) -> Chart:
    """Training and held-out loss by step.

    As soon as the held-out loss was measured some times the picture has those steps alone, each with the mean of the
    training losses since the one before: both become lines that can be compared.
    """
    rows = _condensed(job.losses)
    every = -(-len(rows) // MOST_POINTS) or 1
    rows = [row for number, row in enumerate(rows) if number % every == 0 or row[2] is not None]
    return line_chart(
        key=f"loss-{str(job.pk)[:8]}",
        title=pgettext("fine-tune", "Loss by step"),
        labels=[str(row[0]) for row in rows],
        series=_series(rows),
        write=lambda value: number_format(round(value, 3), 3),
    )


def _condensed(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    if sum(row[2] is not None for row in rows) < LEAST_MEASURED:
        return [list(row) for row in rows]
    found: list[list[Any]] = []
    since: list[float] = []
    for step, training, held_out in rows:
        since += [] if training is None else [training]
        if held_out is not None:
            found.append([step, sum(since) / len(since) if since else None, held_out])
            since = []
    return found + ([[rows[-1][0], sum(since) / len(since), None]] if since else [])


def _series(rows: list[list[Any]]) -> dict[str, list[float | None]]:
    found = {str(_("on the training examples")): [row[1] for row in rows]}
    if any(row[2] is not None for row in rows):
        found[str(_("on the held-out examples"))] = [row[2] for row in rows]
    return found
