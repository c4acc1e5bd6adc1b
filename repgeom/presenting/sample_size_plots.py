"""Drawings of a measure against the number of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeom.data.kinds import Curves
from repgeom.data.settings import own_settings
from repgeom.presenting.axes import axes_of, axis_label, by_name, colors, finished, legend_label, literal
from repgeom.presenting.text import THESE_ROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@own_settings
def plot_sample_size_curve(curve: Curves, *, ax: Axes | None = None) -> Axes:
    """A measure against the number of samples: the population's value solid with its interval, these rows' dashed.

    Args:
        curve: as `sample_size_curve` returns it, or {name: such}.
        ax: drawn into; a new figure's by default.

    Lines are means over the subsets of a size; the band spans the mean ends of their intervals, where they have one.
    """
    ax = axes_of(ax)
    named = by_name(curve, "")
    if not named or not all(hasattr(table, "groupby") for table in named.values()):
        raise ValueError("`curve` must be a table of `sample_size_curve`, or {name: such}.")
    for (label, table), color in zip(named.items(), colors(len(named)), strict=True):
        mean = table.groupby("n_samples").mean()
        prefix = ""
        if label:
            prefix = f"{legend_label(label)}: "
        ax.plot(mean.index, mean.value, "o-", color=color, markersize=3, label=f"{prefix}value")
        rows = f"{prefix}{THESE_ROWS}"
        ax.plot(mean.index, mean.in_these_rows, "o--", color=color, markersize=3, alpha=0.6, label=rows)
        known = mean.dropna()
        ax.fill_between(known.index, known.low, known.high, color=color, alpha=0.2, linewidth=0)
    from matplotlib.ticker import ScalarFormatter

    measured = {str(found.attrs.get("measure", "dimensions")) for found in named.values()}
    ylabel = ", ".join(sorted(axis_label(name) for name in measured))
    ax.set(xscale="log", ylim=(0, None), xlabel="samples", ylabel=ylabel, title="Enough samples?")
    literal(ax.yaxis.label)
    # A log axis would write powers of ten; numbers of samples read better as they are.
    ax.xaxis.set_major_formatter(ScalarFormatter())
    return finished(ax)
