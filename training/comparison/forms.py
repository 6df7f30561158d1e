"""The forms of the panel: start a comparison, promote a model."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from coach.models import Coach
from training.models import DataSet, TunedModel

from .questions import LANGUAGES


class StartForm(forms.Form):
    candidate = forms.ModelChoiceField(label=_("Candidate"), queryset=TunedModel.objects.none(), empty_label=None)
    live = forms.CharField(label=_("Compared with"), required=False, max_length=300)
    dataset = forms.ModelChoiceField(
        label=_("Held-out examples of"),
        queryset=DataSet.objects.none(),
        required=False,
        empty_label=_("no data set: our own questions alone"),
    )
    held_out = forms.IntegerField(label=_("Examples at most"), min_value=0, max_value=500, initial=40)
    suite = forms.IntegerField(label=_("Our own questions for each language"), min_value=0, max_value=15, initial=15)
    languages = forms.MultipleChoiceField(
        label=_("Languages"),
        choices=settings.LANGUAGES,
        initial=list(LANGUAGES),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    cloud = forms.BooleanField(label=_("Held-out examples may be sent to a cloud model"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        candidates: Any = self.fields["candidate"]
        candidates.queryset = TunedModel.objects.filter(stale=None)
        datasets: Any = self.fields["dataset"]
        datasets.queryset = DataSet.objects.filter(state=DataSet.State.FROZEN, stale=None)

    def options(self) -> dict[str, Any]:
        names = ("held_out", "suite", "languages", "cloud")
        return {name: self.cleaned_data[name] for name in names}


class PromoteForm(forms.Form):
    """share: percent of the conversations; below 100 it is a canary."""

    candidate = forms.ModelChoiceField(label=_("Tuned model"), queryset=TunedModel.objects.none(), empty_label=None)
    coach = forms.ModelChoiceField(
        label=_("Coach"), queryset=Coach.objects.all(), required=False, empty_label=_("all coaches")
    )
    share = forms.IntegerField(label=_("Share of conversations, %"), min_value=1, max_value=100, initial=10)
    reason = forms.CharField(label=_("Reason, if a gate says no"), required=False, max_length=300)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        candidates: Any = self.fields["candidate"]
        candidates.queryset = TunedModel.objects.filter(stale=None)
