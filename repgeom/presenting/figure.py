"""One figure of several audits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.presenting.cells import shortened, told_apart
from repgeom.presenting.class_plots import plot_class_ranks
from repgeom.presenting.escaping import printable
from repgeom.presenting.spectrum_plots import plot_captured_variance, plot_cumulative_variance, plot_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from repgeom.auditing.report import Report


# Settings of matplotlib, and its caches, are those of the process: of several threads one draws at a time.
_DRAWING = threading.RLock()


def plot_reports(reports: Sequence[Report]) -> Figure:
    """All plots that these audits have something to show in, in one figure of the caller's style."""
    with _DRAWING:
        return _plotted(reports)


def _plotted(reports: Sequence[Report]) -> Figure:
    from matplotlib.figure import Figure

    named = dict(zip(told_apart([printable(r.name) for r in reports], 40), reports, strict=True))
    spectra = {name: r.spectrum for name, r in named.items()}
    classes = {name: r.classes for name, r in named.items() if r.classes is not None}
    references = {name: r.reference for name, r in named.items() if r.reference is not None}
    captured = {name: r.captured for name, r in references.items() if r.captured is not None}
    # All audits of one figure have the same reference.
    for r in list(references.values())[:1]:
        label = shortened(printable(r.name), 40)
        if label != "reference":
            label += " (reference)"
        spectra[label] = r.spectrum
    n_plots = 2 + bool(classes) + bool(captured)
    n_columns, inches_per_row = 2, 4.0
    if n_plots == 3:
        # Three plots fit in one row, two and four in rows of two: no panel stays empty.
        n_columns, inches_per_row = 3, 3.6
    n_rows = n_plots // n_columns
    figure = Figure(figsize=(11, inches_per_row * n_rows), layout="constrained")
    axes = iter(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    plot_spectrum(spectra, ax=next(axes))
    plot_cumulative_variance(spectra, ax=next(axes))
    if classes:
        plot_class_ranks(classes, ax=next(axes))
    if captured:
        own = next(r.own_curve for r in references.values() if r.captured is not None)
        plot_captured_variance(captured, ax=next(axes), own=own)
    return figure
