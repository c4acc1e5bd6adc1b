"""Drawings of a measure against the number of samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from repgeom.data.kinds import Curves
from repgeom.data.settings import own_settings
from repgeom.inference.sample_sizes import sample_size_curve
from repgeom.presenting.axes import axes_of, axis_label, by_name, finished, legend_labels, literal, styles
from repgeom.presenting.text import THESE_ROWS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@own_settings
def plot_sample_size_curve(curve: Curves, *, ax: Axes | None = None) -> Axes:
    """A measure against the number of samples: the population's value solid with its interval, these rows' dashed.

    Args:
        curve: as `sample_size_curve` returns it, or features, of which it is then made for effective rank; or {name: either}.
        ax: drawn into; a new figure's by default.

    Lines are means over the subsets of a size; the band spans the mean ends of their intervals, where they have one.

    .. plot::

        import numpy as np
        import repgeom as rg

        x = rg.testing.features_with_spectrum(np.arange(1, 17) ** -0.5, n_samples=400)
        rg.plot_sample_size_curve(rg.sample_size_curve(x))
    """
    named = {name: _curve_of(found) for name, found in by_name(curve, "").items()}
    if not named:
        raise ValueError("there is no curve to draw: `curve` is empty.")
    ax = axes_of(ax, 2 * len(named))
    for label, table, style in zip(legend_labels(named), named.values(), styles(len(named)), strict=True):
        mean = table.groupby("n_samples").mean()
        prefix = ""
        if label:
            prefix = f"{label}: "
        color = style["color"]
        ax.plot(mean.index, mean.value, marker="o", markersize=3, label=f"{prefix}value", **style)
        rows = f"{prefix}{THESE_ROWS}"
        ax.plot(mean.index, mean.in_these_rows, "o--", color=color, markersize=3, alpha=0.6, label=rows)
        known = mean.dropna()
        ax.fill_between(known.index, known.low, known.high, color=color, alpha=0.2, linewidth=0)
    from matplotlib.ticker import NullLocator

    measured = {str(found.attrs.get("measure", "dimensions")) for found in named.values()}
    ylabel = ", ".join(sorted(axis_label(name) for name in measured))
    ax.set(xscale="log", ylim=(0, None), xlabel="samples", ylabel=ylabel, title="Enough samples?")
    literal(ax.yaxis.label)
    # A log axis would write powers of ten, one over the other; numbers of samples read better as they are.
    shown = _apart({int(n) for table in named.values() for n in table.n_samples})
    ax.set_xticks(shown, [f"{n:,}" for n in shown])
    ax.xaxis.set_minor_locator(NullLocator())
    return finished(ax)


def _apart(sizes: set[int]) -> list[int]:
    """Those numbers of samples that have room for their label on a log axis, the largest first."""
    room = math.log(max(sizes) / min(sizes)) / 7
    kept = [max(sizes)]
    for size in sorted(sizes, reverse=True)[1:]:
        if math.log(kept[-1] / size) >= room:
            kept.append(size)
    return kept


def _curve_of(found: Any) -> pd.DataFrame:
    """The table of a curve, made of features where these were given."""
    if {"n_samples", "in_these_rows"} <= set(getattr(found, "columns", ())):
        table: pd.DataFrame = found
        return table
    return sample_size_curve(found)
