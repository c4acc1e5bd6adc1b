"""Drawings of classes: the effective rank within each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from repgeom.data.settings import own_settings
from repgeom.measures.classes import ClassRanks
from repgeom.presenting.axes import GREY, axes_of, axis_label, by_name, colors, finished, legend_label, literal
from repgeom.presenting.cells import shortened
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@own_settings
def plot_class_ranks(ranks: ClassRanks | Mapping[str, ClassRanks], *, ax: Axes | None = None, most: int = 30) -> Axes:
    """Effective rank within each class, with what isotropic features of the class's size would read.

    Args:
        ranks: as `class_effective_rank` returns it, or {name: such}, with the same classes; one that another lacks has no bar
            there.
        ax: drawn into; a new figure's by default.
        most: so many classes are shown, those in which the first one's rank is lowest, in the order of their labels.
    """
    ax = axes_of(ax)
    named = by_name(ranks, "features")
    first = next(iter(named.values()))
    # Classes of one row have the rank NaN, which sorts last.
    lowest = np.sort(np.argsort(first.effective_rank, kind="stable")[:most])
    place = np.arange(len(lowest))
    # The bars of a class fill 0.8 of its place; the rest parts them from the next class.
    width = 0.8 / len(named)
    for i, ((label, r), color) in enumerate(zip(named.items(), colors(len(named)), strict=True)):
        left = place + (i - (len(named) - 1) / 2) * width
        ax.bar(left, ranks_in(first.labels[lowest].tolist(), r), width, color=color, label=legend_label(label))
    ax.plot(place, first.baseline[lowest], "_", color=GREY, markersize=12, label="isotropic, same size")
    rotation = 0
    # Longer rows of names run into each other.
    if len(place) > 12:
        rotation = 90
    names = [shortened(printable(str(name)), 24) for name in first.labels[lowest]]
    ax.set_xticks(place, names, rotation=rotation)
    literal(*ax.get_xticklabels())
    title = "Rank within each class"
    if len(lowest) < len(first.labels):
        title += f" ({len(lowest)} lowest of {len(first.labels)})"
    ax.set(yscale="log", xlabel="class", ylabel=axis_label("effective_rank"), title=title)
    # Room for the legend above the marks.
    ax.set_ylim(0.8, 4 * np.nanmax([2.0, *first.baseline]))
    return finished(ax, loc="upper center", ncols=2)


def ranks_in(labels: Sequence[object], ranks: ClassRanks) -> list[float]:
    """The rank within each of these classes; NaN for a class that is not there."""
    known = dict(zip(ranks.labels.tolist(), ranks.effective_rank, strict=True))
    return [float(known.get(label, np.nan)) for label in labels]
