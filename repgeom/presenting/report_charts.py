"""What the page of several audits draws: spectra, cumulative and captured variance, ranks within classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from repgeom.measures.classes import ClassRanks
from repgeom.presenting.charts import DotChart, LineChart, Series
from repgeom.presenting.class_plots import ranks_in
from repgeom.presenting.spectrum_plots import drawn_shares
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    from repgeom.auditing.report import Report

MOST_CLASSES = 20  # that have a row each; of more the lowest are shown, and all of them as a curve
ISOTROPIC = "isotropic, same size"


def spectrum_charts(
    spectra: Sequence[tuple[str, Spectrum]], *, compared: Sequence[tuple[str, Spectrum]] = (), ordered: bool = False
) -> list[LineChart]:
    """The spectra, and the variance in the leading directions; `compared` are drawn in grey."""
    n_directions = max(len(np.ravel(s.variance_ratio)) for _, s in [*spectra, *compared])
    x = np.arange(1, n_directions + 1)
    shares, totals = [], []
    for name, s, grey in [*((n, s, False) for n, s in spectra), *((n, s, True) for n, s in compared)]:
        share = np.asarray(s.variance_ratio, dtype=float)
        shares.append(Series(name, drawn_shares(s), compared=grey))
        totals.append(Series(name, np.cumsum(share), compared=grey))
    label = "share of variance"
    return [
        LineChart("Spectrum", x, "direction", label, shares, log=True, ordered=ordered),
        LineChart(
            "Cumulative variance", x, "direction", f"{label} up to it", totals, limits=(0, 1.02), ordered=ordered
        ),
    ]


def charts_of(reports: Sequence[Report]) -> tuple[list[LineChart], list[DotChart]]:
    """All that these audits have something to draw of."""
    reference = next((r.reference for r in reports if r.reference is not None), None)
    compared = [(ISOTROPIC, isotropic_baseline(reports[0].spectrum))]
    if reference is not None:
        compared.append((_as_reference(reference.name), reference.spectrum))
    lines = spectrum_charts([(r.name, r.spectrum) for r in reports], compared=compared)
    captured = [
        (i, r.name, r.reference)
        for i, r in enumerate(reports)
        if r.reference is not None and r.reference.captured is not None
    ]
    if captured:
        shares = [Series(name, found.captured, look=i) for i, name, found in captured]
        own = Series("reference itself", captured[0][2].own_curve, compared=True)
        n = max(len(s.values) for s in [*shares, own])
        label = "share of variance up to it"
        title = "Variance captured by the reference's directions"
        lines.append(LineChart(title, np.arange(1, n + 1), "direction", label, [*shares, own], limits=(0, 1.02)))
    dots = []
    classes = [(i, r.name, r.classes) for i, r in enumerate(reports) if r.classes is not None]
    if classes:
        dots.append(_class_dots(classes))
        if len(classes[0][2].labels) > MOST_CLASSES:
            lines.append(_class_curve(classes))
    return lines, dots


def _as_reference(name: str) -> str:
    if name == "reference":
        return name
    return f"{name} (reference)"


def _class_dots(classes: Sequence[tuple[int, str, ClassRanks]]) -> DotChart:
    """The classes in which the first one's rank is lowest, in the order of their labels."""
    first = classes[0][2]
    # Classes of one row have the rank NaN, which sorts last.
    lowest = np.sort(np.argsort(first.effective_rank, kind="stable")[:MOST_CLASSES])
    labels = first.labels[lowest].tolist()
    series = [Series(name, ranks_in(labels, ranks), look=i) for i, name, ranks in classes]
    series.append(Series(ISOTROPIC, first.baseline[lowest], compared=True))
    title = "Rank within each class"
    if len(lowest) < len(first.labels):
        title += f" ({len(lowest)} lowest of {len(first.labels):,})"
    top = max([2.0, *(float(np.nanmax([*s.values, 0])) for s in series)])
    return DotChart(
        title, [str(label) for label in labels], "effective rank (dimensions)", series, limits=(0, 1.05 * top)
    )


def _class_curve(classes: Sequence[tuple[int, str, ClassRanks]]) -> LineChart:
    """All classes from the lowest rank to the highest."""
    sorted_ranks = [Series(name, np.sort(ranks.effective_rank), look=i) for i, name, ranks in classes]
    n = max(len(s.values) for s in sorted_ranks)
    label = "effective rank (dimensions)"
    x_label = "class, from the lowest rank, number"
    return LineChart("All classes", np.arange(1, n + 1), x_label, label, sorted_ranks)
