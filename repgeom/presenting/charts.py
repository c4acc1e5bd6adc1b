"""The charts of a page: what a line chart and a dot chart show. The page itself is without matplotlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from repgeom.data.settings import own_settings


@own_settings
@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """One curve or one colour of dots.

    Attributes:
        name: what the legend says.
        values: (n,) numbers; NaN or a shorter array where there is none.
        low, high: (n,) ends of intervals, drawn as a band or a bar; None without intervals, NaN where one is not known.
        compared: whether it is what the others are compared with: drawn in grey and dashed.
        look: which look it has, from 0, so that a thing looks alike in several charts; by default the first that is free.
        points: in a line chart: whether its values are points without a line, as published numbers are.
        joined: in a line chart: whether its line goes on over places where it has no value and others have.

    >>> Series("student", [3.0, 2.0, 1.0]).values
    array([3., 2., 1.])
    """

    name: str
    values: Any
    low: Any = None
    high: Any = None
    compared: bool = False
    look: int | None = None
    points: bool = False
    joined: bool = False

    def __post_init__(self) -> None:
        for field in ("values", "low", "high"):
            given = getattr(self, field)
            if given is not None:
                object.__setattr__(self, field, np.asarray(given, dtype=float).reshape(-1))


@own_settings
@dataclasses.dataclass(frozen=True, eq=False)
class LineChart:
    """Curves over a common axis, with a legend under it, which also reads their values.

    Attributes:
        title: what the chart shows.
        x: (n,) places along the axis, in increasing order.
        x_label, y_label: what the axes measure; `x_label` in the singular, for it is read as "direction 3".
        series: the curves.
        x_names: (n,) names of the places, where they have any.
        log: whether the vertical axis is logarithmic; values of 0 and less are then left out.
        limits: ends of the vertical axis; those of the values by default.
        ordered: whether the order of the curves means something: their colours then run from dark to light.
        marked: whether each value gets a point.
        x_log: whether the horizontal axis is logarithmic; `x` is then above 0.

    >>> LineChart("Spectrum", [1, 2], "direction", "share of variance", [Series("student", [0.7, 0.3])]).title
    'Spectrum'
    """

    title: str
    x: Any
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_names: Sequence[str] = ()
    log: bool = False
    limits: tuple[float, float] | None = None
    ordered: bool = False
    marked: bool = False
    x_log: bool = False


@own_settings
@dataclasses.dataclass(frozen=True, eq=False)
class DotChart:
    """A row for each name, with a dot for each series.

    Attributes:
        title: what the chart shows.
        names: (n,) of the rows.
        x_label: what the axis measures.
        series: the dots, (n,) values each.
        log: whether the axis is logarithmic.
        limits: ends of the axis; those of the values by default.

    >>> DotChart("Rank within each class", ["cat", "dog"], "dimensions", [Series("student", [7.0, 3.0])]).names
    ['cat', 'dog']
    """

    title: str
    names: Sequence[str]
    x_label: str
    series: Sequence[Series]
    log: bool = False
    limits: tuple[float, float] | None = None
