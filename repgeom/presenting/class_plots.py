"""Drawings of classes: the effective rank within each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.auditing.report import Report
from repgeom.data.kinds import Curves, Labels
from repgeom.data.settings import own_settings
from repgeom.measures.classes import ClassRanks, class_effective_rank
from repgeom.presenting.axes import GREY, axes_of, axis_label, by_name, finished, legend_labels, literal, point_styles
from repgeom.presenting.cells import told_apart
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@own_settings
def plot_class_ranks(ranks: Curves, *, labels: Labels | None = None, ax: Axes | None = None, most: int = 30) -> Axes:
    """Effective rank within each class, with what isotropic features of the class's size would read.

    Args:
        ranks: as `class_effective_rank` returns it, a `Report` of an audit with labels, or features with `labels`; or {name: any
            of them}, with the same classes; one that another lacks has no point there.
        labels: (n_samples,) of features; of results they are known.
        ax: drawn into; a new figure's by default.
        most: so many classes are shown, those in which the first one's rank is lowest, in the order of their labels.

    Raises ValueError for features without labels, and for a report without classes.

    .. plot::

        import numpy as np
        import repgeom as rg

        rng = np.random.default_rng(0)
        x, labels = rng.standard_normal((800, 32)), np.repeat(["cat", "dog", "fish", "bird"], 200)
        x[labels == "fish", 6:] *= 0.05
        rg.plot_class_ranks({"teacher": x, "student": x[:, :16]}, labels=labels)
    """
    named = {name: _ranks_of(name, found, labels) for name, found in by_name(ranks, "features").items()}
    ax = axes_of(ax, len(named))
    first = next(iter(named.values()))
    # Classes of one row have the rank NaN, which sorts last.
    lowest = np.sort(np.argsort(first.effective_rank, kind="stable")[:most])
    place = np.arange(len(lowest))
    # The points of a class fill 0.8 of its place; the rest parts them from the next class.
    width = 0.8 / len(named)
    styled = zip(legend_labels(named), named.values(), point_styles(len(named)), strict=True)
    for i, (label, r, style) in enumerate(styled):
        left = place + (i - (len(named) - 1) / 2) * width
        # Points, not bars: on a log axis, which has no zero, the length of a bar means nothing.
        ax.plot(left, ranks_in(first.labels[lowest].tolist(), r), linestyle="none", markersize=6, label=label, **style)
    ax.plot(place, first.baseline[lowest], "_", color=GREY, markersize=12, label="isotropic, same size")
    rotation = 0
    # Longer rows of names run into each other.
    if len(place) > 12:
        rotation = 90
    names = told_apart([printable(str(name)) for name in first.labels[lowest]], 24)
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


def _ranks_of(name: str, found: Any, labels: Any) -> ClassRanks:
    """The ranks of a result, or of features."""
    if isinstance(found, ClassRanks):
        return found
    if isinstance(found, Report):
        if found.classes is None:
            raise ValueError(f"the report {name!r} has no classes: audit with `labels`.")
        return found.classes
    if labels is None:
        raise ValueError(f"{name!r} is features: say by `labels` which class each row is of.")
    ranks: ClassRanks = class_effective_rank(found, labels)
    return ranks
