"""Admin of the reasons for ratings: a text in each language; one that was given is switched off, not deleted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from .models import RatingChange, RatingReason

LONGEST = 40  # characters: it stands on a chip


class ReasonForm(forms.ModelForm):
    """One field for each language in the place of `texts`; English is needed."""

    class Meta:
        model = RatingReason
        fields = ("slug", "shown_for", "active", "position")
        help_texts = {
            "slug": _("Part of exports. It cannot be changed later."),
            "position": _("Smaller numbers come first."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for code, name in settings.LANGUAGES:
            self.fields[f"text_{code}"] = forms.CharField(
                label=name,
                max_length=LONGEST,
                required=code == "en",
                initial=self.instance.texts.get(code, ""),
                widget=UnfoldAdminTextInputWidget(attrs={"lang": code}),
                help_text="" if code == "en" else _("Empty: the English text is shown."),
            )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        given = {code: data.get(f"text_{code}", "").strip() for code, _name in settings.LANGUAGES}
        self.instance.texts = {code: text for code, text in given.items() if text}
        return data


@admin.register(RatingReason)
class RatingReasonAdmin(ModelAdmin):
    form = ReasonForm
    list_display = ("shown_text", "slug", "shown_for", "active_label", "position")
    list_display_links = ("shown_text",)
    list_editable = ("position",)
    list_filter = ("shown_for", "active")

    def get_fieldsets(self, request: HttpRequest, obj: RatingReason | None = None) -> Any:
        texts = tuple(f"text_{code}" for code, _name in settings.LANGUAGES)
        return ((None, {"fields": ("slug", "shown_for", "active", "position")}), (_("texts"), {"fields": texts}))

    def get_form(
        self, request: HttpRequest, obj: RatingReason | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        # The fields of the languages are made by the form itself; Django would look for them in the model.
        return super().get_form(request, obj, change, **{**kwargs, "fields": ReasonForm.Meta.fields})

    def get_readonly_fields(self, request: HttpRequest, obj: RatingReason | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: RatingReason | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or not _given(obj))

    def get_actions(self, request: HttpRequest) -> Any:
        return {}  # a list of them would be deleted without asking whether one was given

    @display(description=_("reason"))
    def shown_text(self, reason: RatingReason) -> str:
        return str(reason.texts.get(get_language() or "en") or reason.texts.get("en") or reason.slug)

    @display(description=_("active"), label={True: "success", False: "warning"}, ordering="active")
    def active_label(self, reason: RatingReason) -> tuple[bool, Any]:
        return reason.active, _("active") if reason.active else _("switched off")


def _given(reason: RatingReason) -> bool:
    """Somebody has given it, be it for a moment. Rare: the rows are looked through."""
    rows: QuerySet[RatingChange, Any] = RatingChange.objects.exclude(reasons=[]).values_list("reasons", flat=True)
    return any(reason.slug in reasons for reasons in rows.iterator())
