"""What plots share: their axes, colours, names and legends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from repgeom.measures.measure import named as named_measure
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

GREY = "0.55"


def axes_of(ax: Axes | None) -> Axes:
    """The axes that were given, or a new figure's."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def axis_label(measure: str) -> str:
    """What an axis says of a measure: its label and unit, or its name where it has no record."""
    record = named_measure(measure)
    if record is None:
        return printable(measure.replace("_", " "))
    label = record.label.strip()
    return f"{label} ({record.unit})" if record.unit else label


def whole_ticks(ax: Axes) -> None:
    """Directions are counted: put ticks of the horizontal axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def colors(n: int) -> list[Any]:
    """n colours that people with any colour vision can tell from each other."""
    import seaborn

    return list(seaborn.color_palette("colorblind", n))


def drawable(values: Any) -> np.ndarray:
    """Numbers of any kind as a NumPy array, from a GPU too and without their gradient."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    return np.asarray(values)


def by_name(results: Any, default_name: str) -> dict[str, Any]:
    """{name: result}: as it was given, or the one result under a default name."""
    if isinstance(results, Mapping):
        return dict(results)
    return {default_name: results}


def legend_label(name: Any) -> str:
    """A name in a legend. matplotlib leaves out those that begin with "_", so a space goes before it."""
    label = printable(str(name))
    if label.startswith("_"):
        label = f" {label}"
    return label


def literal(*texts: Text) -> None:
    """Have names drawn as they are: "$" and "\\" in them are no formulas."""
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)


def finished(ax: Axes, **legend: Any) -> Axes:
    """Add the grid and a legend with these options, and take the upper and right frame away."""
    ax.grid(True, color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    literal(*ax.legend(frameon=False, fontsize=8, **legend).get_texts())
    return ax
