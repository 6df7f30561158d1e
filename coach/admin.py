"""Admin of coaches; conversations, turns and ratings are in admin_conversations.py."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from llm.endpoints import checked_models
from llm.errors import LanguageModelError

from . import admin_conversations, admin_reasons  # noqa: F401 - register conversations, turns, ratings and reasons
from .models import Coach


class CoachForm(forms.ModelForm):
    """Refuses language models that no provider knows, before a coachee meets them."""

    class Meta:
        model = Coach
        fields = (
            "name",
            "slug",
            "mode",
            "description",
            "prompt",
            "knowledge_bases",
            "language_models",
            "active",
            "position",
        )
        widgets = {
            "language_models": UnfoldAdminTextInputWidget(
                attrs={"placeholder": "ollama:llama3.1, llamacpp", "spellcheck": "false", "autocomplete": "off"}
            ),
        }
        help_texts = {
            "slug": _("Part of addresses and of the programming interface. Best left as it is once people use it."),
            "description": _("One sentence that coachees see when they choose a coach."),
            "knowledge_bases": _("What this coach may cite. Without any it answers without sources and says so."),
            "language_models": _(
                "Tried in this order, separated by commas; the next one takes over when one fails. Empty: what the "
                "setting COACH_MODELS says. Write provider:name, for example ollama:llama3.1, "
                "openai:gpt-4o-mini, llamacpp or guided (quotes the sources, needs no model)."
            ),
            "active": _("Coachees can start new conversations with it."),
            "position": _("Smaller numbers come first."),
        }

    def clean_language_models(self) -> str:
        text: str = self.cleaned_data["language_models"].strip()
        if text:
            try:
                checked_models(text)
            except LanguageModelError as error:
                raise forms.ValidationError(str(error), code=error.code) from error
        return text


@admin.register(Coach)
class CoachAdmin(ModelAdmin):
    form = CoachForm
    list_display = ("name", "mode", "bases", "models_in_order", "active_label", "position")
    list_filter = ("active", "mode")
    list_editable = ("position",)
    prepopulated_fields = {"slug": ("name",)}
    fieldsets = (
        (None, {"fields": ("name", "slug", "mode", "description", "active", "position")}),
        (_("What it may cite"), {"fields": ("knowledge_bases",)}),
        (_("How it answers"), {"fields": ("language_models", "prompt")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Coach]:
        return super().get_queryset(request).prefetch_related("knowledge_bases")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Coach | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("name",)}

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "knowledge_bases":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description=_("knowledge bases"))
    def bases(self, coach: Coach) -> str:
        return ", ".join(base.name for base in coach.knowledge_bases.all()) or str(_("none"))

    @display(description=_("language models"))
    def models_in_order(self, coach: Coach) -> str:
        return coach.language_models or str(_("as COACH_MODELS says"))

    @display(description=_("active"), label={True: "success", False: "warning"}, ordering="active")
    def active_label(self, coach: Coach) -> tuple[bool, Any]:
        return coach.active, _("active") if coach.active else _("switched off")

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Counts instead of the conversations: their titles are what people wrote."""
        chosen = Coach.objects.filter(pk__in=[coach.pk for coach in objs]).annotate(held=Count("conversations"))
        protected = [
            format_html(
                "{} <a href='{}?conversation__coach__id__exact={}'>{}</a>",
                coach.name,
                reverse("admin:coach_turn_changelist"),
                coach.pk,
                ngettext("%(n)d conversation", "%(n)d conversations", coach.held) % {"n": coach.held},
            )
            for coach in chosen
            if coach.held
        ]
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        names = [f"{capfirst(self.opts.verbose_name)}: {coach.name}" for coach in chosen]
        return names, {str(self.opts.verbose_name_plural): len(names)}, lacking, protected
