"""The form of a filter, for exports and data sets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from coach.models import Coach

from ..filters import LONGEST, MOST_HISTORY
from ..models import DataSet, Export

HELPFUL = (
    ("", gettext_lazy("whatever was answered")),
    ("yes", gettext_lazy("only helpful ones")),
    ("no", gettext_lazy("only unhelpful ones")),
)
AGREED = (
    ("", gettext_lazy("training on this machine")),
    ("yes", gettext_lazy("training at OpenAI, too")),
)
NAMES = (
    "since",
    "until",
    "coaches",
    "languages",
    "min_rating",
    "helpful",
    "min_question",
    "min_answer",
    "history",
    "cloud",
)


class _Day(forms.DateInput):
    input_type = "date"

    def format_value(self, value: Any) -> Any:
        return value.isoformat() if hasattr(value, "isoformat") else value


class FilterForm(forms.Form):
    """Empty fields have the default of the kind."""

    since = forms.DateField(label=gettext_lazy("Asked from"), required=False, widget=_Day)
    until = forms.DateField(label=gettext_lazy("Asked until"), required=False, widget=_Day)
    min_rating = forms.TypedChoiceField(
        label=gettext_lazy("Rating at least"), required=False, coerce=int, empty_value=None
    )
    helpful = forms.ChoiceField(label=gettext_lazy("Helpful"), required=False, choices=HELPFUL)
    min_question = forms.IntegerField(
        label=gettext_lazy("Question longer than (characters)"), required=False, min_value=0, max_value=LONGEST
    )
    min_answer = forms.IntegerField(
        label=gettext_lazy("Answer longer than (characters)"), required=False, min_value=0, max_value=LONGEST
    )
    history = forms.IntegerField(
        label=gettext_lazy("Conversation so far, at most (tokens)"),
        required=False,
        min_value=0,
        max_value=MOST_HISTORY,
        widget=forms.NumberInput({"placeholder": 0}),
    )
    cloud = forms.ChoiceField(label=gettext_lazy("Agreed to"), required=False, choices=AGREED)
    languages = forms.MultipleChoiceField(
        label=gettext_lazy("Languages"), required=False, choices=settings.LANGUAGES, widget=forms.CheckboxSelectMultiple
    )
    coaches = forms.MultipleChoiceField(
        label=gettext_lazy("Coaches"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ratings = [
            ("", _("as usual for the kind")),
            ("0", _("any, and unrated")),
            *((str(n), str(n)) for n in range(1, 6)),
        ]
        self.fields["min_rating"].choices = ratings  # type: ignore[attr-defined]
        self.fields["coaches"].choices = list(Coach.objects.values_list("slug", "name"))  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        """For exports.kinds.wanted; of a valid form."""
        found = {name: self.cleaned_data[name] for name in NAMES if self.cleaned_data.get(name) not in (None, "", [])}
        for name in ("since", "until"):
            if name in found:
                found[name] = found[name].isoformat()
        if "helpful" in found:
            found["helpful"] = found["helpful"] == "yes"
        if "cloud" in found:
            found["cloud"] = True
        return found


class ExportForm(FilterForm):
    kind = forms.ChoiceField(label=pgettext_lazy("of an export", "Kind"), choices=Export.Kind.choices)


class DataSetForm(FilterForm):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    kind = forms.ChoiceField(label=gettext_lazy("Made of"), choices=DataSet.Kind.choices)
    held_out = forms.FloatField(
        label=gettext_lazy("Share held out"),
        min_value=0,
        max_value=0.5,
        initial=0.2,
        widget=forms.NumberInput({"step": 0.05}),
    )
    seed = forms.IntegerField(label=gettext_lazy("Seed"), min_value=0, max_value=2**31 - 1, initial=0)
