"""A profile of a model's layers as a plot: rank against depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from repgeom.data.settings import own_settings
from repgeom.presenting.cells import shortened, told_apart, without_shared
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from repgeom.models.profile import LayerProfile

MOST_NAMES = 16  # of layers that are all named under the plot; of more, every second, third, ... is


@own_settings
def plot_profile(profile: LayerProfile, ax: Axes | None = None) -> Axes:
    """Effective rank over width against depth: the value of each layer, its 95 % interval as a band, and what isotropic rows read.

    Args:
        profile: what `layer_profile` returned.
        ax: where to draw; a new figure by default.

    Returns:
        The Axes, with one point per layer in the order in which layers run. An open point has no known interval.
    """
    from matplotlib.figure import Figure

    frame = profile.to_frame()
    if ax is None:
        ax = Figure(figsize=(max(6.4, min(0.32 * len(frame) + 2, 14)), 4.4), layout="constrained").subplots()
    depth = np.arange(len(frame))
    share, width = frame["share"].to_numpy(), frame["width"].to_numpy()
    low, high = frame["low"].to_numpy() / width, frame["high"].to_numpy() / width
    known = np.isfinite(low)
    (line,) = ax.plot(depth, share, "-", lw=1.5, label="effective rank / width")
    colour = line.get_color()
    ax.plot(depth[known], share[known], "o", color=colour, ms=5)
    ax.plot(
        depth[~known],
        share[~known],
        "o",
        mfc="white",
        color=colour,
        ms=5,
        label="no interval known" if (~known).any() else None,
    )
    ax.fill_between(depth, low, high, where=known, color=colour, alpha=0.25, lw=0, label="95 % interval")
    ax.plot(depth, frame["isotropic"], "--", color="0.45", lw=1.2, label="isotropic rows, as many")
    every = -(-len(frame) // MOST_NAMES)
    names, shared = without_shared([printable(str(name)) for name in frame.index])
    names = told_apart(names, 24)
    # Names come from outside: never taken for mathematics.
    ax.set_xticks(depth[::every], names[::every], rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    ax.set_ylim(0, max(1.02, float(np.nanmax(share)) * 1.02))
    ax.set_xlim(-0.5, len(frame) - 0.5)
    ax.set_ylabel("effective rank / width")
    if shared:
        ax.set_xlabel(shortened(shared, 60), parse_math=False)
    ax.set_title(shortened(printable(profile.name), 60), parse_math=False)
    ax.legend(frameon=False, fontsize="small")
    return ax
