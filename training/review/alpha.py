"""Krippendorff's alpha in a process of its own: `python -m training.review.alpha` reads tables and writes numbers.

The library brings half of a scientific workbench along (100 MB, a second); the web process stays without it. This file
imports nothing of Django.

    in    [["ordinal", [[4, 5], [2, 2, 1]]], ["nominal", [[true, false]]]]     of each table: a list of values per unit
    out   [0.71, null]                                                         null: nothing differs, so nothing is told
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Table = tuple[str, Sequence[Sequence[Any]]]
SECONDS = 60
HOME = Path(__file__).parents[2]


class AlphaFailed(Exception):
    """The process ended without numbers."""


def in_a_process(tables: Sequence[Table]) -> list[float | None]:
    """One number a table. Raises AlphaFailed."""
    if not any(_differ(units) for _kind, units in tables):
        return [None] * len(tables)
    command = [sys.executable, "-m", "training.review.alpha"]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, and no argument comes from anybody
            command, input=json.dumps(tables), cwd=HOME, capture_output=True, text=True, timeout=SECONDS, check=True
        )
        return list(json.loads(done.stdout))
    except (subprocess.SubprocessError, OSError, ValueError) as error:
        raise AlphaFailed(str(error)) from error


def alpha(kind: str, units: Sequence[Sequence[Any]]) -> float | None:
    """Of units with two values or more each; `ordinal` or `nominal`; None without two different values."""
    if not _differ(units):
        return None
    from nltk.metrics.agreement import AnnotationTask

    distance = ordinal(units) if kind == "ordinal" else nominal
    data = [(place, unit, value) for unit, values in enumerate(units) for place, value in enumerate(values)]
    return float(AnnotationTask(data=data, distance=distance).alpha())


def _differ(units: Sequence[Sequence[Any]]) -> bool:
    return len({value for values in units for value in values}) > 1


def nominal(one: Any, other: Any) -> float:
    return float(one != other)


def ordinal(units: Sequence[Sequence[Any]]) -> Callable[[Any, Any], float]:
    """Squared number of values that lie between two of them, of all that were given (Krippendorff 2018, 12.3.4)."""
    counts = Counter(value for values in units for value in values)

    def distance(one: Any, other: Any) -> float:
        low, high = sorted((one, other))
        between = sum(n for value, n in counts.items() if low <= value <= high)
        return float((between - (counts[low] + counts[high]) / 2) ** 2)

    return distance


if __name__ == "__main__":
    json.dump([alpha(kind, units) for kind, units in json.load(sys.stdin)], sys.stdout)
