"""Admin of prices and limits: one currency for all, and a limit that bounds something."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display

from .limits import standing_of
from .models import Limit, Price

STALE = timedelta(days=90)


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    class Meta:
        model = Price
        fields = ("model", "currency", "prompt", "cached_prompt", "completion", "training", "checked_on")

    def clean_model(self) -> str:
        pattern = str(self.cleaned_data["model"]).strip()
        if "*" in pattern[:-1]:
            raise forms.ValidationError(_("A * may only stand at the end."))
        return pattern

    def clean_currency(self) -> str:
        """Costs are added up, so all prices are in one currency."""
        currency = str(self.cleaned_data["currency"]).strip().upper()
        if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
            raise forms.ValidationError(_("Write the currency in three letters, such as USD."))
        other = Price.objects.exclude(pk=self.instance.pk).exclude(currency=currency).first()
        if other is not None:
            raise forms.ValidationError(
                _("All prices are in one currency, and %(model)s is in %(currency)s.")
                % {"model": other.model, "currency": other.currency}
            )
        return currency


@admin.register(Price)
class PriceAdmin(ModelAdmin):
    form = PriceForm
    list_display = ("model", "currency", "prompt", "cached_prompt", "completion", "training", "checked")
    search_fields = ("model",)
    list_before_template = "admin/llm/prices_note.html"

    @display(description=gettext_lazy("checked on"), ordering="checked_on", label={"old": "warning", "new": "success"})  # type: ignore[untyped-decorator]
    def checked(self, price: Price) -> tuple[str, str]:
        day = price.checked_on
        if day is None:
            return "old", _("never")
        old = timezone.localdate() - day > STALE
        return ("old" if old else "new"), date_format(day, "SHORT_DATE_FORMAT")


class LimitForm(forms.ModelForm):  # type: ignore[type-arg]  # as above
    class Meta:
        model = Limit
        fields = ("period", "coach", "user", "per_user", "turns", "tokens", "cost", "cloud_only")
        help_texts = {
            "coach": gettext_lazy("Its short name. Empty: all coaches."),
            "user": gettext_lazy("Empty: everybody."),
            "cost": gettext_lazy("In the currency of the prices."),
        }

    def clean_cost(self) -> Any:
        cost = self.cleaned_data["cost"]
        if cost is not None and cost < 0:
            raise forms.ValidationError(_("A cost is 0 or more."))
        if cost is not None and not Price.objects.exists():
            raise forms.ValidationError(_("Enter prices first: without them nothing costs anything."))
        return cost

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if all(given.get(name) is None for name in ("turns", "tokens", "cost")) and not self.errors:
            raise forms.ValidationError(_("Set at least one of turns, tokens and cost."))
        if given.get("user") and given.get("per_user"):
            self.add_error("per_user", _("Choose one person or each user, not both."))
        return given


@admin.register(Limit)
class LimitAdmin(ModelAdmin):
    form = LimitForm
    list_display = ("period", "coach_shown", "for_whom", "turns", "tokens", "cost", "used", "cloud_only")
    list_select_related = ("user",)
    autocomplete_fields = ("user",)

    @admin.display(description=gettext_lazy("coach"), ordering="coach")
    def coach_shown(self, limit: Limit) -> str:
        return limit.coach or _("all")

    @admin.display(description=gettext_lazy("for"))
    def for_whom(self, limit: Limit) -> str:
        if limit.user is not None:
            return str(limit.user)
        return _("each user") if limit.per_user else _("all together")

    @display(description=gettext_lazy("used"), label={"reached": "danger", "free": "success", "each": "info"})  # type: ignore[untyped-decorator]
    def used(self, limit: Limit) -> tuple[str, str]:
        """The largest share of a bound that is used up."""
        standing = standing_of(limit)
        if standing is None:
            return "each", _("each on their own")
        bounds = (
            (limit.turns, standing.used.turns),
            (limit.tokens, standing.used.tokens),
            (limit.cost, standing.used.cost),
        )
        share = max(
            (float(used) / float(most) if most else 1.0 for most, used in bounds if most is not None), default=0
        )
        return ("reached" if standing.reached else "free"), f"{share:.0%}"
