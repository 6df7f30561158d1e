"""Admin of evaluations: the runs, and each figure over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from llm.charts import Chart, decimals, line_chart

from .models import EvaluationRun

MOST_RUNS = 30
MOST_SETS = 12
WAYS = ("dense", "lexical", "hybrid")
Kind = EvaluationRun.Kind


@admin.register(EvaluationRun)
class EvaluationRunAdmin(ModelAdmin):
    """The list; `evaluate` writes the rows, a person may delete them."""

    list_display = ("created", "kind", "data", "embedder", "model", "items", "seconds")
    list_filter = ("kind", "data", "embedder")
    list_before_template = "admin/training/over_time_link.html"
    readonly_fields = ("created", "kind", "data", "embedder", "model", "items", "seconds", "setting", "figures")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.over_time)
        return [path("over-time/", view, name="training_evaluations"), *super().get_urls()]

    def over_time(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        charts = {
            _("Retrieval"): _retrieval_charts(_runs(Kind.RETRIEVAL)),
            _("Answers"): _answer_charts(_runs(Kind.ANSWERS)),
        }
        context = {"title": _("Evaluations over time"), "groups": {name: some for name, some in charts.items() if some}}
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/training/over_time.html", {**frame, **context})


def _runs(kind: Kind) -> list[EvaluationRun]:
    """The last ones, oldest first."""
    return list(EvaluationRun.objects.filter(kind=kind)[:MOST_RUNS])[::-1]


def _retrieval_charts(runs: Sequence[EvaluationRun]) -> list[Chart]:
    """Of the mean and of each set: nDCG of each way, and recall of the whole search."""
    sets = _names(run.figures.get("sets", {}) for run in runs)
    charts = []
    for number, place in enumerate([("mean",), *(("sets", name) for name in sets)] if runs else []):
        name = _("mean") if place == ("mean",) else place[-1]
        ways = {way: [_dig(run.figures, *place, way, "ndcg@10") for run in runs] for way in WAYS}
        recall = {one: [_dig(run.figures, *place, "hybrid", one) for run in runs] for one in ("recall@5", "recall@10")}
        charts.append(_chart(f"ndcg-{number}", f"{name} · ndcg@10", runs, ways))
        charts.append(_chart(f"recall-{number}", f"{name} · recall", runs, recall))
    return charts


def _answer_charts(runs: Sequence[EvaluationRun]) -> list[Chart]:
    languages = _names(run.figures.get("languages", {}) for run in runs)
    measures = (
        (_("Answer found in the text"), ("match", "contains", "mean")),
        (_("Citation precision"), ("citations", "precision", "mean")),
        (_("Citation recall"), ("citations", "recall", "mean")),
        (_("Abstention F1"), ("abstention", "f1", "mean")),
    )
    charts = []
    for number, (title, keys) in enumerate(measures):
        values = {name: [_dig(run.figures, "languages", name, *keys) for run in runs] for name in languages}
        values[_("all")] = [_dig(run.figures, "all", *keys) for run in runs]
        charts.append(_chart(f"answers-{number}", title, runs, values))
    return charts if runs else []


def _chart(key: str, title: str, runs: Sequence[EvaluationRun], values: Mapping[str, list[float | None]]) -> Chart:
    labels = [date_format(run.created, "j.n. H:i") for run in runs]
    return line_chart(key=key, title=title, labels=labels, series=values, write=decimals)


def _names(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for group in groups for name in group})[:MOST_SETS]


def _dig(figures: Mapping[str, Any], *keys: str) -> float | None:
    found: Any = figures
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None
