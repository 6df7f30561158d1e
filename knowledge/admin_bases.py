"""Admin of knowledge bases: the list, and the page with what a base holds, who uses it, and its languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from . import admin_bench, admin_generations, admin_quality, admin_reads, admin_upload, services, wake
from .admin_frame import base_tabs
from .models import Document, KnowledgeBase

LANGUAGES = dict(settings.LANGUAGES)


def coach_model() -> type[Model]:
    """Coaches stand a floor above: their side of the relation is the way to them."""
    return KnowledgeBase._meta.get_field("coaches").related_model


def _permission(what: str) -> str:
    coach = coach_model()._meta
    return f"{coach.app_label}.{what}_{coach.model_name}"


def _may_change_coaches(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(_permission("change")))


class BaseForm(forms.ModelForm):
    """`coaches` is left out for those who may not change coaches."""

    languages = forms.MultipleChoiceField(
        label=gettext_lazy("Languages"),
        choices=settings.LANGUAGES,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text=gettext_lazy("Those of its documents. The index is checked in each of them before it goes live."),
    )
    coaches: Any = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Coaches"),
        queryset=None,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text=gettext_lazy("These may cite it, from their next answer on."),
    )

    class Meta:
        model = KnowledgeBase
        fields = ("name", "slug", "description", "languages")
        help_texts = {
            "slug": gettext_lazy("Part of addresses. Best left as it is once scripts use it."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        base = self.instance
        if "languages" in self.fields and base.pk and not base.languages:
            found = admin_reads.languages_of(base)
            if found:
                self.initial["languages"] = [language for language, _n in found]
                said = ", ".join(f"{LANGUAGES.get(language, language)} ({n})" for language, n in found)
                self.fields["languages"].help_text = _("Suggested from its documents: %s. Save to keep it.") % said
        if "coaches" in self.fields:
            field: Any = self.fields["coaches"]
            field.queryset = coach_model()._default_manager.all()
            if base.pk:
                field.initial = list(base.coaches.values_list("pk", flat=True))


@admin.register(KnowledgeBase)
class KnowledgeBaseAdmin(ModelAdmin):
    form = BaseForm
    list_display = ("name", "documents_by_state", "passages", "size", "spoken", "used_by", "index", "upload_link")
    search_fields = ("name", "slug")
    change_form_outer_before_template = "admin/knowledge/base_overview.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeBase]:
        return admin_reads.bases_with_counts().prefetch_related("coaches")

    def get_fieldsets(self, request: HttpRequest, obj: KnowledgeBase | None = None) -> Any:
        fields = ["spoken"]
        if self._may_edit(request, obj):
            fields = ["languages", *(["coaches"] if _may_change_coaches(request) else [])]
        return (
            (None, {"fields": ("name", "slug", "description")}),
            (_("Who uses it, and in which languages"), {"fields": fields}),
        )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if not _may_change_coaches(request):
            # A declared field stays in a form that does not show it, and would be read as "none".
            form.base_fields.pop("coaches", None)
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: KnowledgeBase | None = None) -> Any:
        return () if self._may_edit(request, obj) else ("spoken",)

    def _may_edit(self, request: HttpRequest, obj: KnowledgeBase | None) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "description":
            field.widget.attrs["rows"] = 2
        return field

    def get_prepopulated_fields(self, request: HttpRequest, obj: KnowledgeBase | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("name",)}

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        own = (*admin_upload.ROUTES, *admin_generations.ROUTES, *admin_bench.ROUTES, *admin_quality.ROUTES)
        routes = [
            path(f"<int:object_id>/{route}", wrap(view), name=f"knowledge_knowledgebase_{name}")
            for route, name, view in own
        ]
        return [*routes, *super().get_urls()]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if "coaches" in form.cleaned_data:
            form.instance.coaches.set(form.cleaned_data["coaches"])

    # --- the list ---------------------------------------------------------------------------------

    @display(description=gettext_lazy("documents"), ordering="total")
    def documents_by_state(self, base: Any) -> Any:
        counts: Sequence[tuple[str, int]] = (("ready", base.ready), ("processing", base.open), ("failed", base.failed))
        words = {"ready": _("%(n)d ready"), "processing": _("%(n)d in progress"), "failed": _("%(n)d failed")}
        url = reverse("admin:knowledge_document_changelist")
        rows = [(state, url, base.pk, _STATES_IN_LIST[state], words[state] % {"n": n}) for state, n in counts if n]
        link = '<a class="ac-state" data-state="{}" href="{}?base__id__exact={}&amp;{}">{}</a>'
        return (
            format_html('<span class="ac ac-chips">{}</span>', format_html_join("", link, rows)) if rows else _("none")
        )

    @display(description=gettext_lazy("passages"), ordering="passages")
    def passages(self, base: Any) -> int:
        return int(base.passages)

    @display(description=gettext_lazy("size"), ordering="size")
    def size(self, base: Any) -> str:
        return filesizeformat(base.size)

    @display(description=gettext_lazy("languages"))
    def spoken(self, base: KnowledgeBase) -> str:
        return ", ".join(LANGUAGES.get(language, language) for language in base.languages) or "–"

    @display(description=gettext_lazy("coaches"))
    def used_by(self, base: Any) -> str:
        return ", ".join(str(coach) for coach in base.coaches.all()) or "–"

    @display(description=gettext_lazy("index"))
    def index(self, base: Any) -> Any:
        live = base.live_generation[0] if base.live_generation else None
        if live is None:
            return "–"
        due = _("due anew") if admin_reads.embed_due(live) else ""
        return format_html('{}<span class="ac-due">{}</span>', live.embedder, due) if due else live.embedder

    @display(description="")
    def upload_link(self, base: KnowledgeBase) -> str:
        url = reverse("admin:knowledge_knowledgebase_upload", args=[base.pk])
        return format_html('<a class="ac-link" href="{}">{}</a>', url, _("Upload"))

    # --- one base -----------------------------------------------------------------------------------

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        base = KnowledgeBase.objects.filter(pk=object_id).first() if object_id and object_id.isdecimal() else None
        overview = self._overview(request, base) if base else {}
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **overview})

    def _overview(self, request: HttpRequest, base: KnowledgeBase) -> dict[str, Any]:
        coach = coach_model()._meta
        may_see = request.user.has_perm(_permission("view")) or request.user.has_perm(_permission("change"))
        view = f"admin:{coach.app_label}_{coach.model_name}_change"
        return {
            **base_tabs(request, base, "base"),
            "figures": admin_reads.base_figures(base),
            "wanted_embedder": settings.COACH_EMBEDDER,
            "users": [(one, reverse(view, args=[one.pk]) if may_see else "") for one in _coaches(base)],
        }

    def response_add(self, request: HttpRequest, obj: KnowledgeBase, post_url_continue: Any = None) -> HttpResponse:
        """A new base is empty: go on to its upload page."""
        if "_popup" in request.POST or "_addanother" in request.POST or not request.user.has_perm(_ADD):
            return super().response_add(request, obj, post_url_continue)
        messages.success(request, _("The knowledge base is there. Now give it documents."))
        return redirect("admin:knowledge_knowledgebase_upload", obj.pk)

    # --- deleting -----------------------------------------------------------------------------------

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        chosen: list[Any] = list(admin_reads.bases_with_counts().filter(pk__in=[base.pk for base in objs]))
        texts = [
            ngettext("%(name)s with %(n)d document", "%(name)s with %(n)d documents", base.total)
            % {"name": base.name, "n": base.total}
            for base in chosen
        ]
        counts = {
            str(self.opts.verbose_name_plural): len(chosen),
            str(Document._meta.verbose_name_plural): sum(base.total for base in chosen),
        }
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return texts, counts, lacking, []

    def delete_model(self, request: HttpRequest, obj: KnowledgeBase) -> None:
        _drop_later(services.delete_base(base_id=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[KnowledgeBase]) -> None:
        for base_id in list(queryset.values_list("pk", flat=True)):
            _drop_later(services.delete_base(base_id=base_id))


_ADD = "knowledge.add_document"
_STATES_IN_LIST = {
    "ready": "state__exact=ready",
    "processing": "state__in=pending,processing",
    "failed": "state__exact=failed",
}


def _coaches(base: Any) -> Sequence[Any]:
    return list(base.coaches.all())


def _drop_later(collections: list[str]) -> None:
    """After the commit, have a worker remove a deleted base's vectors from Chroma."""
    wake.drop_later(collections)
