"""Admin of exports: the list, the form with a live count, and the page of one; exports by the clock."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display

from coach.errors import NotFound, Refusal

from .datasets.services import funnel
from .exports import kinds, services
from .exports.errors import reason_words
from .exports.form import ExportForm
from .models import Export, ExportSchedule
from .wake import export_soon

COLOURS = {"done": "success", "running": "info", "waiting": "warning", "failed": "danger", "cancelled": "primary"}
# Words of static/admin-coach/admin.css.
DOTS = {"done": "ready", "running": "processing", "waiting": "pending", "failed": "failed"}


@admin.register(Export)
class ExportAdmin(ModelAdmin):
    """The program writes the rows; a person asks for one, watches, downloads and deletes."""

    list_display = ("kind", "state_label", "rows", "bytes", "stale", "created_by", "created", "finished")
    list_filter = ("state", "kind")
    list_select_related = ("created_by",)
    list_before_template = "admin/training/export_links.html"
    actions = None

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("funnel/", wrap(self.funnel_view), name="training_export_funnel"),
            path("<uuid:export_id>/live/", wrap(self.live_view), name="training_export_live"),
            path("<uuid:export_id>/cancel/", wrap(self.cancel_view), name="training_export_cancel"),
            path("<uuid:export_id>/file/", wrap(self.file_view), name="training_export_file"),
            path("<uuid:export_id>/manifest/", wrap(self.manifest_view), name="training_export_manifest"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("state"), ordering="state", label=COLOURS)
    def state_label(self, export: Export) -> tuple[str, str]:
        return export.state, str(export.get_state_display())

    def delete_model(self, request: HttpRequest, obj: Export) -> None:
        services.delete(export_id=obj.pk)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ExportForm(request.POST or None)
        if form.is_bound and form.is_valid():
            try:
                export = services.ask(kind=form.cleaned_data["kind"], given=form.given(), by=request.user)
            except Refusal as error:
                form.add_error(None, str(error))
            else:
                export_soon(export.pk)
                return redirect("admin:training_export_change", export.pk)
        context = {
            "title": _("Export"),
            "heading": _("What goes out"),
            "form": form,
            "funnel_url": reverse("admin:training_export_funnel"),
        }
        return self._page(request, "admin/training/export_start.html", context)

    def funnel_view(self, request: HttpRequest) -> HttpResponse:
        """What would go out now, and why the rest would not: a part of the page of the form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return funnel_part(request, ExportForm(request.GET))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        export = self._export(request, object_id)
        context = {**self._shown(request, export), "title": str(export)}
        context["may_delete"] = self.has_delete_permission(request, export)
        return self._page(request, "admin/training/export.html", context)

    def live_view(self, request: HttpRequest, export_id: Any) -> HttpResponse:
        """The part of the page that changes while it runs."""
        context = self._shown(request, self._export(request, export_id))
        return TemplateResponse(request, "admin/training/export_live.html", context)

    def cancel_view(self, request: HttpRequest, export_id: Any) -> HttpResponse:
        export = self._export(request, export_id)
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        services.cancel(export_id=export.pk)
        return redirect("admin:training_export_change", export.pk)

    def file_view(self, request: HttpRequest, export_id: Any) -> HttpResponse | FileResponse:
        return self._download(request, export_id, services.file_of)

    def manifest_view(self, request: HttpRequest, export_id: Any) -> HttpResponse | FileResponse:
        return self._download(request, export_id, services.manifest_of)

    def _download(self, request: HttpRequest, export_id: Any, which: Any) -> HttpResponse | FileResponse:
        """What people said leaves the machine here: only for those who may make exports."""
        export = self._export(request, export_id)
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            found = which(export)
        except Refusal as error:
            messages.error(request, str(error))
            return redirect("admin:training_export_change", export.pk)
        return FileResponse(found.open("rb"), as_attachment=True, filename=found.name)

    def _shown(self, request: HttpRequest, export: Export) -> dict[str, Any]:
        done = export.state == Export.State.DONE
        return {
            "export": export,
            "dot": DOTS.get(export.state, ""),
            "over": export.state not in services.UNFINISHED,
            "counts": counted(export.manifest["counts"]) if done else None,
            "openai": export.manifest.get("openai") if done else None,
            "may_change": self.has_change_permission(request),
            "may_download": done and self.has_add_permission(request),
            "live": reverse("admin:training_export_live", args=[export.pk]),
        }

    def _export(self, request: HttpRequest, export_id: Any) -> Export:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return services.get(export_id)
        except (NotFound, ValidationError) as error:
            raise Http404 from error

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**frame, "opts": self.opts, **context})


class ScheduleForm(forms.ModelForm):
    class Meta:
        model = ExportSchedule
        fields = ("kind", "every", "keep", "active", "filter")

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        try:
            kinds.wanted(found.get("kind", ""), found.get("filter") or {})
        except Refusal as error:
            self.add_error("filter", str(error))
        return found


@admin.register(ExportSchedule)
class ExportScheduleAdmin(ModelAdmin):
    form = ScheduleForm
    list_display = ("kind", "every", "keep", "active", "last")
    readonly_fields = ("last",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.base_fields["filter"].required = False
        form.base_fields["filter"].help_text = _(
            'As in the API: {"min_rating": 4, "languages": ["sv"]}. Empty: as usual.'
        )
        return form


def funnel_part(request: HttpRequest, form: Any) -> HttpResponse:
    """`form` has a kind and a filter; what is wrong with them is said in place of the counts."""
    context: dict[str, Any] = {}
    kind = request.GET.get("kind", "")
    for name in ("name", "held_out", "seed"):
        form.fields.pop(name, None)  # nothing for the count
    try:
        if form.is_valid():
            context["counts"] = counted(funnel(kind=kind, given=form.given()))
        else:
            context["error"] = next(iter(form.errors.values()))[0]
    except Refusal as error:
        context["error"] = str(error)
    return TemplateResponse(request, "admin/training/export_funnel.html", context)


def counted(counts: dict[str, Any]) -> dict[str, Any]:
    """Counts with words and with shares for bars, most first."""
    whole = max(1, counts["in"])
    rows = sorted(counts["left_out"].items(), key=lambda item: -item[1])
    reasons = [(reason_words(code), n, 100 * n / whole) for code, n in rows]
    return {"in": counts["in"], "out": counts["out"], "share": 100 * counts["out"] / whole, "reasons": reasons}
