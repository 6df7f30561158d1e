"""The form that starts a fine-tune: options are empty by default, and then follow the size of the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from llm.machine import this_machine
from training.models import DataSet, FineTune

from . import checks, selectors, services
from .errors import FineTuneError
from .options import KINDS, bounds_of, options_of, suggested

LABELS: dict[str, Any] = {
    "epochs": gettext_lazy("Times through the data"),
    "learning_rate": gettext_lazy("Learning rate"),
    "rank": gettext_lazy("Rank of the LoRA"),
    "alpha": gettext_lazy("Weight of the LoRA (alpha)"),
    "dropout": gettext_lazy("Dropout"),
    "batch": gettext_lazy("Examples in a step"),
    "max_tokens": gettext_lazy("Tokens of an example, at most"),
    "early_stop": gettext_lazy("Looks without a gain until it stops (0: never)"),
    "beta": gettext_lazy("Nearness to the base (beta, preferences only)"),
    "seed": pgettext_lazy("random numbers", "Seed"),
    "n_epochs": gettext_lazy("Times through the data (0: OpenAI chooses)"),
    "batch_size": gettext_lazy("Examples in a step (0: OpenAI chooses)"),
    "learning_rate_multiplier": gettext_lazy("Factor of the learning rate (0: OpenAI chooses)"),
    "delete_files": gettext_lazy("Delete the examples at OpenAI when it is over"),
}
OFTEN = {"local": ("epochs", "learning_rate", "max_tokens"), "openai": ("n_epochs", "delete_files")}


class FineTuneForm(forms.Form):
    """`job_values` is what services.start takes."""

    dataset = forms.ModelChoiceField(label=gettext_lazy("Data set"), queryset=DataSet.objects.none(), empty_label=None)
    where = forms.ChoiceField(label=pgettext_lazy("fine-tune", "Where"), choices=FineTune.Where.choices)
    base = forms.CharField(
        label=gettext_lazy("Base model"),
        max_length=300,
        widget=forms.TextInput(attrs={"list": "ac-bases", "spellcheck": "false", "autocapitalize": "off"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name of the result"),
        max_length=60,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}),
    )
    method = forms.ChoiceField(label=pgettext_lazy("fine-tune", "How"), choices=FineTune.Method.choices)
    cloud_meant = forms.BooleanField(label=gettext_lazy("The examples may be sent to OpenAI"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sets = selectors.trainable_sets()
        choice: Any = self.fields["dataset"]
        choice.queryset = DataSet.objects.filter(pk__in=[one.pk for one in self.sets]).order_by("-frozen", "-created")
        if not settings.COACH_OPENAI_TRAINING:
            place: Any = self.fields["where"]
            place.choices = [(FineTune.Where.LOCAL.value, FineTune.Where.LOCAL.label)]
        for where in KINDS:
            self._add_options(where)

    def group(self, where: str, *, often: bool) -> Iterator[forms.BoundField]:
        """The options of a place: those one often changes, or the others."""
        for one in fields(KINDS[where]):
            if (one.name in OFTEN[where]) == often:
                yield self[f"{where}_{one.name}"]

    def suggestions(self) -> dict[str, dict[str, dict[str, Any]]]:
        """dataset: place: option: default; for the page's script."""
        gpu = this_machine().gpu_bytes > 0
        return {
            str(one.pk): {
                where: suggested(where, examples=checks.training_examples(one), gpu=gpu).to_json() for where in KINDS
            }
            for one in self.sets
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                services.check(**{name: cleaned[name] for name in ("where", "dataset", "base", "name", "method")})
                options_of(cleaned["where"], self._options())
            except FineTuneError as error:
                raise forms.ValidationError(str(error), code=error.code) from error
        return cleaned

    def job_values(self) -> dict[str, Any]:
        names = ("where", "dataset", "base", "name", "method")
        return {name: self.cleaned_data[name] for name in names} | {"options": self._options()}

    def cloud_missing(self) -> bool:
        """The examples would leave this machine, and nobody said that this is meant."""
        missing = self.cleaned_data["where"] == FineTune.Where.OPENAI and not self.cleaned_data["cloud_meant"]
        if missing:
            self.add_error("cloud_meant", _("Tick this if the examples may leave this machine."))
        return missing

    def _options(self) -> dict[str, Any]:
        where = self.cleaned_data["where"]
        found = {one.name: self.cleaned_data.get(f"{where}_{one.name}") for one in fields(KINDS[where])}
        return {name: value for name, value in found.items() if value is not None}

    def _add_options(self, where: str) -> None:
        bounds = bounds_of(KINDS[where])
        for one in fields(KINDS[where]):
            name, label = f"{where}_{one.name}", LABELS[one.name]
            if isinstance(one.default, bool):
                self.fields[name] = forms.BooleanField(label=label, required=False, initial=one.default)
                continue
            low, high = bounds[one.name]
            kind: Any = forms.IntegerField if isinstance(one.default, int) else forms.FloatField
            widget = forms.NumberInput(attrs={"placeholder": f"{one.default:g}", "data-option": one.name})
            self.fields[name] = kind(label=label, required=False, min_value=low, max_value=high, widget=widget)
