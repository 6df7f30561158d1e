"""Pages with pictures: from turns to examples, and how ratings go; part of admin_review.py."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from coach.models import Coach
from llm.charts import Chart, bar_chart, decimals, line_chart

from .review import funnel_counts, trends
from .review.frame import guarded, page
from .review.funnel import Step
from .wake import count_soon

PERIODS = (0, 30, 90, 365)
MOST_REASONS = 5
RATINGS = (1, 2, 3, 4, 5)


def urls() -> list[Any]:
    return [
        path("funnel/", funnel_view, name="training_funnel"),
        path("trends/", trends_view, name="training_trends"),
    ]


@require_safe
@guarded("coach.view_turn", staff=True)
def funnel_view(request: HttpRequest) -> HttpResponse:
    given = request.GET
    days = next((days for days in PERIODS if str(days) == given.get("days")), PERIODS[0])
    coaches = list(Coach.objects.all())
    coach = next((coach.slug for coach in coaches if coach.slug == given.get("coach")), "")
    language = next((code for code, _name in settings.LANGUAGES if code == given.get("language")), "")
    kept = funnel_counts.kept(days=days, coach=coach, language=language)
    if kept.due:
        count_soon(days=days, coach=coach, language=language)
    context = {
        "title": _("From turns to examples"),
        "kept": kept,
        "address": request.get_full_path(),
        "steps": [_bar(step) for step in kept.steps],
        "periods": PERIODS,
        "days": days,
        "coaches": coaches,
        "coach": coach,
        "languages": settings.LANGUAGES,
        "language": language,
    }
    return page(request, "admin/training/funnel.html", "funnel", context)


def _bar(step: Step) -> dict[str, Any]:
    """The width is finished text: templates write decimals as the person's language does."""
    return {
        "step": step,
        "left": number_format(step.left, use_l10n=True, force_grouping=True),
        "percent": f"{number_format(round(step.percent, 1), 1)} %",
        "width": f"{step.percent:.2f}",
        "lost": [(why, number_format(n, use_l10n=True, force_grouping=True)) for why, n in step.lost],
    }


@require_safe
@guarded("coach.view_turn", staff=True)
def trends_view(request: HttpRequest) -> HttpResponse:
    wanted = request.GET.get("weeks", "")
    weeks = next((n for n in trends.WEEKS if str(n) == wanted), trends.WEEKS[0])
    titles = {"coach": _("By coach"), "language": _("By language"), "model": _("By language model")}
    found = trends.trends(weeks)
    context = {
        "title": _("Ratings over time"),
        "periods": [(n, n == weeks) for n in trends.WEEKS],
        "groups": [(title, by, _charts(by, found[by]), found[by].left_out) for by, title in titles.items()],
        "reasons": _reasons(trends.reasons_by_month()),
    }
    return page(request, "admin/training/funnel_trends.html", "trends", context)


def _charts(by: str, trend: trends.Trend) -> list[Chart]:
    """The mean rating, and how many ratings it is the mean of."""
    labels = [date_format(week, "j.n.") for week in trend.weeks]
    names = [f"{line.name} ({line.total})" for line in trend.lines]
    means = dict(zip(names, [line.means for line in trend.lines], strict=True))
    counts = dict(zip(names, [line.counts for line in trend.lines], strict=True))
    return [
        line_chart(
            key=f"mean-{by}", title=_("Mean rating"), labels=labels, series=means, write=decimals, ticks=RATINGS
        ),
        bar_chart(key=f"count-{by}", title=_("Number of ratings"), labels=labels, series=counts, write=_whole),
    ]


def _reasons(found: trends.Reasons) -> Chart:
    labels = [date_format(month, "n/y") for month in found.months]
    shown = dict(list(found.counts.items())[:MOST_REASONS])
    rest = list(found.counts.values())[MOST_REASONS:]
    if rest:
        last = shown.popitem()
        shown[_("others")] = [sum(column) for column in zip(last[1], *rest, strict=True)]
    return bar_chart(key="reasons", title=_("Reasons given, by month"), labels=labels, series=shown, write=_whole)


def _whole(value: float) -> str:
    return number_format(value, 0)
