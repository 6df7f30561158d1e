"""What can be set of a fine-tune, with bounds: typed here, JSON in the row (FineTune.options).

An unknown name, a wrong type or a value out of bounds is refused with a sentence that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from django.utils.translation import gettext as _

from .errors import BadOptions

SEEDS = 2**31 - 1


def _number(default: int | float, low: int | float, high: int | float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Options:
    """What both kinds share: how a value is checked, and the way to JSON and back."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Absent or None means the default. Raises BadOptions."""
        known = {one.name: one for one in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise BadOptions(
                _("There is no option %(name)s; there are %(names)s.") % {"name": unknown[0], "names": ", ".join(known)}
            )
        given = {name: _checked(known[name], value) for name, value in values.items() if value is not None}
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LocalOptions(Options):
    """Of a LoRA on this machine.

    batch       examples in one step of the optimiser
    max_tokens  longer examples are cut or left out
    early_stop  looks at the held-out loss without a better one until it ends; 0: never
    beta        of DPO: how near the model stays to what it was
    """

    epochs: int = _number(3, 1, 100)
    learning_rate: float = _number(2e-4, 1e-7, 1e-1)
    rank: int = _number(16, 1, 256)
    alpha: int = _number(32, 1, 1024)
    dropout: float = _number(0.0, 0.0, 0.9)
    batch: int = _number(4, 1, 256)
    max_tokens: int = _number(1024, 32, 131_072)
    early_stop: int = _number(2, 0, 100)
    beta: float = _number(0.1, 0.001, 10.0)
    seed: int = _number(0, 0, SEEDS)


@dataclass(frozen=True, slots=True)
class OpenAIOptions(Options):
    """Of a job at OpenAI; 0 leaves the choice to OpenAI ("auto").

    delete_files    the uploaded examples are deleted there when the job is over
    """

    n_epochs: int = _number(0, 0, 50)
    batch_size: int = _number(0, 0, 256)
    learning_rate_multiplier: float = _number(0.0, 0.0, 100.0)
    beta: float = _number(0.0, 0.0, 2.0)
    seed: int = _number(0, 0, SEEDS)
    delete_files: bool = True


KINDS: dict[str, type[LocalOptions] | type[OpenAIOptions]] = {"local": LocalOptions, "openai": OpenAIOptions}


def options_of(where: str, values: Mapping[str, Any]) -> LocalOptions | OpenAIOptions:
    """The options of a place, `local` or `openai`. Raises BadOptions."""
    if where not in KINDS:
        raise BadOptions(_("%(where)s is no place to train; there are local and openai.") % {"where": where})
    return KINDS[where].from_json(values)


def suggested(where: str, *, examples: int, gpu: bool) -> LocalOptions | OpenAIOptions:
    """Defaults for so many training examples: few are read more often, and a GPU takes more of them at once."""
    if where == "openai":
        return OpenAIOptions()
    epochs = 6 if examples < 50 else 4 if examples < 200 else 3 if examples < 2000 else 2
    return LocalOptions(epochs=epochs, batch=16 if gpu else 4, max_tokens=2048 if gpu else 1024)


def bounds_of(kind: type[Options]) -> dict[str, tuple[float, float]]:
    """name: (lowest, highest) of the options that are numbers."""
    return {one.name: (one.metadata["low"], one.metadata["high"]) for one in fields(kind) if one.metadata}


def _checked(one: Any, value: Any) -> int | float | bool:
    default = one.default
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise BadOptions(_("%(name)s must be true or false.") % {"name": one.name})
        return value
    whole = isinstance(default, int)
    right = isinstance(value, int) or (not whole and isinstance(value, float))
    low, high = one.metadata["low"], one.metadata["high"]
    if isinstance(value, bool) or not right or not low <= value <= high:
        what = _("a whole number") if whole else _("a number")
        raise BadOptions(
            _("%(name)s must be %(what)s from %(low)s to %(high)s.")
            % {"name": one.name, "what": what, "low": f"{low:g}", "high": f"{high:g}" if high < SEEDS else high}
        )
    return int(value) if whole else float(value)
