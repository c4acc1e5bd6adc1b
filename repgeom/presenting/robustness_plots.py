"""Drawings of what corruption does: a table of corruptions and severities, a map of spatial frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.data.settings import own_settings
from repgeom.presenting.axes import GREY, axes_of, axis_label, finished, literal
from repgeom.presenting.escaping import printable
from repgeom.robustness.conditions import CLEAN
from repgeom.robustness.fourier import FourierHeatmap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# What `plot_robustness` shows of a table that has several measures: the first of these that it has.
_ROBUSTNESS_MEASURES = ("accuracy", "knn_accuracy", "centred_relative_l2_drift")
SURE = 0.05  # a difference with a smaller p-value, corrected over conditions, is drawn as a filled point


@own_settings
def plot_robustness(table: pd.DataFrame, *, measure: str | None = None, ax: Axes | None = None) -> Axes:
    """One measure of a robustness table with its intervals: corruptions from top to bottom, severities by colour.

    Args:
        table: as `corruption_robustness` or another of its kind returns it, or a comparison by `compare_robustness`.
        measure: any that the table has; by default the first it has of "accuracy", "knn_accuracy" and
            "centred_relative_l2_drift".
        ax: drawn into; a new figure's by default.

    The clean images' value is a dashed line, where there is one. Of a comparison the differences are drawn, second minus first,
    around a line at 0, with the clean images' as the first row; a filled point is a difference that is sure after Holm's
    correction (p below 0.05), an open one is not. Raises ValueError for a measure that is not there.

    .. plot::

        import numpy as np
        import pandas as pd
        import repgeom as rg

        conditions = [(name, severity) for name in ("fog", "glass_blur", "jpeg_compression") for severity in (1, 3, 5)]
        value = 0.95 - 0.08 * np.arange(9)
        table = pd.DataFrame(conditions, columns=["corruption", "severity"])
        rg.plot_robustness(table.assign(measure="accuracy", value=value, low=value - 0.03, high=value + 0.03))

    >>> import pandas as pd
    >>> columns = ["corruption", "severity", "measure", "value", "low", "high"]
    >>> table = pd.DataFrame([("fog", 1, "accuracy", 0.8, 0.7, 0.9)], columns=columns)
    >>> plot_robustness(table).get_xlabel()
    'accuracy'
    """
    ax = axes_of(ax)
    measure, rows = _rows_of(table, measure)
    if "difference" in rows.columns:
        return _drawn_comparison(rows, measure, ax)
    corrupted, clean = rows[rows.corruption != CLEAN], rows[rows.corruption == CLEAN]
    if not len(corrupted):
        raise ValueError(f"the table has {measure} of clean images only.")
    names = list(dict.fromkeys(corrupted.corruption))
    for of_severity, place, color, label in _by_severity(corrupted, names):
        _draw_intervals(ax, of_severity, "value", place, color, label)
    for value in clean["value"]:
        ax.axvline(value, color=GREY, linestyle="--", linewidth=1, label="clean")
    return _finished_rows(ax, names, axis_label(measure), "Robustness")


def _rows_of(table: pd.DataFrame, measure: str | None) -> tuple[str, pd.DataFrame]:
    """Return the measure to draw and the table's rows of it. Raises ValueError where there are none."""
    measures = set(table.measure)
    if measure is None:
        known = [name for name in _ROBUSTNESS_MEASURES if name in measures]
        measure = [*known, _ROBUSTNESS_MEASURES[-1]][0]
    if measure not in measures:
        raise ValueError(f"the table has no measure {measure!r}; it has {', '.join(sorted(measures))}.")
    return measure, table[table.measure == measure]


def _drawn_comparison(rows: pd.DataFrame, measure: str, ax: Axes) -> Axes:
    """Draw the differences of two encoders in one measure, the clean images' first."""
    names = list(dict.fromkeys(rows.corruption))
    clean, corrupted = rows[rows.corruption == CLEAN], rows[rows.corruption != CLEAN]
    parts = _by_severity(corrupted, names)
    if len(clean):
        parts = [(clean, clean.corruption.map(names.index), "0.35", CLEAN), *parts]
    for part, place, color, label in parts:
        # An open point takes the colour of its rim. NaN, where there is no test, is not below 0.05.
        sure = (part.p_holm < SURE).to_numpy()
        _draw_intervals(ax, part, "difference", place, color, label, open_points=~sure)
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1)
    ax.plot([], [], "o", markersize=3, color=GREY, markerfacecolor="white", label="open: p ≥ 0.05 (Holm)")
    return _finished_rows(ax, names, f"{axis_label(measure)}, second − first", "Which is more robust?")


def _by_severity(rows: pd.DataFrame, names: Sequence[str]) -> list[tuple[pd.DataFrame, pd.Series, Any, str]]:
    """Return (rows, their places from top to bottom, colour, label) of each severity."""
    import seaborn

    severities = sorted(set(rows.severity))
    parts = []
    for i, (severity, color) in enumerate(
        zip(severities, seaborn.color_palette("flare", len(severities)), strict=True)
    ):
        of_severity = rows[rows.severity == severity]
        # The severities of one corruption share 0.6 of the space between two corruptions.
        place = of_severity.corruption.map(names.index) + 0.6 * ((i + 0.5) / len(severities) - 0.5)
        parts.append((of_severity, place, color, f"{severity:g}"))
    return parts


def _draw_intervals(
    ax: Axes, rows: pd.DataFrame, column: str, place: pd.Series, color: Any, label: str, open_points: Any = None
) -> None:
    """Draw one column's values as points, with bars from `low` to `high`; the inside of open points is white."""
    # `errorbar` wants (2, n) lengths from the value, not ends. Where no interval is known the length is 0.
    lengths = abs(rows[["low", "high"]].sub(rows[column], axis=0)).fillna(0).to_numpy().T
    ax.errorbar(rows[column], place, xerr=lengths, fmt="o", markersize=3, linewidth=1, color=color, label=label)
    if open_points is not None:
        ax.plot(rows[column][open_points], place[open_points], "o", markersize=2, color="white", zorder=3)


def _finished_rows(ax: Axes, names: Sequence[str], xlabel: str, title: str) -> Axes:
    """Name the rows and the axis of values, with the first row on top and the legend on the right."""
    ax.set_yticks(range(len(names)), [printable(name.replace("_", " ")) for name in names])
    literal(*ax.get_yticklabels(), ax.xaxis.label)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=xlabel, title=title)
    return finished(ax, title="severity", loc="center left", bbox_to_anchor=(1, 0.5))


@own_settings
def plot_fourier_heatmap(heatmap: FourierHeatmap, *, what: str | None = None, ax: Axes | None = None) -> Axes:
    """Error or feature drift by spatial frequency, frequency 0 in the middle.

    Args:
        heatmap: as `fourier_heatmap` returns it, or an array of such values, with frequency 0 in its middle.
        what: "error" or "drift"; by default the error where there is one.
        ax: drawn into; a new figure's by default.

    Raises ValueError for an error that was not measured, and for an array that is no matrix.

    .. plot::

        import numpy as np
        import repgeom as rg

        down, across = np.mgrid[-8:9, -8:9]
        rg.plot_fourier_heatmap(np.exp(-np.hypot(down, across) / 4), what="error")
    """
    ax = axes_of(ax)
    if not isinstance(heatmap, FourierHeatmap):
        heatmap = _heatmap_of(heatmap, what)
    if what is None:
        what = "error"
        if heatmap.error is None:
            what = "drift"
    values = {"error": heatmap.error, "drift": heatmap.drift}.get(what)
    if values is None:
        raise ValueError(f'`what` must be "drift", or "error" of a heat map made with a probe; got {what!r}.')
    # Half a cycle beyond the outer frequencies: the middle of a pixel stands at its frequency, not its edge.
    low, high = float(heatmap.frequencies[0]) - 0.5, float(heatmap.frequencies[-1]) + 0.5
    # A map of zeros needs a scale too, hence the 1.
    extent = (low, high, high, low)
    image = ax.imshow(values, cmap="magma", vmin=0, vmax=values.max() or 1, extent=extent, interpolation="nearest")
    words = {"error": "share of images that the probe gets wrong", "drift": "distance moved / distance from the mean"}
    assert ax.figure is not None
    # What the colours say stands above the map: beside the bar it would run into a neighbour.
    ax.figure.colorbar(image, ax=ax)
    ax.set(xlabel="cycles per image, across", ylabel="cycles per image, down")
    noise = "" if np.isnan(heatmap.rms) else f", noise of {heatmap.rms:.3g} per pixel"
    ax.set_title(f"Fourier heat map{noise}\n{words[what]}", fontsize="medium")
    return ax


def _heatmap_of(values: Any, what: str | None) -> FourierHeatmap:
    """A map that is known as an array alone."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"`heatmap` must be a `FourierHeatmap`, or an array of shape (m, m); got shape {array.shape}.")
    frequencies = np.arange(len(array)) - len(array) // 2
    error = None if what == "drift" else array
    return FourierHeatmap(array, error, frequencies, None, np.nan, np.nan, array.size, 0)
