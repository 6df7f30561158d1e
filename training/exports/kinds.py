"""The kinds of exports. Adding one: its module, a line here, its choice in training/models/datasets.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from ..filters import TurnFilter, WrongFilter
from ..models import Export
from . import openai, preferences, sessions, sharegpt, table
from .tally import Lines, Tally


@dataclass(frozen=True, slots=True)
class Kind:
    """suffix of the file; what passes by default; `lines` yields (line, its turns); head: a first line, b'' for none.
    end         of each line

    teaches     made to train models with: the flagged stay out whatever the filter says
    history     an example can begin with the conversation before it; the others hold it anyway, or cannot
    """

    suffix: str
    filter: TurnFilter
    lines: Callable[[TurnFilter, Tally], Lines]
    head: bytes = b""
    end: bytes = b"\n"
    teaches: bool = True
    history: bool = False


GOOD, ALL = TurnFilter(), TurnFilter(min_rating=0, min_question=0, min_answer=0)
KINDS: dict[str, Kind] = {
    Export.Kind.SESSIONS: Kind(".jsonl", ALL, sessions.lines, teaches=False),
    Export.Kind.OPENAI: Kind(".jsonl", GOOD, openai.lines, history=True),
    Export.Kind.PREFERENCES: Kind(".jsonl", replace(GOOD, min_rating=0), preferences.lines),
    Export.Kind.SHAREGPT: Kind(".jsonl", GOOD, sharegpt.lines),
    Export.Kind.CSV: Kind(".csv", ALL, table.lines, head=table.HEAD, end=b"\r\n", teaches=False),
}


def wanted(kind: str, given: dict[str, object] | None) -> TurnFilter:
    """The filter of an export: what is given over the kind's own. Raises WrongFilter.

    Nothing leaves without consent, whoever asks; what teaches a model has no safety flag either.
    """
    if kind not in KINDS:
        raise WrongFilter(_("There is no export called %(kind)s.") % {"kind": kind})
    found = TurnFilter.from_json({**KINDS[kind].filter.to_json(), **(given or {})})
    if not found.consented:
        raise WrongFilter(_("Only conversations of people who agreed can leave: consented cannot be switched off."))
    if KINDS[kind].teaches and not found.no_safety:
        raise WrongFilter(_("Turns with a safety flag are not for training: no_safety cannot be switched off here."))
    if found.history and not KINDS[kind].history:
        raise WrongFilter(_("The conversation so far can be chosen for OpenAI exports and data sets of answers only."))
    return found
