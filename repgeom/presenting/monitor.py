"""A monitor's history as a plot: one line per layer against the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.data.settings import own_settings
from repgeom.presenting.cells import told_apart
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@own_settings
def plot_monitor(history: pd.DataFrame, measure: str, ax: Axes | None = None) -> Axes:
    """One measure of each layer against the step, with a bar for its 95 % interval where one is known.

    Args:
        history: of a `Monitor`.
        measure: one of its measures.
        ax: where to draw; a new figure by default.

    Returns:
        The Axes, with one line per layer.

    Raises:
        ValueError: no reading of this measure.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    drawn = history[history["measure"] == measure]
    if drawn.empty:
        known = ", ".join(map(str, history["measure"].unique()))
        raise ValueError(f"there is no reading of {measure!r} yet; there are {known or 'none at all'}.")
    layers = list(drawn["layer"].unique())
    many = len(layers) > 8
    n_columns = -(-len(layers) // 22)  # of the legend; so many names have the height of the axes
    if ax is None:
        ax = Figure(figsize=(6.4 + 2.0 * n_columns * many, 4.0), layout="constrained").subplots()
    names = told_apart([printable(layer) for layer in layers], 24)
    for i, (layer, name) in enumerate(zip(layers, names, strict=True)):
        one = drawn[drawn["layer"] == layer]
        (line,) = ax.plot(one["step"], one["value"], "o-", ms=3, lw=1.4, label=name)
        if many:
            # More layers than colours that can be told apart: from dark to light along the model.
            line.set_color(colormaps["viridis"](i / (len(layers) - 1)))
        sure = one[np.isfinite(one["low"].to_numpy(float))]
        ax.vlines(sure["step"], sure["low"], sure["high"], color=line.get_color(), alpha=0.35, lw=3)
    ax.set_xlabel("step")
    ax.set_ylabel(measure.replace("_", " "))
    # Beside the axes there is room for many names.
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "ncols": n_columns} if many else {}
    legend = ax.legend(frameon=False, fontsize="small", **place)
    for text in legend.get_texts():
        text.set_parse_math(False)  # names come from outside: never taken for mathematics
    return ax
