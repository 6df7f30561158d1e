"""What differs between a turn and its replay: words of the answers, and sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from knowledge.text_difference import Piece, marked

from . import selectors
from .models import Turn


def differences(before: str, after: str) -> tuple[list[Piece], list[Piece]]:
    """Both answers in pieces, with what the other one does not say marked as `own`."""
    return marked(before, after)


def source_changes(turn: Turn, after: Iterable[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """('=' in both, '-' only then, '+' only now; n, title, location, text) in the order of both, what went first."""
    then = {_key(source): source for source in selectors.sources_of_turn(turn)}
    now = {_key(source): dict(source) for source in after}
    gone = [("-", _row(source)) for key, source in then.items() if key not in now]
    return gone + [("=" if key in then else "+", _row(source)) for key, source in now.items()]


def _key(source: Mapping[str, Any]) -> Any:
    """Its passage; a number when that was deleted since."""
    return source["chunk"] if source["chunk"] is not None else ("n", source["n"])


def _row(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: source[name] for name in ("n", "title", "location", "text")}
