"""What can be set of a comparison; kept as JSON in its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.utils.translation import gettext as _

from .errors import BadOptions
from .questions import LANGUAGES

_BOUNDS = {"held_out": (0, 500), "suite": (0, 100), "answer_tokens": (16, 1000), "seed": (0, 2**31 - 1)}


@dataclass(frozen=True, slots=True)
class Options:
    """held_out: examples at most; suite: questions a language at most; cloud: held-out examples may leave this network.

    judge: whether COACH_JUDGE, if there is one, chooses too.
    """

    held_out: int = 40
    suite: int = 15
    languages: tuple[str, ...] = LANGUAGES
    answer_tokens: int = 160
    seed: int = 0
    cloud: bool = False
    judge: bool = True

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """Raises BadOptions with the name of what is wrong."""
        unknown = sorted(set(values) - {one.name for one in fields(cls)})
        if unknown:
            raise BadOptions(_("There is no option %(name)s.") % {"name": unknown[0]})
        found = dict(values)
        for name, (low, high) in _BOUNDS.items():
            number = found.get(name, low)
            if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
                raise BadOptions(
                    _("%(name)s is a whole number from %(low)s to %(high)s.") % {"name": name, "low": low, "high": high}
                )
        found["languages"] = tuple(found.get("languages") or LANGUAGES)
        if set(found["languages"]) - set(LANGUAGES):
            raise BadOptions(_("The languages are %(names)s.") % {"names": ", ".join(LANGUAGES)})
        return cls(**found)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "languages": list(self.languages)}
