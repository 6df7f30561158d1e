"""Admin of fine-tunes: the list, the form that starts one, and the page of one while it runs and afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from . import admin_calendar
from .finetune import jobs, selectors, services
from .finetune.errors import FineTuneError, NotFound
from .finetune.form import FineTuneForm
from .models import FineTune, TunedModel
from .wake import follow_soon

COLOURS = {"done": "success", "running": "info", "waiting": "warning", "failed": "danger", "cancelled": "primary"}
# Words of static/admin-coach/admin.css.
DOTS = {"done": "ready", "running": "processing", "waiting": "pending", "failed": "failed", "cancelled": ""}
EVENTS_SHOWN = 100


@admin.register(FineTune)
class FineTuneAdmin(ModelAdmin):
    """The program writes the rows; a person starts, watches and cancels."""

    list_display = ("name", "where", "method", "dataset", "base", "state_label", "percent", "created")
    list_filter = ("state", "where", "method")
    list_select_related = ("dataset",)
    list_before_template = "admin/training/finetune_links.html"
    search_fields = ("name", "base")
    actions = None

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("calendar/", wrap(admin_calendar.calendar_view), name="training_calendar"),
            path("<uuid:job_id>/live/", wrap(self.live_view), name="training_finetune_live"),
            path("<uuid:job_id>/cancel/", wrap(self.cancel_view), name="training_finetune_cancel"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: FineTune | None = None) -> bool:
        """What runs is cancelled first."""
        return super().has_delete_permission(request, obj) and (obj is None or selectors.is_over(obj))

    @display(description=gettext_lazy("state"), ordering="state", label=COLOURS)
    def state_label(self, job: FineTune) -> tuple[str, str]:
        return job.state, str(job.get_state_display())

    @admin.display(description=gettext_lazy("progress"))
    def percent(self, job: FineTune) -> str:
        return f"{selectors.progress_of(job):.0%}" if job.total or job.state == FineTune.State.DONE else "–"

    # --- start -----------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """`act` of the form is `estimate` or `start`."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = FineTuneForm(request.POST or None, initial=_initial(request))
        estimate = None
        if form.is_bound and form.is_valid():
            if request.POST.get("act") == "start" and not form.cloud_missing():
                started = self._start(request, form)
                if started is not None:
                    return started
            elif not form.errors:
                estimate = _estimate(form)
        context = {
            "title": _("Start a fine-tune"),
            "form": form,
            "estimate": estimate,
            "groups": _groups(form),
            "sets": form.sets,
            "cloud_on": selectors.cloud_on(),
            "cloud_url": services.checks.openai_url(),
            "suggestions": {"defaults": form.suggestions(), "bases": _bases()},
        }
        return self._page(request, "admin/training/finetune_start.html", context)

    def _start(self, request: HttpRequest, form: FineTuneForm) -> HttpResponse | None:
        try:
            job = services.start(**form.job_values(), user_id=request.user.pk)
        except FineTuneError as error:
            form.add_error(None, str(error))
            return None
        follow_soon(job.pk)
        return redirect("admin:training_finetune_change", job.pk)

    # --- one of them -----------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        job = self._job(request, object_id)
        context = {"title": job.name, "live": reverse("admin:training_finetune_live", args=[job.pk]), **_shown(job)}
        context["may_change"] = self.has_change_permission(request)
        context["may_delete"] = self.has_delete_permission(request, job)
        return self._page(request, "admin/training/finetune.html", context)

    def live_view(self, request: HttpRequest, job_id: Any) -> HttpResponse:
        """The part of the page that changes while it runs."""
        job = self._job(request, job_id)
        context = {**_shown(job), "may_change": self.has_change_permission(request)}
        return TemplateResponse(request, "admin/training/finetune_live.html", context)

    def cancel_view(self, request: HttpRequest, job_id: Any) -> HttpResponse:
        job = self._job(request, job_id)
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        try:
            follow_soon(services.cancel(job_id=job.pk).pk)
        except FineTuneError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:training_finetune_change", args=[job.pk]))

    def _job(self, request: HttpRequest, job_id: Any) -> FineTune:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return jobs.get(job_id)
        except NotFound as error:
            raise Http404 from error

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request, template, {**self.admin_site.each_context(request), "opts": self.opts, **context}
        )


@admin.register(TunedModel)
class TunedModelAdmin(ModelAdmin):
    """What came out; promoted on the pages of comparisons."""

    list_display = ("name", "model", "base", "finetune", "synthetic", "stale", "created")
    readonly_fields = ("name", "model", "base", "finetune", "path", "sha256", "synthetic", "stale", "created")
    search_fields = ("name", "model", "base")
    change_form_before_template = "admin/training/tuned_links.html"
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _initial(request: HttpRequest) -> dict[str, Any]:
    """`?dataset=` chooses one."""
    wanted = request.GET.get("dataset", "")
    found: dict[str, Any] = {"dataset": int(wanted)} if wanted.isascii() and wanted.isdigit() else {}
    bases = selectors.local_bases()
    return found | ({"base": bases[0]} if bases else {})


def _bases() -> dict[str, list[str]]:
    return {"local": selectors.local_bases(), "openai": selectors.openai_bases()}


def _groups(form: FineTuneForm) -> list[tuple[str, Any, list[Any], list[Any]]]:
    """(place, its name, options that are often changed, the others)."""
    return [
        (where, label, list(form.group(where, often=True)), list(form.group(where, often=False)))
        for where, label in FineTune.Where.choices
        if where == FineTune.Where.LOCAL or selectors.cloud_on()
    ]


def _estimate(form: FineTuneForm) -> dict[str, Any] | None:
    values = form.job_values()
    try:
        options = services.chosen_options(where=values["where"], dataset=values["dataset"], given=values["options"])
        found = services.estimate(dataset=values["dataset"], base=values["base"], options=options)
    except FineTuneError as error:
        form.add_error(None, str(error))
        return None
    return {**found, "words": cost_words(found), "where": values["where"]}


def cost_words(cost: dict[str, Any]) -> str:
    """What it takes in one line: money or time; '' when nobody knows."""
    if cost.get("estimate") is not None:
        return _("about %(cost)s %(currency)s") % {"cost": cost["estimate"], "currency": cost["currency"]}
    if cost.get("seconds"):
        return _("about %(time)s") % {"time": duration_words(cost["seconds"])}
    return ""


def duration_words(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
    return _("%(n)s hours") % {"n": number_format(round(minutes / 60, 1), 1)}


def _shown(job: FineTune) -> dict[str, Any]:
    over = selectors.is_over(job)
    left = job.seconds_left if job.seconds_left and not over else 0
    result = getattr(job, "result", None)
    return {
        "job": job,
        "over": over,
        "dot": DOTS[job.state],
        "stage": "" if over else selectors.stage_label(job.stage),
        "left": duration_words(left) if left else "",
        "cost_words": cost_words(job.cost),
        "chart": selectors.loss_chart(job) if job.losses else None,
        "gain": _gain(job.losses),
        "events": _events(job.events),
        "options": sorted(job.options.items()),
        "result": result,
        "cancelling": job.cancel_requested and not over,
    }


def _gain(losses: Sequence[Sequence[Any]]) -> dict[str, str] | None:
    """First and best held-out loss, and by how much it fell."""
    held_out = [row[2] for row in losses if row[2] is not None]
    if len(held_out) < 2:
        return None
    first, best = held_out[0], min(held_out)
    fell = (first - best) / first if first else 0.0
    losses_shown = {"first": number_format(round(first, 3), 3), "best": number_format(round(best, 3), 3)}
    return {**losses_shown, "percent": number_format(round(100 * fell), 0)}


def _events(events: Sequence[dict[str, Any]]) -> list[tuple[Any, str, str]]:
    """(when, level, text), newest first."""
    return [(parse_datetime(one["at"]), one["level"], one["text"]) for one in reversed(events[-EVENTS_SHOWN:])]
