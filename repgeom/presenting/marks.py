"""Where each mark of a chart stands, as the page's templates write it: paths, ticks, looks, and values to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from repgeom.presenting.charts import DotChart, LineChart, Series
from repgeom.presenting.scales import Scale, scale_of
from repgeom.presenting.text import number

MOST_PLACES = 240  # of a curve that are drawn: about one for two pixels
MANY_CURVES = 24  # of which half as many places are drawn, to keep the page small
SIZE = 1000  # units of a drawing in both directions
# Every 6th series has the next dashes, every 30th the next width. Together 90 looks.
N_COLORS, N_DASHES, N_WIDTHS = 6, 5, 3
# Of the map "plasma" of matplotlib (van der Walt & Smith), which also reads without colours: from its dark to its light end.
PLASMA = ["0d0887", "46039f", "7201a8", "9c179e", "bd3786", "d8576b", "ed7953", "fb9f3a", "fdca26", "f0f921"]
# The ends of that map are too near to a white or a dark page.
ON_WHITE, ON_BLACK = (0.0, 0.58), (0.42, 1.0)


@dataclasses.dataclass(frozen=True)
class Look:
    """How a series looks: classes of the style sheet, and colours of its own where the order counts."""

    classes: str
    style: str = ""


@dataclasses.dataclass(frozen=True)
class Curve:
    """One curve: the paths of its line and its band, and its value at each place."""

    name: str
    look: Look
    line: str
    band: str
    points: str
    values: list[str]


@dataclasses.dataclass(frozen=True)
class Lines:
    """A line chart, ready to be written."""

    curves: list[Curve]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    places: list[int]
    names: list[str]
    read: list[int]  # of the places: those whose values a table shows


@dataclasses.dataclass(frozen=True)
class Dots:
    """A dot chart, ready to be written: a row is a name and, for each series, place, look and value."""

    ticks: list[tuple[float, str]]
    looks: list[Look]
    rows: list[tuple[str, list[tuple[float, Look, str, float, float]]]]


def lines_of(chart: LineChart) -> Lines:
    """Where the marks of a line chart stand."""
    x = np.asarray(chart.x, dtype=float)
    shown = _places(len(x), MOST_PLACES if len(chart.series) <= MANY_CURVES else MOST_PLACES // 2)
    across = Scale(float(x[0]) - 0.5, float(x[-1]) + 0.5)
    if not chart.x_names and len(x) > 1:
        across = Scale(float(x[0]), float(x[-1]), chart.x_log)
    ends = [array for s in chart.series for array in (s.values, s.low, s.high) if array is not None]
    up = scale_of(ends, chart.limits, chart.log)
    places = np.round(SIZE * across.at(x[shown])).astype(int)
    looks = looks_of(chart.series, ordered=chart.ordered)
    curves = [_curve(s, look, shown, places, up, chart.marked) for s, look in zip(chart.series, looks, strict=True)]
    names = [number(float(value)) for value in x[shown]]
    if chart.x_names:
        names = [f"{name} {chart.x_names[i]}" for name, i in zip(names, shown, strict=True)]
    return Lines(
        curves,
        across.ticks(whole=bool(np.all(x == np.round(x)))),
        up.ticks(),
        places.tolist(),
        names,
        _to_read(len(shown)),
    )


def dots_of(chart: DotChart) -> Dots:
    """Where the marks of a dot chart stand."""
    ends = [array for s in chart.series for array in (s.values, s.low, s.high) if array is not None]
    scale = scale_of(ends, chart.limits, chart.log)
    looks = looks_of(chart.series)
    rows = []
    for i, name in enumerate(chart.names):
        dots = []
        for s, look in zip(chart.series, looks, strict=True):
            place = _percent(scale, s.values, i)
            if np.isfinite(place):
                low, high = _percent(scale, s.low, i), _percent(scale, s.high, i)
                dots.append((place, look, number(float(s.values[i])), low, high))
        rows.append((str(name), dots))
    return Dots(scale.ticks(), looks, rows)


def looks_of(series: Sequence[Series], *, ordered: bool = False) -> list[Look]:
    """A look for each: a colour, dashes and a width of its own, or colours from dark to light where the order counts."""
    return [_spotted(look) if s.points else look for s, look in zip(series, _lined(series, ordered), strict=True)]


def _spotted(look: Look) -> Look:
    """The same colours for points without a line."""
    return dataclasses.replace(look, classes=f"{look.classes} spots")


def _lined(series: Sequence[Series], ordered: bool) -> list[Look]:
    own = [s for s in series if not s.compared]
    looks: list[Look] = []
    n_compared = 0
    for s in series:
        if s.compared:
            # Of two, the second is dotted.
            looks.append(Look(f"compared d{2 * n_compared}"))
            n_compared += 1
            continue
        i = len(looks) - n_compared
        if s.look is not None:
            i = s.look
        if ordered:
            looks.append(Look("ordered", _between(i / max(1, len(own) - 1))))
        else:
            dashes, width = i // N_COLORS % N_DASHES, i // (N_COLORS * N_DASHES) % N_WIDTHS
            looks.append(Look(f"k{i % N_COLORS} d{dashes} w{width}"))
    return looks


def _between(share: float) -> str:
    """The colour at this share of the map, on a light and on a dark page."""
    colors = []
    for first, last in (ON_WHITE, ON_BLACK):
        place = (first + share * (last - first)) * (len(PLASMA) - 1)
        i = min(int(place), len(PLASMA) - 2)
        ends = [np.array([int(PLASMA[j][k : k + 2], 16) for k in (0, 2, 4)]) for j in (i, i + 1)]
        mixed = np.round(ends[0] + (place - i) * (ends[1] - ends[0])).astype(int)
        colors.append("#" + "".join(f"{part:02x}" for part in mixed))
    return f"--light:{colors[0]};--dark:{colors[1]}"


def _places(n: int, most: int) -> np.ndarray:
    """Which of n places are drawn: all of few; of many the first forty, and then as many as there is room for."""
    if n <= most:
        return np.arange(n)
    return np.unique(np.r_[np.arange(40), np.round(np.linspace(40, n - 1, most - 40)).astype(int)])


def _to_read(n: int) -> list[int]:
    """Up to four places: the first, the last, and between them such that each step is about as large a factor."""
    return sorted({round(n ** (k / 3)) - 1 for k in range(4)})


def _curve(s: Series, look: Look, shown: np.ndarray, places: np.ndarray, up: Scale, marked: bool) -> Curve:
    values = _at(s.values, shown)
    heights = _heights(values, up)
    band = ""
    if s.low is not None and s.high is not None:
        band = _band(places, _heights(_at(s.low, shown), up), _heights(_at(s.high, shown), up))
    points = ""
    if s.points or (marked and not s.compared):
        # A line of no length with round ends is a dot, whatever the chart's proportions.
        points = "".join(f"M{x} {y:.0f}h0" for x, y in zip(places, heights, strict=True) if np.isfinite(y))
    words = [number(float(value)) for value in values]
    line = ""
    if not s.points:
        on_line = np.isfinite(heights)
        if not s.joined:
            on_line[:] = True
        line = _path(places[on_line], heights[on_line])
    return Curve(s.name, look, line, band, points, words)


def _at(values: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The values at these places; NaN beyond their end."""
    there = np.full(len(shown), np.nan)
    inside = shown < len(values)
    there[inside] = values[shown[inside]]
    return there


def _heights(values: np.ndarray, up: Scale) -> np.ndarray:
    """Units from the upper edge; what lies beyond an end of the axis stands at it."""
    return SIZE * (1 - np.clip(up.at(values), 0, 1))


def _path(places: np.ndarray, heights: np.ndarray) -> str:
    """A line through the places with a value, broken where there is none."""
    parts, last = [], False
    for x, y in zip(places.tolist(), heights.tolist(), strict=True):
        known = np.isfinite(y)
        if known:
            parts.append(f"{'L' if last else 'M'}{x} {y:.0f}")
        last = known
    return "".join(parts)


def _band(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Closed areas between two curves, one for each run of places in which both are known."""
    known = np.isfinite(low) & np.isfinite(high)
    areas = []
    for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(known.astype(int))) + 1):
        if len(run) and known[run[0]]:
            there = [f"{places[i]} {high[i]:.0f}" for i in run]
            back = [f"{places[i]} {low[i]:.0f}" for i in run[::-1]]
            areas.append(f"M{'L'.join([*there, *back])}Z")
    return "".join(areas)


def _percent(scale: Scale, values: np.ndarray | None, i: int) -> float:
    """Where the i-th value stands, in percent; NaN where there is none."""
    if values is None or i >= len(values):
        return float("nan")
    return round(100 * float(np.clip(scale.at(values[i]), 0, 1)), 2)
