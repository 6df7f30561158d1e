"""Geometry of the pictures: an interval on a line with zero in its middle, and what was live when.

Numbers that become attributes of SVG are finished text, because templates would write decimals as the person's
language does. Colours are classes of static/admin-coach/comparison.css.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from training.models import Promotion

from .selectors import Measure

WIDTH, HEIGHT = 220, 24
LEFT, LANE, TOP, TIMELINE = 8, 40, 26, 900
LEAST = 5.0  # width of a bar that is hardly anything, so that it can be seen
MOST_TICKS = 7
LEAST_SPAN = 600.0  # seconds: else several ticks say the same minute


@dataclass(frozen=True, slots=True)
class Interval:
    low: str
    width: str
    dot: str
    zero: str = f"{WIDTH / 2:.1f}"
    middle: str = f"{HEIGHT / 2:.1f}"
    top: str = f"{HEIGHT / 2 - 4:.1f}"
    view: str = f"0 0 {WIDTH} {HEIGHT}"


@dataclass(frozen=True, slots=True)
class Bar:
    """css: `whole` or `canary`; open: it is live."""

    x: str
    y: str
    width: str
    height: str
    css: str
    open: bool
    label: str
    row: Promotion


@dataclass(frozen=True, slots=True)
class Tick:
    x: str
    when: datetime


@dataclass(frozen=True, slots=True)
class Lane:
    name: str
    y: str
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Timeline:
    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    view: str
    bottom: str


def interval(measure: Measure) -> Interval | None:
    """Zero is in the middle; None of what was not measured."""
    if not measure.n:
        return None
    reach = max(abs(measure.low), abs(measure.high), abs(measure.difference), 1e-9) * 1.15
    low, high, dot = (WIDTH / 2 * (1 + value / reach) for value in (measure.low, measure.high, measure.difference))
    return Interval(low=f"{low:.1f}", width=f"{max(high - low, 1):.1f}", dot=f"{dot:.1f}")


def timeline(rows: Sequence[Promotion], *, now: datetime, all_coaches: str) -> Timeline | None:
    """A lane for all coaches and for each coach that ever had one of its own; None of no promotions.

    A canary is as high as its share; at least a little, so that it can be seen.
    """
    if not rows:
        return None
    begin = min(row.started for row in rows)
    span = max((now - begin).total_seconds(), LEAST_SPAN) * 1.02
    lanes: dict[str, Lane] = {}
    for row in sorted(rows, key=lambda row: (row.coach is not None, row.started, row.pk)):
        name = row.coach.name if row.coach else all_coaches
        if name not in lanes:
            lanes[name] = Lane(name, f"{TOP + LANE * len(lanes):.1f}")
        lanes[name].bars.append(_bar(row, float(lanes[name].y), begin, span, now))
    height = TOP + LANE * len(lanes)
    steps = [begin + timedelta(seconds=span * number / (MOST_TICKS - 1)) for number in range(MOST_TICKS - 1)]
    ticks = [Tick(f"{_x((when - begin).total_seconds(), span):.1f}", when) for when in steps]
    return Timeline(list(lanes.values()), ticks, f"0 0 {TIMELINE} {height + 22}", f"{height:.1f}")


def _bar(row: Promotion, y: float, begin: datetime, span: float, now: datetime) -> Bar:
    start = _x((row.started - begin).total_seconds(), span)
    end = _x(((row.ended or now) - begin).total_seconds(), span)
    full = LANE - 18
    height = max(full * row.share / 100, 6.0)
    return Bar(
        x=f"{start:.1f}",
        y=f"{y + 14 + full - height:.1f}",
        width=f"{max(end - start, LEAST):.1f}",
        height=f"{height:.1f}",
        css="whole" if row.share == 100 else "canary",
        open=row.ended is None,
        label=f"{row.model.name}, {row.share} %",
        row=row,
    )


def _x(seconds: float, span: float) -> float:
    return LEFT + (TIMELINE - 2 * LEFT) * seconds / span
