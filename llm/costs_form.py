"""The fields of the cost page: every assumption of llm/costs.py, filled from prices and from what was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .costs import Assumptions
from .models import Price
from .prices import price_of
from .watch import measured

SHARES = frozenset({"cached_share", "tuned_prompt_share", "busy_share"})
USUAL_MODEL = "openai:gpt-4o-mini"
LABELS = {
    "sessions": _("Sessions a year"),
    "turns": _("Turns in a session"),
    "prompt_tokens": _("Prompt tokens of a turn"),
    "cached_share": _("Share of the prompt that is cached (0–1)"),
    "answer_tokens": _("Answer tokens of a turn"),
    "price_prompt": _("Prompt, per million tokens"),
    "price_cached": _("Cached prompt, per million tokens"),
    "price_answer": _("Answer, per million tokens"),
    "tuned_price_prompt": _("Prompt, per million tokens"),
    "tuned_price_cached": _("Cached prompt, per million tokens"),
    "tuned_price_answer": _("Answer, per million tokens"),
    "tuned_prompt_share": _("Share of the prompt that is still sent (0–1)"),
    "training_price": _("Training, per million tokens"),
    "training_tokens": _("Tokens of one training (examples × tokens × epochs)"),
    "trainings": _("Trainings a year"),
    "gpu_price": _("Price of the machine"),
    "gpu_years": _("Years it is used"),
    "gpu_busy_watts": _("Power when busy, W"),
    "gpu_idle_watts": _("Power when idle, W"),
    "gpu_prompt_speed": _("Reads prompt tokens a second"),
    "gpu_answer_speed": _("Writes answer tokens a second"),
    "gpu_care_hours": _("Hours of care a year"),
    "rag_busy_watts": _("Power when busy, W"),
    "rag_idle_watts": _("Extra power when idle, W"),
    "rag_prompt_speed": _("Reads prompt tokens a second"),
    "rag_answer_speed": _("Writes answer tokens a second"),
    "rag_care_hours": _("Hours of care a year"),
    "hours_on": _("Hours a year a machine is on"),
    "busy_share": _("Share of them it can be busy (0–1)"),
    "kwh_price": _("Price of a kWh"),
    "hour_price": _("Price of an hour of care"),
}
OPTION_TEXTS = {
    "openai": _("Cloud model"),
    "finetuned": _("Fine-tuned cloud model"),
    "gpu": _("Own machine with a GPU"),
    "rag": _("Local model on a machine you have"),
}
SHORT_TEXTS = {"openai": _("Cloud"), "finetuned": _("Fine-tuned"), "gpu": _("GPU"), "rag": _("Local")}
PART_TEXTS = {
    "calls": _("Tokens"),
    "training": _("Training"),
    "purchase": _("Machine"),
    "energy": _("Energy"),
    "care": _("Care"),
}
_GROUPS = (
    (_("Use"), ("sessions", "turns", "prompt_tokens", "cached_share", "answer_tokens")),
    (OPTION_TEXTS["openai"], ("price_prompt", "price_cached", "price_answer")),
    (OPTION_TEXTS["finetuned"], ("tuned_", "training_", "trainings")),
    (OPTION_TEXTS["gpu"], ("gpu_",)),
    (OPTION_TEXTS["rag"], ("rag_",)),
    (_("Machines and people"), ("hours_on", "busy_share", "kwh_price", "hour_price")),
)


class CostsForm(forms.Form):
    """A field for each of Assumptions; a missing or wrong value leaves the default in place and says so."""

    measured_names: frozenset[str] = frozenset()
    defaults: Assumptions = Assumptions()

    @classmethod
    def of(cls, given: Mapping[str, str]) -> CostsForm:
        """From a query: `prices=ID` takes the prices of that Price, other names are assumptions."""
        found = _measured()
        from_here = {**asdict(Assumptions()), **_prices(""), **found}
        typed = {name: text for name, text in given.items() if name in LABELS}
        values = {**from_here, **typed, **(_prices(given["prices"]) if given.get("prices") else {})}
        form = cls(data={name: _plain(value) for name, value in values.items()})
        form.measured_names = frozenset(found) - frozenset(typed)
        form.defaults = Assumptions(**from_here)
        return form

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        for item in fields(Assumptions):
            self.fields[item.name] = forms.FloatField(
                label=LABELS[item.name],
                min_value=0,
                max_value=1 if item.name in SHARES else 1e12,
                widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
            )

    def assumptions(self) -> Assumptions:
        """What was typed, with the defaults for what cannot be used."""
        self.is_valid()
        return Assumptions(**{**asdict(self.defaults), **self.cleaned_data})


def groups(form: CostsForm) -> list[tuple[Any, list[tuple[Any, bool]]]]:
    """(heading, [(field, was it measured here)]) in the order of the page."""
    return [
        (
            heading,
            [(form[name], name in form.measured_names) for name in LABELS if name.startswith(starts)],
        )
        for heading, starts in _GROUPS
    ]


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"


def _measured() -> dict[str, float]:
    here = measured()
    found = {
        "turns": here.turns,
        "prompt_tokens": here.prompt_tokens,
        "cached_share": here.cached_share,
        "answer_tokens": here.answer_tokens,
        "rag_prompt_speed": here.prompt_speed,
        "rag_answer_speed": here.answer_speed,
    }
    return {name: round(value, 0 if value >= 100 else 2) for name, value in found.items() if value is not None}


def _prices(chosen: str) -> dict[str, float]:
    """Prices of the Price with this id ('': the usual model), and of its fine-tuned sister; {} when there is none."""
    known = list(Price.objects.all())
    by_id = {str(price.pk): price for price in known}
    price = by_id.get(chosen) if chosen else price_of(USUAL_MODEL, known)
    if price is None:
        return {}
    found = _three("price", price)
    if price.training is not None:
        found["training_price"] = float(price.training)
    provider, _colon, name = price.model.rstrip("*").partition(":")
    tuned = next((item for item in known if item.model.rstrip("*").startswith(f"{provider}:ft:{name}")), None)
    tuned = tuned or price_of(f"{provider}:ft:{name}", known)
    return found | (_three("tuned_price", tuned) if tuned else {})


def _three(prefix: str, price: Price) -> dict[str, float]:
    cached = price.prompt if price.cached_prompt is None else price.cached_prompt
    return {
        f"{prefix}_prompt": float(price.prompt),
        f"{prefix}_cached": float(cached),
        f"{prefix}_answer": float(price.completion),
    }
