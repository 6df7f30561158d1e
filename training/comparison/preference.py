"""What people and the judge chose, without knowing which model wrote what; and how far the judge agrees with people.

A choice of a pair is `first` (the candidate's answer), `second` or `tie`; a tie is half a choice for each. The judge
is asked twice with the answers in turned order: only when it says the same of the answers both times does it count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from training.models import Choice, Comparison

from . import gates
from .agreement import kappa

_WORTH = {"first": 1.0, "tie": 0.5, "second": 0.0}
_NORMAL = 1.959964  # of a 95 % interval


def refresh(comparison: Comparison) -> None:
    """Count the choices people made since, and judge the gates anew. Only of a finished comparison."""
    if comparison.state != Comparison.State.DONE or "safety" not in comparison.figures:
        return
    figures = {**comparison.figures, **measured(comparison)}
    if figures == comparison.figures:
        return
    comparison.figures, comparison.gates = figures, gates.judge(figures)
    comparison.passed = gates.passed(comparison.gates)
    comparison.save(update_fields=["figures", "gates", "passed"])


def measured(comparison: Comparison) -> dict[str, Any]:
    """`preference` (people's, or the judge's while there are too few of theirs), `people` and `judge`."""
    rows = Choice.objects.filter(pair__comparison=comparison, chosen__in=_WORTH)
    found = list(rows.values_list("pair", "judge", "swapped", "chosen"))
    people: dict[int, list[str]] = defaultdict(list)
    judged: dict[int, dict[bool, str]] = defaultdict(dict)
    for pair, judge, swapped, chosen in found:
        if judge:
            judged[pair][swapped] = chosen
        else:
            people[pair].append(chosen)
    consistent = {pair: both[False] for pair, both in judged.items() if len(both) == 2 and len(set(both.values())) == 1}
    by_people = share([choice for chosen in people.values() for choice in chosen])
    by_judge: dict[str, Any] = share(list(consistent.values()))
    by_judge |= {"inconsistent": sum(len(both) == 2 for both in judged.values()) - len(consistent)}
    by_judge |= {"agreement": agreement(people, consistent)}
    enough = by_people["n"] >= gates.LEAST_CHOICES or not by_judge["n"]
    preference = {**by_people, "by": "people"} if enough else {**share(list(consistent.values())), "by": "judge"}
    return {"preference": preference, "people": by_people, "judge": by_judge}


def share(chosen: Sequence[str]) -> dict[str, Any]:
    """The candidate's share with its 95 % interval (Wilson 1927); of nothing only `n`."""
    n = len(chosen)
    if not n:
        return {"n": 0}
    part, z = sum(_WORTH[choice] for choice in chosen) / n, _NORMAL
    middle = (part + z * z / (2 * n)) / (1 + z * z / n)
    wide = z / (1 + z * z / n) * math.sqrt(part * (1 - part) / n + z * z / (4 * n * n))
    return {"candidate": round(part, 4), "low": round(middle - wide, 4), "high": round(middle + wide, 4), "n": n}


def agreement(people: Mapping[int, Sequence[str]], judge: Mapping[int, str]) -> dict[str, Any]:
    """Cohen's kappa of each person's choice with the judge's of the same pair; None while they share none."""
    both = [(chosen, judge[pair]) for pair, all_chosen in people.items() if pair in judge for chosen in all_chosen]
    found = kappa(both)
    same = sum(one == other for one, other in both) / len(both) if both else None
    return {"n": len(both), "kappa": None if found is None else round(found, 3), "same": same}
