"""Small plots as geometry for templates/admin/llm/chart.html: SVG without a script, and the same as a table.

Numbers that become attributes of SVG are finished text here, because templates would write decimals as the
person's language does. Colours are classes of static/admin-coach/watch.css.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.formats import number_format

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 26
TICKS = 4
MOST_LABELS = 7

Values = Sequence[float | None]
Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Mark:
    """A text at a place: a tick of an axis, or a dot with its tooltip."""

    x: str
    y: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """`paths` are runs of `x,y` pairs; between them there is nothing to draw."""

    css: str
    paths: Sequence[str]
    dots: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Bar:
    css: str
    x: str
    y: str
    width: str
    height: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """`legend`: (css class, name); `rows` are the table for those who do not see the picture."""

    key: str
    title: str
    names: Sequence[str]
    rows: Sequence[Row]
    ticks: Sequence[Mark] = ()
    labels: Sequence[Mark] = ()
    lines: Sequence[Line] = ()
    bars: Sequence[Bar] = ()
    legend: Sequence[tuple[str, str]] = ()
    empty: bool = False
    view: str = f"0 0 {WIDTH} {HEIGHT}"
    left: str = str(LEFT)
    right: str = str(WIDTH - RIGHT)


@dataclass(frozen=True, slots=True)
class _Scale:
    ticks: Sequence[float]
    count: int

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    def x(self, position: float) -> float:
        """The middle of a step; steps lie side by side over the width."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (position + 0.5) / self.count


def line_chart(
    *,
    key: str,
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Values],
    write: Write,
    ticks: Sequence[float] = (),
) -> Chart:
    """One line a series, with gaps where a value is None; `write` formats a value for people.

    ticks    of an axis whose ends are known, ascending; without them it begins at 0 and ends above the highest value
    """
    known = [value for values in series.values() for value in values if value is not None]
    scale = _scale(ticks or _ticks(max(known, default=0.0)), labels)
    lines = [
        _line(f"ac-plot-{n}", name, values, labels, scale, write) for n, (name, values) in enumerate(series.items())
    ]
    return _chart(key, title, labels, series, scale, write, lines=lines, empty=not known)


def bar_chart(*, key: str, title: str, labels: Sequence[str], series: Mapping[str, Values], write: Write) -> Chart:
    """Bars side by side, the series stacked upon each other."""
    totals = [sum(value or 0 for value in column) for column in zip(*series.values(), strict=True)]
    scale = _scale(_ticks(max(totals, default=0.0)), labels)
    width = (WIDTH - LEFT - RIGHT) / scale.count
    bars, bases = [], [0.0] * len(labels)
    for n, (name, values) in enumerate(series.items()):
        for position, value in enumerate(values):
            if value:
                low, bases[position] = bases[position], bases[position] + value
                top = scale.y(bases[position])
                text = f"{labels[position]}, {name}: {write(value)}"
                left = scale.x(position) - width * 0.38
                bars.append(
                    Bar(f"ac-plot-{n}", _n(left), _n(top), _n(width * 0.76), _n(max(scale.y(low) - top, 1)), text)
                )
    return _chart(key, title, labels, series, scale, write, bars=bars, empty=not bars)


def _scale(ticks: Sequence[float], labels: Sequence[str]) -> _Scale:
    return _Scale(ticks, max(len(labels), 1))


def _ticks(highest: float) -> list[float]:
    top = nice_top(highest)
    return [top * n / TICKS for n in range(TICKS + 1)]


def nice_top(highest: float) -> float:
    """The top of an axis: 1, 2, 4 or 8 times a power of ten, at or above the highest value; 1 for nothing."""
    if highest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= highest * 0.999)


def _line(css: str, name: str, values: Values, labels: Sequence[str], scale: _Scale, write: Write) -> Line:
    paths: list[list[str]] = [[]]
    dots = []
    for position, value in enumerate(values):
        if value is None:
            paths.append([])
            continue
        x, y = _n(scale.x(position)), _n(scale.y(value))
        paths[-1].append(f"{x},{y}")
        dots.append(Mark(x, y, f"{labels[position]}, {name}: {write(value)}"))
    return Line(css, [" ".join(path) for path in paths if len(path) > 1], dots)


def _chart(
    key: str,
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Values],
    scale: _Scale,
    write: Write,
    *,
    lines: Sequence[Line] = (),
    bars: Sequence[Bar] = (),
    empty: bool,
) -> Chart:
    every = math.ceil(len(labels) / MOST_LABELS) or 1
    columns = list(series.values())
    rows = [
        Row(label, ["–" if values[position] is None else write(values[position] or 0.0) for values in columns])
        for position, label in enumerate(labels)
    ]
    return Chart(
        key=key,
        title=title,
        names=list(series),
        rows=rows,
        ticks=[Mark(_n(LEFT - 8), _n(scale.y(value)), write(value)) for value in scale.ticks],
        labels=[
            Mark(_n(scale.x(position)), _n(HEIGHT - 8), label)
            for position, label in enumerate(labels)
            if position % every == 0
        ],
        lines=lines,
        bars=bars,
        legend=[(f"ac-plot-{n}", name) for n, name in enumerate(series)] if len(series) > 1 else [],
        empty=empty,
    )


def decimals(value: float) -> str:
    """A mean or a share as the person's language writes it, with two decimals: one way to `write` a chart's values."""
    return number_format(round(value, 2), 2)


def _n(number: float) -> str:
    return f"{number:.1f}"
