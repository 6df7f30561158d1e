"""Admin of what the models did: the page with plots, the cost page, and the calls and days behind them.

Nobody's text is here. A call is shown without its person: limits are counted for people, habits are not watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display

from . import costs, policy
from .charts import Chart, Values, bar_chart, line_chart
from .costs_form import OPTION_TEXTS, PART_TEXTS, SHORT_TEXTS, CostsForm, groups
from .errors import LanguageModelError, UnknownModel
from .live import live_models
from .models import CallDay, ModelCall, Price
from .prices import currency, price_of
from .registry import parse_models
from .types import ModelId
from .watch import PERIODS, Figures, ModelFigures, Watch, watch

MOST_PLOTS = 12
MOST_COACHES = 5


class ReadOnly(ModelAdmin):
    """A list to look at: rows are written by the program alone."""

    actions = None
    list_display_links = None
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnly):
    list_display = (
        "started",
        "model",
        "place",
        "outcome_label",
        "instead_of",
        "first_token",
        "prompt_tokens",
        "cached_prompt_tokens",
        "completion_tokens",
        "cost",
        "coach",
    )
    list_filter = ("model", "outcome", "place", "purpose", "coach")
    fields = (
        "started",
        "model",
        "place",
        "purpose",
        "outcome",
        "fallback_from",
        "fallback_reason",
        "queue_seconds",
        "first_token_seconds",
        "seconds",
        "prompt_tokens",
        "cached_prompt_tokens",
        "completion_tokens",
        "prompt_speed",
        "completion_speed",
        "cost",
        "coach",
    )

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("watch/", wrap(self.watch_view), name="llm_watch"),
            path("costs/", wrap(self.costs_view), name="llm_costs"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("outcome"), ordering="outcome", label={"ok": "success", "cancelled": "info"})  # type: ignore[untyped-decorator]
    def outcome_label(self, call: ModelCall) -> tuple[str, str]:
        return (call.outcome if call.outcome in ("ok", "cancelled") else "danger"), call.outcome

    @admin.display(description=gettext_lazy("instead of"), ordering="fallback_from")
    def instead_of(self, call: ModelCall) -> str:
        return f"{call.fallback_from} ({call.fallback_reason})" if call.fallback_from else ""

    @admin.display(description=gettext_lazy("first token, s"), ordering="first_token_seconds")
    def first_token(self, call: ModelCall) -> str:
        return _seconds(call.first_token_seconds)

    def watch_view(self, request: HttpRequest) -> HttpResponse:
        wanted = request.GET.get("days", "")
        days = next((period for period in PERIODS if str(period) == wanted), PERIODS[0])
        seen, known = watch(days), list(Price.objects.all())
        context = {
            "title": _("Watch the models"),
            "periods": [(period, period == days) for period in PERIODS],
            "currency": currency(),
            "total": _Shown.of(seen.total),
            "tokens": (_large(seen.total.prompt_tokens), _large(seen.total.completion_tokens)),
            "live": live_models(_in_use(seen)),
            "models": [_Card.of(seen, item, known) for item in seen.models[:MOST_PLOTS]],
            "left_out": max(len(seen.models) - MOST_PLOTS, 0),
            "coaches": [(item.coach, _Shown.of(item.total)) for item in seen.coaches],
            "charts": _overall(seen),
        }
        return self._page(request, "admin/llm/watch.html", context)

    def costs_view(self, request: HttpRequest) -> HttpResponse:
        form = CostsForm.of(request.GET)
        found = costs.compare(form.assumptions())
        cheapest = min(found, key=lambda option: option.total)
        context = {
            "title": _("What a year costs"),
            "form": form,
            "groups": groups(form),
            "prices": Price.objects.filter(training__isnull=False).exclude(model__endswith="*"),
            "currency": currency(),
            "options": [
                (option, OPTION_TEXTS[option.key], option is cheapest, [(PART_TEXTS[p.key], p) for p in option.parts])
                for option in found
            ],
            "chart": bar_chart(
                key="costs",
                title=_("Cost of a year"),
                labels=[str(SHORT_TEXTS[option.key]) for option in found],
                series={currency(): [option.total for option in found]},
                write=_count,
            ),
        }
        return self._page(request, "admin/llm/costs.html", context)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**frame, **context})


@admin.register(CallDay)
class CallDayAdmin(ReadOnly):
    list_display = (
        "day",
        "model",
        "coach",
        "calls",
        "errors",
        "fallbacks",
        "prompt_tokens",
        "cached_prompt_tokens",
        "completion_tokens",
        "cost",
    )
    list_filter = ("model", "coach")
    date_hierarchy = "day"


@dataclass(frozen=True, slots=True)
class _Shown:
    """Figures as people read them."""

    calls: str
    errors: str
    error_rate: str
    fallbacks: str
    p50: str
    p95: str
    speed: str
    prompt_tokens: str
    cached: str
    answer_tokens: str
    cost: str
    bad: bool

    @classmethod
    def of(cls, figures: Figures) -> _Shown:
        cached = figures.cached_prompt_tokens / figures.prompt_tokens if figures.prompt_tokens else 0
        return cls(
            calls=_count(figures.calls),
            errors=_count(figures.errors),
            error_rate=f"{_number(100 * figures.error_rate, 1)} %",
            fallbacks=_count(figures.fallbacks),
            p50=_seconds(figures.p50),
            p95=_seconds(figures.p95),
            speed="–" if figures.speed is None else _number(figures.speed, 1),
            prompt_tokens=_count(figures.prompt_tokens),
            cached=f"{_number(100 * cached, 0)} %",
            answer_tokens=_count(figures.completion_tokens),
            cost=_money(float(figures.cost)),
            bad=figures.errors > 0,
        )


@dataclass(frozen=True, slots=True)
class _Card:
    """A model with its plots."""

    name: str
    place: str
    priced: bool
    total: _Shown
    charts: list[Chart]

    @classmethod
    def of(cls, seen: Watch, item: ModelFigures, known: Sequence[Price]) -> _Card:
        labels, key, series = _labels(seen), f"m{seen.models.index(item)}", item.series
        price = price_of(item.model, known)
        priced = item.place != "cloud" or price is not None
        charts = [
            line_chart(
                key=f"{key}-latency",
                title=_("First token, s"),
                labels=labels,
                series={"p50": [step.p50 for step in series], "p95": [step.p95 for step in series]},
                write=_seconds,
            ),
            bar_chart(
                key=f"{key}-calls",
                title=_("Calls and errors"),
                labels=labels,
                series={
                    _("answered"): [step.calls - step.errors for step in series],
                    _("errors"): [step.errors for step in series],
                },
                write=_count,
            ),
        ]
        if item.total.cost:
            money = price.currency if price else currency()
            charts.append(_cost_chart(f"{key}-cost", labels, {money: [float(step.cost) for step in series]}, money))
        return cls(item.model, item.place, priced, _Shown.of(item.total), charts)


def _overall(seen: Watch) -> list[Chart]:
    """Calls by coach, and cost by coach when something cost."""
    labels, shown = _labels(seen), seen.coaches[:MOST_COACHES]
    if not shown:
        return []
    names = [item.coach or _("no coach") for item in shown]
    calls: dict[str, Values] = {
        name: [step.calls for step in item.series] for name, item in zip(names, shown, strict=True)
    }
    charts = [bar_chart(key="coach-calls", title=_("Calls by coach"), labels=labels, series=calls, write=_count)]
    if seen.total.cost:
        cost: dict[str, Values] = {
            name: [float(step.cost) for step in item.series] for name, item in zip(names, shown, strict=True)
        }
        charts.append(_cost_chart("coach-cost", labels, cost, currency()))
    return charts


def _cost_chart(key: str, labels: list[str], series: dict[str, Values], money: str) -> Chart:
    title = _("Cost, %(currency)s") % {"currency": money}
    return bar_chart(key=key, title=title, labels=labels, series=series, write=_money)


def _in_use(seen: Watch) -> list[ModelId]:
    """What the installation would ask now, and what was asked in the period."""
    try:
        models = policy.default_models()
    except LanguageModelError:
        models = []
    for item in seen.models:
        try:
            models += parse_models(item.model)
        except UnknownModel:
            continue  # its provider is gone; its past is still shown
    return list(dict.fromkeys(models))


def _labels(seen: Watch) -> list[str]:
    return [_label(step, hours=seen.days == 1) for step in seen.steps]


def _label(step: datetime, *, hours: bool) -> str:
    return f"{step:%H}:00" if hours else date_format(step, "j M")


def _number(number: float, digits: int) -> str:
    """As the language writes it; Django's own function cuts digits off instead of rounding."""
    return number_format(round(number, digits), digits, use_l10n=True, force_grouping=True)


def _count(number: float) -> str:
    return _number(number, 0 if number == int(number) else 1)


def _large(number: float) -> str:
    """Counts for a tile: 48.4 M instead of eight digits."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            shown = number / (size if unit != "k" else 1000)
            return f"{_number(shown, 1)} {unit}"
    return _count(number)


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else _number(seconds, 2 if seconds < 10 else 0)


def _money(amount: float) -> str:
    return _number(amount, 2 if amount == 0 or amount >= 0.1 else 4)
