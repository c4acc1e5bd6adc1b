"""Drawings of spectra: the share of variance along each direction, in the leading ones, and in a reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.data.kinds import Curves, Spectra, Values
from repgeom.data.settings import own_settings
from repgeom.presenting.axes import GREY, axes_of, by_name, colors, drawable, finished, legend_label, whole_ticks
from repgeom.spectral.decompose import spectrum
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Smaller shares vanish beside a total of 1 in float64, and would stretch a log axis.
LEAST_SHARE = 1e-16


@own_settings
def plot_spectrum(spectra: Spectra, *, ax: Axes | None = None, baseline: bool = True) -> Axes:
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
    ax = axes_of(ax)
    named = _named(spectra)
    for (label, s), color in zip(named.items(), colors(len(named)), strict=True):
        share = drawable(s.variance_ratio)
        shown = share > LEAST_SHARE
        ax.plot(np.arange(1, len(share) + 1)[shown], share[shown], color=color, label=_with_n(label, s))
    first = next(iter(named.values()))
    if baseline and first.n_samples is not None:
        share = drawable(isotropic_baseline(first).variance_ratio)
        shown = share > 0
        ax.plot(np.arange(1, len(share) + 1)[shown], share[shown], "--", color=GREY, label="isotropic, same size")
    whole_ticks(ax)
    ax.set(yscale="log", xlabel="direction", ylabel="share of variance", title="Spectrum")
    return finished(ax)


@own_settings
def plot_cumulative_variance(spectra: Spectra, *, ax: Axes | None = None) -> Axes:
    """Share of variance in the leading k directions, with the k that holds 90 %. Arguments as `plot_spectrum`."""
    ax = axes_of(ax)
    named = _named(spectra)
    for (label, s), color in zip(named.items(), colors(len(named)), strict=True):
        total = np.cumsum(drawable(s.variance_ratio))
        ax.plot(np.arange(1, len(total) + 1), total, color=color, label=_with_n(label, s))
    ax.axhline(0.9, color=GREY, linestyle=":", linewidth=1)
    ax.annotate("90 %", (1, 0.9), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.35", fontsize=8)
    whole_ticks(ax)
    # A little above 1, so that a curve at 1 keeps its full width.
    ax.set(ylim=(0, 1.02), xlabel="leading directions k", ylabel="share of variance", title="Cumulative variance")
    return finished(ax)


@own_settings
def plot_captured_variance(curves: Curves, *, ax: Axes | None = None, own: Values = None) -> Axes:
    """Share of variance inside the reference's leading k directions, as `captured_variance` returns it.

    Args:
        curves: one curve (r,), or {name: curve}.
        ax: drawn into; a new figure's by default.
        own: the reference's own curve, dashed.
    """
    ax = axes_of(ax)
    named = by_name(curves, "features")
    for (label, curve), color in zip(named.items(), colors(len(named)), strict=True):
        values = drawable(curve)
        ax.plot(np.arange(1, len(values) + 1), values, color=color, label=legend_label(label))
    if own is not None:
        ax.plot(np.arange(1, len(own) + 1), drawable(own), "--", color=GREY, label="reference itself")
    whole_ticks(ax)
    ax.set(ylim=(0, 1.02), xlabel="reference's leading directions k", ylabel="share of variance")
    ax.set_title("Captured variance")
    return finished(ax)


def _named(spectra: Any) -> dict[str, Spectrum]:
    """{name: spectrum} of spectra or features, by name or one alone. Raises ValueError for none and for a stack."""
    named = {}
    for name, features in by_name(spectra, "features").items():
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
        return legend_label(label)
    return f"{legend_label(label)} (n = {s.n_samples:,})"
