"""What plots share: their axes, colours, names and legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from repgeom.auditing.report import Report
from repgeom.measures.measure import named as named_measure
from repgeom.presenting.cells import told_apart
from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

GREY = "0.55"
MOST_OF_A_NAME = 40  # cells of a name in a legend

_MOST_INSIDE = 10  # names in a legend inside the axes; of more it stands beside them
_MOST_BELOW_EACH_OTHER = 26  # names in one column of it
_WIDEST_OF_MANY = 22  # cells of a name where there are several columns
_LEGEND_INCHES = 1.9  # of a column of these
# With eight colours these make 80 lines that differ. None is the "--" of what others are compared with.
_DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 1.2)),
    (0, (1, 1)),
    (0, (5, 1, 1, 1)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (10, 2)),
    (0, (2, 2)),
    (0, (1, 3)),
    (0, (8, 1, 2, 1)),
    (0, (4, 1, 4, 1, 1, 1)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def axes_of(ax: Axes | None, n_series: int = 1) -> Axes:
    """The axes that were given, or a new figure's, with room beside them for the legend of many series."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    width, height = pyplot.rcParams["figure.figsize"]
    width += legend_inches(n_series)
    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def legend_inches(n_series: int) -> float:
    """How wide the legend of so many series is that stands beside the axes; 0 where it stands inside."""
    if n_series <= _MOST_INSIDE:
        return 0.0
    # The names of a single column may be long.
    return _LEGEND_INCHES * max(2, _legend_columns(n_series))


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


def styles(n: int) -> list[dict[str, Any]]:
    """Colour and dashes of n series, which people with any colour vision can tell apart; after 80 the next width of the line."""
    found: list[dict[str, Any]] = []
    for i, color in enumerate(_colors(n)):
        style = {"color": color, "linestyle": _DASHES[i // 8 % len(_DASHES)]}
        if i >= 80:
            style["linewidth"] = 1.5 + 1.25 * (i // 80)
        found.append(style)
    return found


def point_styles(n: int) -> list[dict[str, Any]]:
    """Colour and shape of n kinds of points."""
    return [{"color": color, "marker": _MARKERS[i // 8 % len(_MARKERS)]} for i, color in enumerate(_colors(n))]


def _colors(n: int) -> list[Any]:
    import seaborn

    # Grey is for what others are compared with, and yellow cannot be seen on white.
    palette = [color for i, color in enumerate(seaborn.color_palette("colorblind", 10)) if i not in (7, 8)]
    return [palette[i % len(palette)] for i in range(n)]


def drawable(values: Any) -> np.ndarray:
    """Numbers of any kind as a NumPy array, from a GPU too and without their gradient."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    return np.asarray(values)


def by_name(results: Any, default_name: str) -> dict[str, Any]:
    """{name: result}: as it was given, reports under their names, or the one result under a default name."""
    if isinstance(results, Mapping):
        return {str(name): result for name, result in results.items()}
    if isinstance(results, Report):
        return {results.name: results}
    if isinstance(results, list | tuple) and results and all(isinstance(one, Report) for one in results):
        names = told_apart([printable(one.name) for one in results], MOST_OF_A_NAME)
        return dict(zip(names, results, strict=True))
    return {default_name: results}


def legend_labels(names: Iterable[Any]) -> list[str]:
    """Names in a legend: short, and no two alike. matplotlib leaves out those that begin with "_", so a space goes before it."""
    shown = [printable(str(name)) for name in names]
    labels = told_apart(shown, _WIDEST_OF_MANY if in_columns(len(shown)) else MOST_OF_A_NAME)
    return [f" {label}" if label.startswith("_") else label for label in labels]


def literal(*texts: Text) -> None:
    """Have names drawn as they are: "$" and "\\" in them are no formulas."""
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)


def finished(ax: Axes, **legend: Any) -> Axes:
    """Add the grid and a legend with these options, beside the axes where it is long, and take two sides of the frame away."""
    ax.grid(True, color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    n = len(ax.get_legend_handles_labels()[0])
    if n > _MOST_INSIDE:
        beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
        legend |= {**beside, "ncols": _legend_columns(n), "fontsize": 7, "labelspacing": 0.2, "columnspacing": 1.2}
    literal(*ax.legend(**{"frameon": False, "fontsize": 8, **legend}).get_texts())
    return ax


def in_columns(n: int) -> bool:
    """Whether the legend of so many series has several columns."""
    return n > _MOST_BELOW_EACH_OTHER


def _legend_columns(n: int) -> int:
    return -(-n // _MOST_BELOW_EACH_OTHER)
