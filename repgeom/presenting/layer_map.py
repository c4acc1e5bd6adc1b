"""The heat map of layers against layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from repgeom.data.settings import own_settings
from repgeom.presenting.axes import axis_label
from repgeom.presenting.cells import shortened, told_apart, without_shared
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from repgeom.models.layer_map import LayerMap

MOST_NAMES = 16  # of layers along an axis; of more, every second, third, ... is named
# Measures of which a small value means alike: the best cell is the smallest.
DISTANCES = {"angular_cka", "procrustes_distance"}


@own_settings
def plot_layer_map(found: LayerMap, ax: Axes | None = None) -> Axes:
    """Each layer of one model down, each of the other across; an open circle marks the most alike column of each row.

    Args:
        found: what `cka_map` returned.
        ax: where to draw; a new figure by default.

    Returns:
        The Axes, whose image holds the values. Cells without a value are left blank.
    """
    from matplotlib.figure import Figure

    values = found.values
    if ax is None:
        size = (max(4.6, min(0.3 * values.shape[1] + 2.6, 12)), max(3.6, min(0.3 * values.shape[0] + 1.8, 12)))
        ax = Figure(figsize=size, layout="constrained").subplots()
    low = 0.0
    if np.isfinite(values).any():
        low = min(0.0, float(np.nanmin(values)))
    is_distance = found.measure in DISTANCES
    image = ax.imshow(
        values,
        vmin=low,
        vmax=None if is_distance else 1.0,
        cmap="viridis_r" if is_distance else "viridis",
        aspect="auto",
    )
    figure = ax.figure
    # Above the map: beside the colour bar it would run into a neighbour in a figure without constrained layout.
    figure.colorbar(
        image,
        ax=ax,
        location="top",
        label=f"{axis_label(found.measure)}; circle: most alike of its row",
        shrink=0.9,
        pad=0.04,
    )
    for row, line in enumerate(values):
        if np.isfinite(line).any():
            best = np.nanargmin(line) if is_distance else np.nanargmax(line)
            ax.plot(best, row, "o", mfc="none", color="white", ms=5)
    # Names come from outside: never taken for mathematics.
    places, names, shared = _named(found.columns)
    ax.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    ax.set_xlabel(_axis_name(found.column_name, shared), parse_math=False)
    places, names, shared = _named(found.rows)
    ax.set_yticks(places, names, parse_math=False)
    ax.set_ylabel(_axis_name(found.row_name, shared), parse_math=False)
    return ax


def _axis_name(model: str, shared: str) -> str:
    """The model's name, and what is around the names of its layers."""
    name = shortened(printable(model), 40)
    return f"{name}\n{shortened(shared, 44)}" if shared else name


def _named(layers: Sequence[str]) -> tuple[list[int], list[str], str]:
    """Which layers along an axis are named, how, and what all their names share."""
    every = -(-len(layers) // MOST_NAMES)
    places = list(range(0, len(layers), every))
    names, shared = without_shared([printable(layer) for layer in layers])
    short = told_apart(names, 24)
    return places, [short[place] for place in places], shared
