"""One figure of several audits."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from repgeom.auditing.report import Report
from repgeom.data.settings import own_settings
from repgeom.presenting.axes import by_name, legend_inches
from repgeom.presenting.cells import shortened
from repgeom.presenting.class_plots import plot_class_ranks
from repgeom.presenting.escaping import printable
from repgeom.presenting.spectrum_plots import plot_captured_variance, plot_cumulative_variance, plot_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Settings of matplotlib, and its caches, are those of the process: of several threads one draws at a time.
_DRAWING = threading.RLock()


@own_settings
def plot_reports(reports: Report | Sequence[Report] | Mapping[str, Report], *, figure: Figure | None = None) -> Figure:
    """All plots that these audits have something to show in, side by side in one figure of the caller's style.

    Spectrum and cumulative variance; ranks within classes where there are labels; captured variance where there is a reference.

    Args:
        reports: one, several, or {name: report}; a profile of a model's layers is such.
        figure: drawn into, beside each other and below; a new one by default.

    Returns:
        The Figure, which `figure.savefig(path)` stores and a notebook shows.

    Raises:
        ValueError: no report.

    .. plot::

        import matplotlib.pyplot as plt
        import numpy as np
        import repgeom as rg

        teacher = rg.testing.features_with_spectrum(np.arange(1, 65) ** -0.5, n_samples=500)
        student = teacher[:, :8] @ np.random.default_rng(0).standard_normal((8, 64))
        labels = np.arange(500) % 4
        reports = [rg.audit(x, reference=teacher, labels=labels) for x in (teacher, student)]
        named = {"teacher": reports[0], "student": reports[1]}
        rg.plot_reports(named, figure=plt.figure(figsize=(11, 8), layout="constrained"))
    """
    named = by_name(reports, "features")
    if not named or not all(isinstance(report, Report) for report in named.values()):
        raise ValueError("`reports` must be one `Report` or several, as `audit` returns them.")
    with _DRAWING:
        return _plotted(named, figure)


def _plotted(named: Mapping[str, Report], figure: Figure | None) -> Figure:
    from matplotlib.figure import Figure

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
    if figure is None:
        inches = 11 + n_columns * legend_inches(len(named))
        figure = Figure(figsize=(inches, inches_per_row * n_rows), layout="constrained")
    axes = iter(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    plot_spectrum(spectra, ax=next(axes))
    plot_cumulative_variance(spectra, ax=next(axes))
    if classes:
        plot_class_ranks(classes, ax=next(axes))
    if captured:
        own = next(r.own_curve for r in references.values() if r.captured is not None)
        plot_captured_variance(captured, ax=next(axes), own=own)
    return figure
