"""How far raters agree: Krippendorff's alpha, 1 for always, 0 for what chance would give, below 0 for less than that.

Ratings are ordinal (1 and 2 are nearer to each other than 1 and 5), each reason is nominal (given or not). Only turns
with two reviews or more count. Krippendorff, Content Analysis (4th ed., 2018), chapter 12: 0.8 to rely on, 0.667 for
tentative conclusions.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count

from coach.models import Coach, RatingReason

from ..models import Review
from .alpha import AlphaFailed, in_a_process
from .desk import reason_texts

log = logging.getLogger(__name__)

RELIABLE, TENTATIVE = 0.8, 0.667
FEW = 20  # below so many turns alpha swings with each of them
MOST_REVIEWS = 20_000  # the newest


@dataclass(frozen=True, slots=True)
class Agreement:
    """alpha None: nothing to compare, or everybody always said the same. units: turns; values: reviews of them."""

    name: str
    alpha: float | None
    units: int
    values: int

    @property
    def state(self) -> str:
        if self.alpha is None or self.units < FEW:
            return "unknown"
        if self.alpha >= RELIABLE:
            return "reliable"
        return "tentative" if self.alpha >= TENTATIVE else "low"


@dataclass(frozen=True, slots=True)
class Report:
    """raters: who reviewed a turn that somebody else reviewed too. failed: the numbers could not be had now."""

    failed: bool
    raters: int
    all: Agreement
    languages: Sequence[Agreement]
    coaches: Sequence[Agreement]
    reasons: Sequence[Agreement]


@dataclass(frozen=True, slots=True)
class _Row:
    turn: Any
    rating: int | None
    reasons: Sequence[str]
    language: str
    coach: int
    rater: int | None


@dataclass(frozen=True, slots=True)
class _Table:
    """units: what was said of each turn, by two raters or more."""

    group: str
    name: str
    kind: str
    units: Sequence[Sequence[Any]]


def agreement() -> Report:
    """Over all turns that were reviewed twice or more."""
    rows = _rows()
    tables = _tables(rows)
    try:
        alphas, failed = in_a_process([(table.kind, table.units) for table in tables]), False
    except AlphaFailed as error:
        log.error("the agreement of raters was not computed: %s", error)
        alphas, failed = [None] * len(tables), True
    groups: dict[str, list[Agreement]] = defaultdict(list)
    for table, alpha in zip(tables, alphas, strict=True):
        result = Agreement(table.name, alpha, len(table.units), sum(map(len, table.units)))
        groups[table.group].append(result)
    return Report(
        failed=failed,
        raters=len({row.rater for row in rows}),
        all=groups["all"][0],
        languages=groups["languages"],
        coaches=groups["coaches"],
        reasons=groups["reasons"],
    )


def _rows() -> list[_Row]:
    shared = Review.objects.order_by().values("turn").annotate(n=Count("pk")).filter(n__gt=1).values("turn")
    names = ("turn", "rating", "reasons", "turn__language", "turn__conversation__coach", "reviewer")
    found = Review.objects.filter(turn__in=shared).order_by("-updated").values_list(*names)
    return [_Row(*row) for row in found[:MOST_REVIEWS]]


def _tables(rows: Sequence[_Row]) -> list[_Table]:
    rated = [row for row in rows if row.rating is not None]
    languages, coaches = dict(settings.LANGUAGES), dict(Coach.objects.values_list("pk", "name"))
    return [
        _Table("all", "", "ordinal", _units((row.turn, row.rating) for row in rated)),
        *_parts("languages", rated, lambda row: row.language, languages),
        *_parts("coaches", rated, lambda row: row.coach, coaches),
        *_of_reasons(rows),
    ]


def _parts(group: str, rows: Sequence[_Row], key: Callable[[_Row], Any], names: Mapping[Any, str]) -> Iterable[_Table]:
    parts: dict[Any, list[_Row]] = defaultdict(list)
    for row in rows:
        parts[key(row)].append(row)
    for one in sorted(parts, key=str):
        units = _units((row.turn, row.rating) for row in parts[one])
        yield _Table(group, str(names.get(one, one)), "ordinal", units)


def _of_reasons(rows: Sequence[_Row]) -> Iterable[_Table]:
    used = {slug for row in rows for slug in row.reasons}
    slugs = [slug for slug in RatingReason.objects.values_list("slug", flat=True) if slug in used]
    slugs += sorted(used - set(slugs))
    for slug, text in zip(slugs, reason_texts(slugs), strict=True):
        yield _Table("reasons", text, "nominal", _units((row.turn, slug in row.reasons) for row in rows))


def _units(pairs: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
    units: dict[Any, list[Any]] = defaultdict(list)
    for unit, value in pairs:
        units[unit].append(value)
    return [values for values in units.values() if len(values) > 1]
