"""The pictures of a run: each figure with a panel for each of its charts. They draw what charts.py says and compute nothing."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.pages import DotChart, LineChart, Series

from ..claims.published import DINO
from .charts import Drawn
from .paper_charts import N_COLORS, N_DASHES, PUBLISHED_LOOKS, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision can tell apart.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
WIDTHS = (1.3, 2.6, 0.7)  # of lines
TEACHER_COLOR, TEACHER_DASHES = "0.25", (0, (6, 2))
N_ACROSS = 3  # panels beside each other


def picture(drawn: Drawn) -> Figure:
    """A figure with a panel for each of its charts.

    Raises:
        ValueError: it has no chart.
    """
    from matplotlib.figure import Figure

    if not drawn.charts:
        raise ValueError(f"{drawn.name} has no chart to draw.")
    n_across = min(N_ACROSS, len(drawn.charts))
    n_down = math.ceil(len(drawn.charts) / n_across)
    picture = Figure(figsize=(4.8 * n_across, 3.9 * n_down), layout="constrained")
    picture.suptitle(drawn.title)
    axes = np.atleast_1d(picture.subplots(n_down, n_across)).ravel()
    for ax, chart in zip(axes, drawn.charts, strict=False):
        plot_chart(chart, ax)
    # Places of the last row that no chart needs.
    for ax in axes[len(drawn.charts) :]:
        ax.remove()
    return picture


def plot_chart(chart: Chart, ax: Axes) -> Axes:
    """A chart of the page as a panel of a picture."""
    if isinstance(chart, LineChart):
        _plot_lines(chart, ax)
    else:
        _plot_bars(chart, ax)
    ax.set_title("\n".join(textwrap.wrap(chart.title, 62)), fontsize=9)
    if ax.get_legend_handles_labels()[0]:
        # Below the panel it hides nothing, and matplotlib need not look for a free place. Ticks and label take 5 lines of it.
        ax.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5, ncols=2, frameon=False)
    return ax


def _plot_lines(chart: LineChart, ax: Axes) -> None:
    x = np.asarray(chart.x, dtype=float)
    for place, series in enumerate(chart.series):
        color, dashes, width = _look(series, place)
        n = len(series.values)
        # A gap in a line that is to be joined is left out.
        on_line = np.isfinite(series.values) | (not series.joined)
        if series.points:
            # A point at an end of the axis is drawn whole.
            ax.plot(x[:n], series.values, _marker(series, place), color=color, markersize=6, fillstyle="none", label=series.name, clip_on=False)  # fmt: skip
            continue
        ax.plot(x[:n][on_line], series.values[on_line], color=color, linestyle=dashes, marker="." if chart.marked else "", label=series.name, linewidth=width)  # fmt: skip
        if series.low is not None and np.isfinite(series.low).all():
            ax.fill_between(x[:n], series.low, series.high, color=color, alpha=0.12, linewidth=0)
    if chart.log:
        ax.set_yscale("log")
    if chart.x_log:
        ax.set_xscale("log")
    if chart.limits is not None:
        ax.set_ylim(*chart.limits)
    ax.set(xlabel=chart.x_label, ylabel=chart.y_label)


def _plot_bars(chart: DotChart, ax: Axes) -> None:
    """Bars for the first series where the axis begins at 0, points for the others."""
    places = np.arange(len(chart.names))
    for place, series in enumerate(chart.series):
        color, *_ = _look(series, place)
        if place == 0 and chart.limits is None:
            ax.barh(places, series.values, color=color, alpha=0.35, label=series.name)
        else:
            ax.plot(series.values, places, _marker(series, place), color=color, fillstyle="none", label=series.name)
        if series.low is not None:
            ends = np.abs(np.array([series.values - series.low, series.high - series.values]))
            ax.errorbar(series.values, places, xerr=ends, fmt="none", color="0.2", capsize=2, linewidth=1)
    # More numbers than these run into each other.
    ax.locator_params(axis="x", nbins=6)
    ax.set_yticks(places, chart.names, fontsize=7)
    ax.invert_yaxis()
    if chart.limits is not None:
        ax.set_xlim(*chart.limits)
    ax.set_xlabel(chart.x_label)
    ax.margins(x=0.08)


def _marker(series: Series, place: int) -> str:
    """A diamond for published points, a square for those of DINOv2, and another sign for each of ours."""
    if series.look == PUBLISHED_LOOKS[DINO]:
        return "s"
    if series.points:
        return "D"
    return "os^v"[place % 4]


def _look(series: Series, place: int) -> tuple[str, Any, float]:
    """Colour, dashes and thickness by the series' own look, or by its place."""
    if series.compared:
        return TEACHER_COLOR, TEACHER_DASHES, WIDTHS[0]
    look = place
    if series.look is not None:
        look = series.look
    width = WIDTHS[look // (N_COLORS * N_DASHES) % len(WIDTHS)]
    return PALETTE[look % N_COLORS], DASHES[look // N_COLORS % N_DASHES], width
