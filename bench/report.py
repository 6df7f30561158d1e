"""What was measured, against what was asked for: a table for people and JSON for comparisons."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `target` is the bound, `at_most` its direction; None where a figure only informs."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True
    note: str = ""
    load: float = 0.0

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        met = self.value <= self.target if self.at_most else self.value >= self.target
        return "ok" if met else "MISSED"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of all lie (nearest rank); 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def print_table(rows: Sequence[Row]) -> None:
    print(f"\n{'measure':<58}{'value':>10} {'unit':<9}{'target':>10}  {'verdict':<8}{'load':>5}  note")
    for row in rows:
        sign = "≤" if row.at_most else "≥"
        target = f"{sign} {row.target:g}" if row.target is not None else ""
        print(
            f"{row.name:<58}{row.value:>10.1f} {row.unit:<9}{target:>10}  {row.verdict:<8}{row.load:>5.1f}  {row.note}"
        )


def write_json(rows: Sequence[Row], name: str) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}.json"
    machine = {"system": platform.platform(), "python": platform.python_version(), "processor": platform.processor()}
    rows_out = [{**asdict(row), "verdict": row.verdict} for row in rows]
    path.write_text(json.dumps({"machine": machine, "rows": rows_out}, indent=1, ensure_ascii=False), encoding="utf-8")
    return path
