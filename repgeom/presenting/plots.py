"""Drawings of results. Each takes a result and an optional `ax`, returns the Axes, and never shows or saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.data.settings import own_settings
from repgeom.measures.classes import ClassRanks
from repgeom.measures.measure import named as named_measure
from repgeom.presenting.escaping import printable, shortened
from repgeom.presenting.text import THESE_ROWS
from repgeom.robustness.conditions import CLEAN
from repgeom.robustness.fourier import FourierHeatmap
from repgeom.spectral.decompose import spectrum
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_GREY = "0.55"
# What `plot_robustness` shows of a table that has several measures: the first of these that it has.
_ROBUSTNESS_MEASURES = ("accuracy", "knn_accuracy", "centred_relative_l2_drift")


@own_settings
def plot_spectrum(spectra: Any, *, ax: Axes | None = None, baseline: bool = True) -> Axes:
    """Share of variance along each direction on a log scale; several spectra overlaid, n in the legend.

    Args:
        spectra: a `Spectrum`, features, or {name: either} (teacher against students).
        ax: drawn into; a new figure's by default.
        baseline: add what isotropic features of the first one's size would show, dashed.

    Directions without any variance are not drawn: a log scale has no zero.

    >>> ax = plot_spectrum({"student": Spectrum.from_variances([4.0, 2.0, 1.0], n_samples=50)})
    >>> ax.get_legend().get_texts()[0].get_text()
    'student (n = 50)'
    """
    ax = _axes(ax)
    named = _named(spectra)
    for (label, s), color in zip(named.items(), _colors(len(named)), strict=True):
        share = np.asarray(s.variance_ratio)
        # Smaller shares vanish beside a total of 1 in float64, and would stretch the log axis.
        shown = share > 1e-16
        ax.plot(np.arange(1, len(share) + 1)[shown], share[shown], color=color, label=_with_n(label, s))
    first = next(iter(named.values()))
    if baseline and first.n_samples is not None:
        share = np.asarray(isotropic_baseline(first).variance_ratio)
        shown = share > 0
        ax.plot(np.arange(1, len(share) + 1)[shown], share[shown], "--", color=_GREY, label="isotropic, same size")
    _whole_ticks(ax)
    ax.set(yscale="log", xlabel="direction", ylabel="share of variance", title="Spectrum")
    return _finish(ax)


@own_settings
def plot_cumulative_variance(spectra: Any, *, ax: Axes | None = None) -> Axes:
    """Share of variance in the leading k directions, with the k that holds 90 %. Arguments as `plot_spectrum`."""
    ax = _axes(ax)
    named = _named(spectra)
    for (label, s), color in zip(named.items(), _colors(len(named)), strict=True):
        total = np.cumsum(np.asarray(s.variance_ratio))
        ax.plot(np.arange(1, len(total) + 1), total, color=color, label=_with_n(label, s))
    ax.axhline(0.9, color=_GREY, linestyle=":", linewidth=1)
    ax.annotate("90 %", (1, 0.9), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.35", fontsize=8)
    _whole_ticks(ax)
    # A little above 1, so that a curve at 1 keeps its full width.
    ax.set(ylim=(0, 1.02), xlabel="leading directions k", ylabel="share of variance", title="Cumulative variance")
    return _finish(ax)


@own_settings
def plot_captured_variance(curves: Any, *, ax: Axes | None = None, own: Any = None) -> Axes:
    """Share of variance inside the reference's leading k directions, as `captured_variance` returns it.

    Args:
        curves: one curve (r,), or {name: curve}.
        ax: drawn into; a new figure's by default.
        own: the reference's own curve, dashed.
    """
    ax = _axes(ax)
    named = _by_name(curves, "features")
    for (label, curve), color in zip(named.items(), _colors(len(named)), strict=True):
        values = np.asarray(curve)
        ax.plot(np.arange(1, len(values) + 1), values, color=color, label=_label(label))
    if own is not None:
        ax.plot(np.arange(1, len(own) + 1), np.asarray(own), "--", color=_GREY, label="reference itself")
    _whole_ticks(ax)
    ax.set(ylim=(0, 1.02), xlabel="reference's leading directions k", ylabel="share of variance")
    ax.set_title("Captured variance")
    return _finish(ax)


@own_settings
def plot_class_ranks(ranks: ClassRanks | Mapping[str, ClassRanks], *, ax: Axes | None = None, most: int = 30) -> Axes:
    """Effective rank within each class, with what isotropic features of the class's size would read.

    Args:
        ranks: as `class_effective_rank` returns it, or {name: such}, with the same classes; one that another lacks has no bar
            there.
        ax: drawn into; a new figure's by default.
        most: so many classes are shown, those in which the first one's rank is lowest, in the order of their labels.
    """
    ax = _axes(ax)
    named = _by_name(ranks, "features")
    first = next(iter(named.values()))
    # Classes of one row have the rank NaN, which sorts last.
    lowest = np.sort(np.argsort(first.effective_rank, kind="stable")[:most])
    place = np.arange(len(lowest))
    # The bars of a class fill 0.8 of its place; the rest parts them from the next class.
    width = 0.8 / len(named)
    for i, ((label, r), color) in enumerate(zip(named.items(), _colors(len(named)), strict=True)):
        left = place + (i - (len(named) - 1) / 2) * width
        ax.bar(left, _ranks_of(first.labels[lowest], r), width, color=color, label=_label(label))
    ax.plot(place, first.baseline[lowest], "_", color=_GREY, markersize=12, label="isotropic, same size")
    rotation = 0
    # Longer rows of names run into each other.
    if len(place) > 12:
        rotation = 90
    names = [shortened(printable(str(name)), 24) for name in first.labels[lowest]]
    ax.set_xticks(place, names, rotation=rotation)
    _literal(*ax.get_xticklabels())
    title = "Rank within each class"
    if len(lowest) < len(first.labels):
        title += f" ({len(lowest)} lowest of {len(first.labels)})"
    ax.set(yscale="log", xlabel="class", ylabel=axis_label("effective_rank"), title=title)
    # Room for the legend above the marks.
    ax.set_ylim(0.8, 4 * np.nanmax([2.0, *first.baseline]))
    return _finish(ax, loc="upper center", ncols=2)


def _ranks_of(labels: np.ndarray, ranks: ClassRanks) -> list[float]:
    """The rank within each of these classes; NaN for a class that is not there."""
    known = dict(zip(ranks.labels.tolist(), ranks.effective_rank, strict=True))
    return [float(known.get(label, np.nan)) for label in labels.tolist()]


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
    ax = _axes(ax)
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
        ax.axvline(value, color=_GREY, linestyle="--", linewidth=1, label="clean")
    ax.set_yticks(range(len(names)), [printable(name.replace("_", " ")) for name in names])
    _literal(*ax.get_yticklabels(), ax.xaxis.label)
    # Upside down, so that the first corruption stands on top.
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel=axis_label(measure), title="Robustness")
    return _finish(ax, title="severity", loc="center left", bbox_to_anchor=(1, 0.5))


@own_settings
def plot_sample_size_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
    """A measure against the number of samples: the population's value solid with its interval, these rows' dashed.

    Args:
        curve: as `sample_size_curve` returns it, or {name: such}.
        ax: drawn into; a new figure's by default.

    Lines are means over the subsets of a size; the band spans the mean ends of their intervals, where they have one.
    """
    ax = _axes(ax)
    named = _by_name(curve, "")
    if not named or not all(hasattr(table, "groupby") for table in named.values()):
        raise ValueError("`curve` must be a table of `sample_size_curve`, or {name: such}.")
    for (label, table), color in zip(named.items(), _colors(len(named)), strict=True):
        mean = table.groupby("n_samples").mean()
        prefix = ""
        if label:
            prefix = f"{_label(label)}: "
        ax.plot(mean.index, mean.value, "o-", color=color, markersize=3, label=f"{prefix}value")
        rows = f"{prefix}{THESE_ROWS}"
        ax.plot(mean.index, mean.in_these_rows, "o--", color=color, markersize=3, alpha=0.6, label=rows)
        known = mean.dropna()
        ax.fill_between(known.index, known.low, known.high, color=color, alpha=0.2, linewidth=0)
    from matplotlib.ticker import ScalarFormatter

    measured = {str(found.attrs.get("measure", "dimensions")) for found in named.values()}
    ylabel = ", ".join(sorted(axis_label(name) for name in measured))
    ax.set(xscale="log", ylim=(0, None), xlabel="samples", ylabel=ylabel, title="Enough samples?")
    _literal(ax.yaxis.label)
    # A log axis would write powers of ten; numbers of samples read better as they are.
    ax.xaxis.set_major_formatter(ScalarFormatter())
    return _finish(ax)


@own_settings
def plot_fourier_heatmap(heatmap: FourierHeatmap, *, what: str | None = None, ax: Axes | None = None) -> Axes:
    """Error or feature drift by spatial frequency, frequency 0 in the middle.

    Args:
        heatmap: as `fourier_heatmap` returns it.
        what: "error" or "drift"; by default the error where there is one.
        ax: drawn into; a new figure's by default.

    Raises ValueError for an error that was not measured.
    """
    ax = _axes(ax)
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


def axis_label(measure: str) -> str:
    """What an axis says of a measure: its label and unit, or its name where it has no record."""
    record = named_measure(measure)
    if record is None:
        return printable(measure.replace("_", " "))
    label = record.label.strip()
    return f"{label} ({record.unit})" if record.unit else label


def _axes(ax: Axes | None) -> Axes:
    """The axes that were given, or a new figure's."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _whole_ticks(ax: Axes) -> None:
    """Directions are counted: put ticks of the horizontal axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _colors(n: int) -> list[Any]:
    """n colours that people with any colour vision can tell from each other."""
    import seaborn

    return list(seaborn.color_palette("colorblind", n))


def _by_name(results: Any, default_name: str) -> dict[str, Any]:
    """{name: result}: as it was given, or the one result under a default name."""
    if isinstance(results, Mapping):
        return dict(results)
    return {default_name: results}


def _named(spectra: Any) -> dict[str, Spectrum]:
    """{name: spectrum} of spectra or features, by name or one alone. Raises ValueError for none and for a stack."""
    named = {}
    for name, features in _by_name(spectra, "features").items():
        if isinstance(features, Spectrum):
            named[str(name)] = features
        else:
            named[str(name)] = spectrum(features)
    if not named:
        raise ValueError("there is no spectrum to draw: `spectra` is empty.")
    for name, s in named.items():
        if np.ndim(s.singular_values) != 1:
            shape = tuple(np.shape(s.singular_values))
            raise ValueError(f"{name!r} is a stack of shape {shape}; give each spectrum a name: {{name: spectrum}}.")
    return named


def _with_n(label: str, s: Spectrum) -> str:
    """A legend's label with the number of samples, where it is known."""
    if s.n_samples is None:
        return _label(label)
    return f"{_label(label)} (n = {s.n_samples:,})"


def _label(name: Any) -> str:
    """A name in a legend. matplotlib leaves out those that begin with "_", so a space goes before it."""
    label = printable(str(name))
    if label.startswith("_"):
        label = f" {label}"
    return label


def _literal(*texts: Text) -> None:
    """Have names drawn as they are: "$" and "\\" in them are no formulas."""
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)


def _finish(ax: Axes, **legend: Any) -> Axes:
    """Add the grid and a legend with these options, and take the upper and right frame away."""
    ax.grid(True, color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    _literal(*ax.legend(frameon=False, fontsize=8, **legend).get_texts())
    return ax
