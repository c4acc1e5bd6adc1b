"""Drawings of what corruption does: a table of corruptions and severities, a map of spatial frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeom.data.settings import own_settings
from repgeom.presenting.axes import GREY, axes_of, axis_label, finished, literal
from repgeom.presenting.escaping import printable
from repgeom.robustness.conditions import CLEAN
from repgeom.robustness.fourier import FourierHeatmap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# What `plot_robustness` shows of a table that has several measures: the first of these that it has.
_ROBUSTNESS_MEASURES = ("accuracy", "knn_accuracy", "centred_relative_l2_drift")


@own_settings
def plot_robustness(table: pd.DataFrame, *, measure: str | None = None, ax: Axes | None = None) -> Axes:
    """One measure of a robustness table with its intervals: corruptions from top to bottom, severities by colour.

    Args:
        table: as `corruption_robustness` or another of its kind returns it.
        measure: any that the table has; by default the first it has of "accuracy", "knn_accuracy" and
            "centred_relative_l2_drift".
        ax: drawn into; a new figure's by default.

    The clean images' value is a dashed line, where there is one. Raises ValueError for a measure that is not there.
    """
    import seaborn

    if "value" not in table.columns:
        raise ValueError(
            "the table has no column `value`: a comparison of two encoders is not drawn; draw each one's table."
        )
    ax = axes_of(ax)
    if measure is None:
        measure = next((name for name in _ROBUSTNESS_MEASURES if name in set(table.measure)), _ROBUSTNESS_MEASURES[-1])
    rows = table[table.measure == measure]
    if not len(rows):
        raise ValueError(f"the table has no measure {measure!r}; it has {', '.join(sorted(set(table.measure)))}.")
    corrupted, clean = rows[rows.corruption != CLEAN], rows[rows.corruption == CLEAN]
    if not len(corrupted):
        raise ValueError(f"the table has {measure} of clean images only.")
    names, severities = list(dict.fromkeys(corrupted.corruption)), sorted(set(corrupted.severity))
    colors = seaborn.color_palette("flare", len(severities))
    for i, (severity, color) in enumerate(zip(severities, colors, strict=True)):
        of_severity = corrupted[corrupted.severity == severity]
        # The severities of one corruption share 0.6 of the space between two corruptions.
        place = of_severity.corruption.map(names.index) + 0.6 * ((i + 0.5) / len(severities) - 0.5)
        # `errorbar` wants (2, n) lengths from the value, not ends. Where no interval is known the length is 0.
        lengths = abs(of_severity[["low", "high"]].sub(of_severity["value"], axis=0)).fillna(0).to_numpy().T
        ax.errorbar(
            of_severity["value"],
            place,
            xerr=lengths,
            fmt="o",
            markersize=3,
            linewidth=1,
            color=color,
            label=f"{severity:g}",
        )
    for value in clean["value"]:
        ax.axvline(value, color=GREY, linestyle="--", linewidth=1, label="clean")
    ax.set_yticks(range(len(names)), [printable(name.replace("_", " ")) for name in names])
    literal(*ax.get_yticklabels(), ax.xaxis.label)
    # Upside down, so that the first corruption stands on top.
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=axis_label(measure), title="Robustness")
    return finished(ax, title="severity", loc="center left", bbox_to_anchor=(1, 0.5))


@own_settings
def plot_fourier_heatmap(heatmap: FourierHeatmap, *, what: str | None = None, ax: Axes | None = None) -> Axes:
    """Error or feature drift by spatial frequency, frequency 0 in the middle.

    Args:
        heatmap: as `fourier_heatmap` returns it.
        what: "error" or "drift"; by default the error where there is one.
        ax: drawn into; a new figure's by default.

    Raises ValueError for an error that was not measured.
    """
    ax = axes_of(ax)
    if what is None:
        what = "error"
        if heatmap.error is None:
            what = "drift"
    values = {"error": heatmap.error, "drift": heatmap.drift}.get(what)
    if values is None:
        raise ValueError(f'`what` must be "drift", or "error" of a heat map made with a probe; got {what!r}.')
    # Half a cycle beyond the outer frequencies: the middle of a pixel stands at its frequency, not its edge.
    low, high = float(heatmap.frequencies[0]) - 0.5, float(heatmap.frequencies[-1]) + 0.5
    # A map of zeros needs a scale too, hence the 1.
    extent = (low, high, high, low)
    image = ax.imshow(values, cmap="magma", vmin=0, vmax=values.max() or 1, extent=extent, interpolation="nearest")
    words = {"error": "share of images that the probe gets wrong", "drift": "distance moved / distance from the mean"}
    assert ax.figure is not None
    ax.figure.colorbar(image, ax=ax, label=words[what])
    ax.set(xlabel="cycles per image, across", ylabel="cycles per image, down")
    ax.set_title(f"Fourier heat map, noise of {heatmap.rms:.3g} per pixel")
    return ax
