"""Intervals of measures that are no ranks: means over rows, pairs and neighbours, and CKA.

Their values are those of these rows, whose bias is small beside their error. A measure of neighbours falls or rises with the
number of rows among which they are sought; its interval is for the value expected of as many as were sampled.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from torch import Tensor

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.values import reading_of
from repgeom.data.arrays import row_norms, unit_rows
from repgeom.inference.estimate import Estimate
from repgeom.inference.halves import FEWEST_ROWS
from repgeom.inference.intervals import standard_error
from repgeom.measures.measure import named
from repgeom.measures.pair_sums import compact, varying
from repgeom.robustness.alignment import cka_measurement
from repgeom.robustness.measurement import Measurement
from repgeom.robustness.tails import heavy_tails

MOST_REPEATS = 0.01  # share of rows that may repeat earlier ones before one must say whether they are copies


def estimates_of_rows(e: Evidence) -> dict[str, Estimate]:
    """Estimates of these measures by name, of those that this evidence can be read for."""
    found = {}
    for name, measure in MEASURED.items():
        measurement = measure(e)
        if measurement is not None:
            found[name] = _estimate(measurement)
    dependence = _dependence(e)
    if dependence:
        found = {name: _without_interval(estimate, dependence) for name, estimate in found.items()}
    of_neighbours = _of_neighbours(e)
    # Where groups are known, errors of what neighbours say are read from halves that share none.
    if dependence and e.independent is None:
        of_neighbours = {name: _without_interval(estimate, dependence) for name, estimate in of_neighbours.items()}
    return found | of_neighbours


def _of_neighbours(e: Evidence) -> dict[str, Estimate]:
    found = {}
    dimension = e.near.estimate()
    if dimension is not None:
        found["intrinsic_dimension"] = dimension
    if e.labels is not None and e.labels.votes is not None:
        found["knn_accuracy"] = e.labels.votes.estimate(0.95, share_of_rows=True)
    if e.reference is not None and e.reference.shared_neighbours is not None:
        found["mutual_knn"] = e.reference.shared_neighbours.estimate(0.95)
    return found


def _dependence(e: Evidence) -> str:
    """Say why rows cannot be taken for independent draws; '' where they can."""
    if e.independent is not None:
        # Rows that are as many independent ones do not feel their groups.
        if e.independent < e.n_samples * (1 - 1e-9):
            return "no interval: rows of a group depend on each other"
        return ""
    if e.health.duplicate_rows > MOST_REPEATS * e.n_samples:
        return "no interval: rows repeat; `groups` says which are copies"
    return ""


def _without_interval(x: Estimate, reason: str) -> Estimate:
    return dataclasses.replace(x, low=None, high=None, se=None, degrees=None, warnings=(reason,))


def _estimate(m: Measurement) -> Estimate:
    """A measurement as an estimate of the population, to be read as all others."""
    low, high = m.interval(0.95)
    if m.contributions is None or math.isnan(low):
        reason = m.note or "no interval: too few rows"
        return Estimate(m.value, m.value, None, None, None, m.n, "these rows", (reason,))
    error, degrees = standard_error(m.contributions), len(m.contributions) - 1.0
    return Estimate(m.value, m.value, low, high, error, m.n, "spread of rows", degrees=degrees)


# The measures ---------------------------------------------------------------------------------------------------------


def _linear_cka(e: Evidence) -> Measurement | None:
    """The value of all rows; the jackknife of the sampled ones says how far it may be off."""
    if e.reference is None:
        return None
    try:
        x = compact(varying(_as_audited(e, e.sample), "features"))
        y = compact(varying(_as_audited(e, e.reference.sample), "reference"))
        sampled = cka_measurement(x, y)
    except ValueError:
        # Fewer than 4 rows, or sampled rows that are all equal.
        return None
    return _of_all_rows(e, sampled)


def _cosine_alignment(e: Evidence) -> Measurement | None:
    if e.reference is None or e.reference.cosine is None:
        return None
    cosines = (unit_rows(e.sample.double()) * unit_rows(e.reference.sample.double())).sum(1)
    return _of_all_rows(e, Measurement.mean("cosine_alignment", cosines, "similarity"))


def _mean_cosine(e: Evidence) -> Measurement | None:
    """A mean over pairs: a row is in two of n parts of them, with its mean cosine to the others."""
    units = unit_rows(e.sample.double())
    return _of_all_rows(e, Measurement.mean("mean_cosine", 2 * units @ units.mean(0), "similarity"))


def _norm_mean(e: Evidence) -> Measurement | None:
    return _of_all_rows(e, Measurement.mean("norm_mean", row_norms(e.sample.double()), "positive"))


def _norm_cv(e: Evidence) -> Measurement | None:
    """v = s / m: a row of length l moves ln v by ((l − m)² / s² − 1) / 2 − (l − m) / m."""
    lengths = row_norms(e.sample.double())
    mean, away = lengths.mean(), lengths - lengths.mean()
    variance = away.square().mean()
    # Lengths that are equal but for rounding have no variation that rows could spread about.
    if not bool(variance > (1e-12 * mean) ** 2):
        return None
    contributions = variance.sqrt() / mean * (away.square() / (2 * variance) - away / mean)
    m = _of_all_rows(e, Measurement.mean("norm_cv", contributions, "positive"))
    # Its error is read from fourth powers of the lengths.
    note = heavy_tails(lengths.square())
    if m is not None and note:
        return m.without_interval(note)
    return m


MEASURED: dict[str, Callable[[Evidence], Measurement | None]] = {
    "linear_cka": _linear_cka,
    "cosine_alignment": _cosine_alignment,
    "mean_cosine": _mean_cosine,
    "norm_mean": _norm_mean,
    "norm_cv": _norm_cv,
}


# Measures that are no functionals of a spectrum, and have an interval in an audit.
WITH_INTERVAL = (
    *MEASURED,
    "knn_accuracy",
    "mutual_knn",
    "intrinsic_dimension",
    "rank_retained",
    "reference_effective_rank",
)


def _as_audited(e: Evidence, rows: Tensor) -> Tensor:
    """Rows in float64, of unit length if the audit reads its spectra from such."""
    return unit_rows(rows.double()) if e.spectrum.normalize else rows.double()


def _of_all_rows(e: Evidence, sampled: Measurement) -> Measurement | None:
    """The measure of all rows, with contributions of the sampled ones as if there were as many as all.

    Their standard error is the spread over √m, of m sampled rows; that of all n rows is the spread over √n.
    """
    record = named(sampled.measure)
    assert record is not None
    value = reading_of(record, e)[0]
    if value is None:
        return None
    if len(e.sample) < FEWEST_ROWS:
        sampled = sampled.without_interval(f"no interval: fewer than {FEWEST_ROWS} rows")
    contributions = sampled.contributions
    if contributions is not None:
        away = contributions - contributions.mean()
        contributions = value + away * math.sqrt(len(contributions) / e.n_samples)
    return dataclasses.replace(sampled, value=value, contributions=contributions, n=e.n_samples)
