"""The books of the model layer: `report` takes one call and never makes anybody wait."""

from __future__ import annotations

from .types import CallReport


def report(call: CallReport) -> None:
    """Keep a call; written to ModelCall by a thread of its own, many at a time."""
