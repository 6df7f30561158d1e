"""From pairs of measured answers to the figures of a comparison: means (of times medians), and differences with
their intervals.

Both models answered the same questions, so the difference is taken question by question and the questions are drawn
anew 1,000 times (paired bootstrap, percentile interval, 95 %, a fixed seed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from training.evaluation.figures import RESAMPLES, interval

# In the order of the table; what is lower is better of LOWER.
MEASURES = (
    "match",
    "likeness",
    "citations",
    "honesty",
    "coaching",
    "language",
    "safety",
    "first_token",
    "speed",
    "cost",
)
# One question that met a busy machine would outweigh the rest.
MEDIANS = frozenset({"first_token", "speed"})
_KEYS = {"safety": "safe"}
SEED = 0
Sides = tuple[Mapping[str, Any], Mapping[str, Any]]


def of(pairs: Sequence[Sides], *, loss_left_out: str = "") -> dict[str, Any]:
    """pairs: what was measured of the candidate's and of the live model's answer to the same question."""
    found = {name: _measure(pairs, _KEYS.get(name, name), middle=name in MEDIANS) for name in MEASURES}
    found["safety"] |= {"new_failures": sum(not one["safe"] and bool(other["safe"]) for one, other in pairs)}
    found["held_out_loss"] = loss(pairs, why=loss_left_out)
    found["errors"] = {
        "candidate": sum(bool(one["error"]) for one, _ in pairs),
        "live": sum(bool(other["error"]) for _, other in pairs),
    }
    return found


def paired(values: Sequence[tuple[float, float]], *, middle: bool = False, seed: int = SEED) -> dict[str, Any]:
    """`difference` is candidate minus live; only `n` (0) of nothing. middle: medians instead of means.

    Of medians it is theirs, not the median of the differences: it must be what a reader of the table makes of it.
    """
    if not values:
        return {"n": 0}
    average = median if middle else fmean
    sides = [average([pair[side] for pair in values]) for side in (0, 1)]
    low, high = _interval_of_medians(values, seed) if middle else interval([one - other for one, other in values], seed)
    rounded = {"candidate": sides[0], "live": sides[1], "difference": sides[0] - sides[1], "low": low, "high": high}
    return {**{name: round(value, 6) for name, value in rounded.items()}, "n": len(values)}


def loss(pairs: Sequence[Sides], *, why: str = "") -> dict[str, Any]:
    """-ln p of the held-out answers for each token of the live model's, so that other tokenizers can be compared.

    why: why it was left out, a key of WHY (selectors.py).
    """
    both = [(one["loss"], other["loss"]) for one, other in pairs if one.get("loss") and other.get("loss")]
    values = [(one["nats"] / other["tokens"], other["nats"] / other["tokens"]) for one, other in both]
    held_out = sum("likeness" in one for one, _ in pairs)
    return {**paired(values), "held_out": held_out, **({"why": why} if why else {})}


def _measure(pairs: Sequence[Sides], key: str, *, middle: bool) -> dict[str, Any]:
    both = [(float(one[key]), float(other[key])) for one, other in pairs if key in one and key in other]
    return paired(both, middle=middle)


def _interval_of_medians(values: Sequence[tuple[float, float]], seed: int) -> tuple[float, float]:
    data = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(0, len(data), (RESAMPLES, len(data)))
    medians = np.median(data[picks], axis=1)
    low, high = np.quantile(medians[:, 0] - medians[:, 1], [0.025, 0.975])
    return float(low), float(high)
