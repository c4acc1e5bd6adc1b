"""Drawings of spectra: the share of variance along each direction, in the leading ones, and in a reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.auditing.report import Report
from repgeom.data.kinds import Curves, Spectra, Values
from repgeom.data.settings import own_settings
from repgeom.presenting.axes import (
    GREY,
    axes_of,
    by_name,
    drawable,
    finished,
    in_columns,
    legend_labels,
    styles,
    whole_ticks,
)
from repgeom.spectral.decompose import spectrum
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.rounding import rounding
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Smaller shares vanish beside a total of 1 in float64, and would stretch a log axis.
_LEAST_SHARE = 1e-16


def drawn_shares(s: Spectrum) -> np.ndarray:
    """(n,) shares of variance along the directions; NaN where there is none, or only rounding."""
    share = np.array(drawable(s.variance_ratio), dtype=float)
    sigma = drawable(s.singular_values)
    if not len(sigma) or not sigma[0] > 0:
        return np.full(len(share), np.nan)
    least = max(_LEAST_SHARE, float(share[0]) * float(rounding(s, None) / float(sigma[0])) ** 2)
    if "product" in s.method and not s.exact_tail:
        # Variances that are read from products err by this much beside the largest.
        least = max(least, float(share[0]) * np.finfo(float).eps * s.n_features)
    share[~(share > least)] = np.nan
    return share


@own_settings
def plot_spectrum(spectra: Spectra, *, ax: Axes | None = None, baseline: bool = True) -> Axes:
    """Share of variance along each direction on a log scale; several spectra overlaid, n in the legend.

    Args:
        spectra: a `Spectrum`, features, a `Report`, or {name: any of them} (teacher against students); a list of reports, or a
            profile of a model's layers. Up to 80 differ in colour and dashes, more in width.
        ax: drawn into; a new figure's by default.
        baseline: add what isotropic features of the first one's size would show, dashed.

    Directions without any variance, or with no more than rounding leaves, are not drawn: a log scale has no zero.

    .. plot::

        import numpy as np
        import repgeom as rg

        teacher = rg.testing.features_with_spectrum(np.arange(1, 65) ** -0.5, n_samples=500)
        student = rg.testing.features_with_spectrum(np.arange(1, 65) ** -1.5, n_samples=500)
        rg.plot_spectrum({"teacher": teacher, "student": student})

    >>> ax = plot_spectrum({"student": Spectrum.from_variances([4.0, 2.0, 1.0], n_samples=50)})
    >>> ax.get_legend().get_texts()[0].get_text()
    'student (n = 50)'
    """
    named = _named(spectra)
    ax = axes_of(ax, len(named))
    for label, s, style in zip(_labels(named), named.values(), styles(len(named)), strict=True):
        share = drawn_shares(s)
        shown = np.isfinite(share)
        ax.plot(np.arange(1, len(share) + 1)[shown], share[shown], label=label, **style)
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
    """Share of variance in the leading k directions, with the k that holds 90 %. Arguments as `plot_spectrum`.

    .. plot::

        import numpy as np
        import repgeom as rg

        teacher = rg.testing.features_with_spectrum(np.arange(1, 65) ** -0.5, n_samples=500)
        student = rg.testing.features_with_spectrum(np.arange(1, 65) ** -1.5, n_samples=500)
        rg.plot_cumulative_variance({"teacher": teacher, "student": student})
    """
    named = _named(spectra)
    ax = axes_of(ax, len(named))
    for label, s, style in zip(_labels(named), named.values(), styles(len(named)), strict=True):
        total = np.cumsum(drawable(s.variance_ratio))
        ax.plot(np.arange(1, len(total) + 1), total, label=label, **style)
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
        curves: one curve (r,), a `Report` of an audit with a reference, or {name: either}; a list of such reports.
        ax: drawn into; a new figure's by default.
        own: the reference's own curve, dashed; that of the first report by default.

    Raises ValueError for a report without a reference, or with one of another width.

    .. plot::

        import numpy as np
        import repgeom as rg

        teacher = rg.testing.features_with_spectrum(np.arange(1, 65) ** -0.5, n_samples=500)
        student = teacher[:, :8] @ np.random.default_rng(0).standard_normal((8, 64))
        rg.plot_captured_variance(rg.audit(student, reference=teacher, name="student"))
    """
    named = by_name(curves, "features")
    ax = axes_of(ax, len(named))
    for label, found, style in zip(legend_labels(named), named.values(), styles(len(named)), strict=True):
        curve, reference_curve = _captured(label, found)
        if own is None:
            own = reference_curve
        values = drawable(curve)
        ax.plot(np.arange(1, len(values) + 1), values, label=label, **style)
    if own is not None:
        ax.plot(np.arange(1, len(own) + 1), drawable(own), "--", color=GREY, label="reference itself")
    whole_ticks(ax)
    ax.set(ylim=(0, 1.02), xlabel="reference's leading directions k", ylabel="share of variance")
    ax.set_title("Captured variance")
    return finished(ax)


def _captured(label: str, found: Any) -> tuple[Any, Any]:
    """The curve of a result, and that of its reference where the result knows it."""
    if not isinstance(found, Report):
        return found, None
    if found.reference is None or found.reference.captured is None:
        raise ValueError(f"the report {label!r} has no captured variance: audit with a `reference` of the same width.")
    return found.reference.captured, found.reference.own_curve


def _named(spectra: Any) -> dict[str, Spectrum]:
    """{name: spectrum} of spectra or features, by name or one alone. Raises ValueError for none and for a stack."""
    named = {}
    for name, features in by_name(spectra, "features").items():
        if isinstance(features, Report):
            named[name] = features.spectrum
        elif isinstance(features, Spectrum):
            named[name] = features
        else:
            named[name] = spectrum(features)
    if not named:
        raise ValueError("there is no spectrum to draw: `spectra` is empty.")
    for name, s in named.items():
        if np.ndim(s.singular_values) != 1:
            shape = tuple(np.shape(s.singular_values))
            raise ValueError(f"{name!r} is a stack of shape {shape}; give each spectrum a name: {{name: spectrum}}.")
    return named


def _labels(named: dict[str, Spectrum]) -> list[str]:
    """Labels of a legend with the number of samples, where it is known and there is room for it."""
    labels = legend_labels(named)
    if in_columns(len(labels)):
        return labels
    return [
        label if s.n_samples is None else f"{label} (n = {s.n_samples:,})"
        for label, s in zip(labels, named.values(), strict=True)
    ]
