"""Admin of the order of language models: each change is a new row, so that the list is its own history."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from . import live_order, local_models
from .cloud import cloud_models
from .errors import LanguageModelError
from .models import Endpoint, LiveOrder
from .registry import parse_models

PAST = ("order", "front", "coach", "share")


class OrderForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Refuses models that no provider knows, and cloud models that nobody confirmed."""

    cloud_meant = forms.BooleanField(
        label=gettext_lazy("Cloud models are meant"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=gettext_lazy("Needed only when the order names a model outside of this network."),
    )

    class Meta:
        model = LiveOrder
        fields = ("order",)
        widgets = {
            "order": UnfoldAdminTextInputWidget(
                attrs={"placeholder": "ollama:llama3.1, llamacpp", "spellcheck": "false", "autocomplete": "off"}
            ),
        }
        help_texts = {
            "order": gettext_lazy(
                "Tried in this order, separated by commas, from the next question on; turns that run finish on the "
                "models they began with. Empty: what the setting COACH_MODELS says. A coach's own list counts more."
            ),
        }

    def clean_order(self) -> str:
        text = str(self.cleaned_data["order"])
        try:
            return ",".join(map(str, parse_models(text)))
        except LanguageModelError as error:
            raise forms.ValidationError(str(error), code=error.code) from error

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        order = cleaned.get("order")
        outside = cloud_models(order) if order else []
        if outside and not cleaned.get("cloud_meant"):
            self.add_error(
                "cloud_meant",
                _("%(models)s: what coachees write would be sent to a cloud service. Tick this if that is meant.")
                % {"models": ", ".join(map(str, outside))},
            )
        return cleaned


@admin.register(LiveOrder)
class LiveOrderAdmin(ModelAdmin):
    form = OrderForm
    list_display = ("order_label", "reach", "changed", "ended", "changed_by")
    ordering = ("-pk",)
    fields = ("in_use", "order", "cloud_meant", "known_models")
    readonly_fields = ("in_use", "known_models")

    def has_change_permission(self, request: HttpRequest, obj: LiveOrder | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: LiveOrder | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: LiveOrder | None = None) -> Any:
        return (*PAST, "changed", "ended", "changed_by") if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: LiveOrder | None = None) -> Any:
        return (*PAST, "changed", "ended", "changed_by") if obj else self.readonly_fields

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"order": live_order.live_order() or settings.COACH_MODELS}

    def save_model(self, request: HttpRequest, obj: LiveOrder, form: Any, change: bool) -> None:
        obj.pk = live_order.switch(order=obj.order, user_id=request.user.pk).pk

    @admin.display(description=gettext_lazy("language models in order"))
    def order_label(self, row: LiveOrder) -> str:
        return row.order or _("as COACH_MODELS says")

    @admin.display(description=gettext_lazy("for"))
    def reach(self, row: LiveOrder) -> str:
        """Of a promotion: whose conversations, and how many of them."""
        return f"{row.coach or _('all coaches')}, {row.share} %" if row.front else "–"

    @admin.display(description=gettext_lazy("In use now"))
    def in_use(self, row: LiveOrder | None) -> str:
        order = live_order.live_order() or settings.COACH_MODELS or _("the models found on this machine")
        promoted = [
            f"{front.models} ({front.coach or _('all coaches')}, {front.share} %)" for front in live_order.fronts()
        ]
        if not promoted:
            return order
        return _("%(order)s; promoted in front of it: %(models)s") % {"order": order, "models": ", ".join(promoted)}

    @admin.display(description=gettext_lazy("Known models"))
    def known_models(self, row: LiveOrder | None) -> str:
        lines = [(model.model, model.title) for model in local_models.installed()]
        lines += [(f"openai:NAME@{slug}", url) for slug, url in Endpoint.objects.values_list("slug", "url")]
        lines.append(("guided", _("quotes the sources, needs no model; always the last")))
        items = format_html_join("", "<li><code>{}</code> {}</li>", lines)
        return format_html("<ul>{}</ul>", items)
