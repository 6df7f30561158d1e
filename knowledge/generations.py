"""Index generations: which one is live."""

from __future__ import annotations

from collections.abc import Iterable

from .models import IndexGeneration
from .types import LiveIndex


def live_indexes(base_ids: Iterable[int]) -> list[LiveIndex]:
    """The live generation of each base that has one."""
    live = IndexGeneration.objects.filter(base__in=list(base_ids), state=IndexGeneration.State.LIVE).order_by("base")
    rows = live.values_list("base_id", "pk", "splitting_id", "embedder", "collection", "coverage")
    return [LiveIndex(*row) for row in rows]
