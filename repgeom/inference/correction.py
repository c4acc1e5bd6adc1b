"""What is one measure in the population, how far may that be off, and what must the reader know?

Everything here is on the scale of the logarithm, where errors of ranks are closer to symmetric. The value moves from the
sample's own by what lies between the sample's variances and the population's. The error is the spread of the rows' influence.
Where simulations do not vouch for it, there is none, and the reasons are said.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repgeom.inference.intervals import quantile
from repgeom.inference.population import Population, RowWeights
from repgeom.inference.sample import Fit, Sample, excess_kurtosis, unbiased_traces
from repgeom.inference.second_order import mean_shift
from repgeom.measures.functionals import Array, Functional
from repgeom.measures.measure import functional

FEWEST_FOR_INTERVAL = 100  # below, spreads of influences are too uncertain, also for two or three features
HEAVY_ROW = 0.1  # share of all variance in one row of which the reader should know
FINENESS = 1e-4  # of a value: what the grid of variances can move
_SMALL_SHIFT = 0.05  # of a logarithm: the next term of the series is about its square
_LARGEST_LEVERAGE = 0.9  # of a group on all directions; beyond it, leaving the group out is no longer worked out well
_LARGEST_ERROR = 0.25  # of a logarithm, beyond which an interval says nothing
_LARGEST_DRIFT = (
    0.05  # of a logarithm, between halves and all rows: beyond it, the value still depends on the number of rows
)


@dataclasses.dataclass(frozen=True)
class Corrected:
    """ln of a measure in the population, what each row scored adds to it, and the standard error.

    `beyond` is the variance of what is of second order in the rows, `degrees` the degrees of freedom of the error. `error`
    is None where no interval is known to hold; `warnings` then says why. `groups`: rows whose influences count together,
    from 0; None where each counts for itself.
    """

    log: float
    influence: Array
    error: float | None
    beyond: float
    degrees: int
    method: str
    warnings: tuple[str, ...]
    groups: NDArray[np.integer[Any]] | None


def corrected(sample: Sample, measure: str) -> Corrected:
    """Correct one of the measures that the sample was scored for."""
    if sample.told or not sample.repeats:
        return _corrected(sample, measure)
    return _of_both_readings(_corrected(sample, measure), _without_copies(sample, measure), sample)


def value_alone(sample: Sample, measure: str) -> float:
    """The measure in the population without what an interval needs, for readings that must cost little.

    The sample need not have been split in halves nor scored for the measure. Where the mean shift of the measure by so many
    rows is small, its first term is taken off; else the population is fitted.
    """
    f = functional(measure)
    log = f.log(*sample.naive)
    if measure == "participation_ratio" and sample.groups is None:
        log, _ = _unbiased_participation(sample)
    elif not _one_row_rules(sample):
        shift = mean_shift(measure, sample.variances) * max(1.0, 1 + excess_kurtosis(sample)) / sample.independent
        log = log - shift if abs(shift) <= _SMALL_SHIFT else _inverted(f, sample.fit)
    return math.exp(min(max(log, 0.0), math.log(sample.most)))


def _without_copies(sample: Sample, measure: str) -> Corrected:
    """Correct a measure as if copies of a row were one row."""
    if sample.distinct is None:
        return _corrected(sample.copies_as_groups, measure)
    found = _corrected(sample.distinct, measure)
    # A row's influence is shared out among its copies, on the scale of all rows.
    shares = len(sample.copies) / sample.distinct.n / np.bincount(sample.copies)
    influence = found.influence[sample.copies] * shares[sample.copies]
    return dataclasses.replace(found, influence=influence, groups=sample.copies)


def _of_both_readings(independent: Corrected, as_copies: Corrected, sample: Sample) -> Corrected:
    """One value where rows repeat: as if copies were one row, or, where most rows repeat, as if all were independent.

    The interval is that of copies, which is the wider one. There is none where the two readings differ by more than half of it.
    """
    given, other, taken, else_ = as_copies, independent, "one row", "independent rows"
    if sample.mostly_alike:
        given, other, taken, else_ = independent, as_copies, "independent rows", "one row"
    note = (
        f"{sample.repeats:,} of {len(sample.copies):,} rows repeat earlier ones; copies are taken for {taken} (as {else_} they "
        f"would read {math.exp(other.log):.4g}; `groups` can say which is right)"
    )
    given = dataclasses.replace(given, warnings=(note, *given.warnings))
    if given.error is None:
        return given
    half_width = quantile(0.95, given.degrees) * given.error
    if not sample.mostly_alike and abs(given.log - other.log) <= half_width:
        return given
    why = "no interval: it hangs on whether rows that repeat are copies or just alike; say so by `groups`"
    return dataclasses.replace(given, error=None, beyond=0.0, degrees=0, warnings=(*given.warnings, why))


def _corrected(sample: Sample, measure: str) -> Corrected:
    """Correct a measure, rows being as dependent as the sample says."""
    f, fit = functional(measure), sample.fit
    influence = sample.scores.influence[measure]
    reasons, drift = _reasons_against_an_interval(sample, f), 0.0
    if _one_row_rules(sample):
        # No model of the rows knows of such a row, so the sample's own value is the most that can be said.
        log, method = f.log(*sample.naive), "not corrected"
    elif measure == "participation_ratio" and sample.groups is None:
        log, gain = _unbiased_participation(sample)
        influence, method = influence * gain, "unbiased sums"
    elif measure == "stable_rank" and fit.corrected.alone:
        leading = fit.corrected.variances[-fit.corrected.alone]
        log = math.log(sample.variances.sum() / leading)
        method = "leading variance less the pull of the others"
    else:
        log, method = _inverted(f, fit), "Marchenko-Pastur inversion"
        if measure == "stable_rank" and sample.most > 1:
            reasons.append("the leading variance does not stand clear of the next")
        if not f.single and sample.most > 1:
            drift = _drift_between_halves(f, sample, log)
            if abs(drift) > _LARGEST_DRIFT:
                log, method = log + drift, "Marchenko-Pastur inversion, extrapolated from halves"
                reasons.append(f"the value still moves with the number of rows, by {drift:+.0%} from half of them")
    # A rank is at least one, and at most the number of directions that can vary.
    log = min(max(log, 0.0), math.log(sample.most))
    notes = _notes(sample)
    variance, degrees = 0.0, sample.n - 1
    if sample.most > 1:  # where one direction varies, the rank is one whatever the rows
        variance, degrees = mean_variance(influence, sample.n, sample.groups)
    beyond = 0.0
    if not f.single:
        beyond = second_order(f, fit.corrected, fit.weights, sample.n)
    # The draw of the rows, the model of them and the grid err for reasons of their own, so their squares add up.
    error = math.hypot(counted_once(variance, beyond) ** 0.5, drift, FINENESS)
    if error > _LARGEST_ERROR and not reasons:
        reasons.append(f"its standard error would be {error:.0%}")
    elif sample.most > 1 and not reasons and rests_on_few_rows(degrees, n_draws(influence, sample.groups)):
        reasons.append(rests_on_few_rows(degrees, n_draws(influence, sample.groups)))
    if reasons:
        return Corrected(
            log, influence, None, 0.0, 0, method, (*notes, "no interval: " + "; ".join(reasons)), sample.groups
        )
    return Corrected(log, influence, error, beyond, degrees, method, notes, sample.groups)


# The value ------------------------------------------------------------------------------------------------------------


def _inverted(f: Functional, fit: Fit) -> float:
    """The sample's own value, moved by what lies between the sample's variances and the population's."""
    behind, plain = fit.corrected, fit.plain
    # Both stand on the same grid, whose own error cancels in the difference.
    shift = f.log(behind.variances, behind.counts) - f.log(plain.variances, plain.counts)
    bend = f.bend(behind.variances, behind.counts, behind.alone)
    # Real Gaussian rows shift the mean by `bend` / n beyond the inversion; rows that weigh unevenly count as fewer.
    return f.log(fit.variances, np.ones(len(fit.variances))) + shift - fit.weights.mean_square * bend / fit.n


def _drift_between_halves(f: Functional, sample: Sample, log: float) -> float:
    """How far ln of the value may lie from that of endless rows, if its error falls as 1 / n: 0 where the rows fit the model.

    Twice as many rows halve an error of that kind, so halves show as much more of it as all rows still have.
    """
    fits = sample.fits_of_halves
    # Halves of fewer rows than these for a feature are off for reasons of their own: so many smallest values are lost.
    rows_needed = 1
    if f.tail:
        rows_needed = 2
    if not fits or min(fit.n for fit in fits) < 0.95 * rows_needed * sample.most:
        return 0.0
    of_halves = sum(_inverted(f, fit) for fit in fits) / len(fits)
    n = sum(fit.n for fit in fits) / len(fits)
    return (log - of_halves) / (sample.n / n - 1)


def _unbiased_participation(sample: Sample) -> tuple[float, float]:
    """ln of the ratio of unbiased sums, and by how much the rows' influence on it exceeds that on the sample's own."""
    square_of_trace, trace_of_square, _ = unbiased_traces(sample)
    # Unbiased estimates of positive numbers may come out negative for few rows. Cauchy and Schwarz bound their ratio.
    square_of_trace = max(square_of_trace, np.finfo(float).tiny)
    trace_of_square = max(trace_of_square, square_of_trace / sample.n_features)
    gain = float((sample.variances**2).sum()) / trace_of_square
    return math.log(square_of_trace / trace_of_square), gain


# Its error ------------------------------------------------------------------------------------------------------------


def mean_variance(influence: Array, n: int, groups: NDArray[np.integer[Any]] | None = None) -> tuple[float, int]:
    """Variance of the mean influence over all n rows, and its degrees of freedom; rows of a group count together.

    `influence`: of the rows scored, (≤ n,); `groups`: of each of them, from 0; None where all are independent.
    """
    if groups is None:
        return float(influence.var(ddof=1)) / n, _degrees(influence)
    sums: Array = np.bincount(groups, influence).astype(np.float64)
    # Groups, not rows, are the independent draws. With one group no spread is known; the correction then stays finite, and
    # too few groups leave no interval anyway.
    correction = len(sums) / max(1, len(sums) - 1)
    # As many rows may have been scored as were sampled: len(influence) of n.
    return float((sums**2).sum()) * correction / (len(influence) * n), _degrees(sums)


def n_draws(influence: Array, groups: NDArray[np.integer[Any]] | None) -> int:
    """How many of the rows scored, or groups of them, are independent draws."""
    if groups is None:
        return len(influence)
    return int(groups.max()) + 1


def rests_on_few_rows(degrees: float, n: int) -> str:
    """Say why an error with these degrees of freedom is not known; '' where it is. `n`: rows, or groups of them.

    Rows of networks reach several times √n degrees, tails that a few rows carry a third of it, at 256 to 2,048 rows.
    """
    if degrees >= n**0.5:
        return ""
    return f"its error rests on about {max(1, int(degrees))} of {n:,} rows"


def _degrees(sums: Array) -> int:
    """Degrees of freedom of a variance: those of normal values with as uncertain a variance (Satterthwaite 1946).

    The variance of s² is (kurtosis − 1) σ⁴ / n, and that of normal values 2 σ⁴ / degrees.
    """
    squares = (sums - sums.mean()) ** 2
    if len(sums) < 2 or not squares.any():
        return len(sums) - 1
    kurtosis = float((squares**2).mean() / squares.mean() ** 2)
    return max(1, min(len(sums) - 1, int(2 * len(sums) / max(kurtosis - 1, 1e-9))))


def counted_once(variance: float, beyond: float) -> float:
    """Leaving a row out shows twice what is of second order in the rows (Efron & Stein 1981)."""
    return max(variance - beyond, beyond)


def second_order(f: Functional, behind: Population, weights: RowWeights, n: int) -> float:
    """Variance of the part of ln measure that is of second order in the rows (Hoeffding 1948)."""
    # A step of 1e-4 of a variance: its square, the error of a central difference, is far below what an error needs.
    v, counts, step = behind.variances, behind.counts, 1e-4
    below, slope, above = (f.slope(v, counts, v * factor) for factor in (1 - step, 1, 1 + step))
    # Two directions of variances a and b turn into each other with (slope(a) − slope(b)) / (a − b), which is the slope's
    # own derivative where they are equal (Daleckii & Krein 1965).
    apart = v[:, None] - v
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = np.where(apart == 0, ((above - below) / (2 * step * v))[:, None], (slope[:, None] - slope) / apart)
    # The participation ratio: so many directions share the variance.
    used = float((counts @ v) ** 2 / (counts @ v**2))
    free = (used - 1) * (used + 2) / used**2  # without the scale, which no measure feels; exact for flat spectra
    return max(0.0, free) * float(counts @ (bent * v[:, None] * v) ** 2 @ counts) * (weights.mean_square / n) ** 2


# What the reader must know --------------------------------------------------------------------------------------------


def _reasons_against_an_interval(sample: Sample, f: Functional) -> list[str]:
    """Say why no interval is known to hold; nothing where one is."""
    n, d, independent = sample.n, sample.most, sample.independent
    # Kish's effective number: so many rows of equal weight would say as much.
    evenly_weighing = n / sample.fit.weights.mean_square
    n_clusters, clusters = n, "rows"
    if sample.groups is not None:
        n_clusters, clusters = int(sample.groups.max()) + 1, "groups"
    reasons = []
    # Five rows in a hundred may be missing: at 2 rows a feature, one row that repeats must not take the interval away.
    if f.known == math.inf:
        reasons.append("none is known for this measure")
    elif independent < 0.95 * f.known * d:
        reasons.append(f"{independent / d:.2g} independent rows per feature, and it holds from {f.known:g}")
    elif evenly_weighing < f.known * d / 4:  # measures stand rows four times as uneven
        reasons.append(f"rows weigh so unevenly that {n:,} say no more than {evenly_weighing:,.0f}")
    if n_clusters < FEWEST_FOR_INTERVAL:
        reasons.append(f"{n_clusters} {clusters}, and it needs {FEWEST_FOR_INTERVAL}")
    if sample.groups is not None and sample.scores.leverages.max() > _LARGEST_LEVERAGE:
        reasons.append("single groups decide directions")
    if _one_row_rules(sample):
        reasons.append("one row holds more than a quarter of the variance")
    return reasons


def _one_row_rules(sample: Sample) -> bool:
    """Say whether one row holds more than a quarter of the variance."""
    # Squares have mean one, so a row's share of the variance is its square over n.
    return bool(sample.scores.squares.max() > 2.5 * HEAVY_ROW * sample.n)


def _notes(sample: Sample) -> tuple[str, ...]:
    """Say what the value rests on."""
    notes = []
    if sample.n <= sample.most:
        notes.append(
            f"{sample.n:,} rows for {sample.most:,} features: the value rests on the model of Gaussian-like rows"
        )
    heaviest = int(sample.scores.squares.argmax())
    share = float(sample.scores.squares[heaviest]) / sample.n
    # Of few rows each holds a large share; twenty times an even one is unusual at any number of rows.
    if share > max(HEAVY_ROW, 20 / sample.n):
        row = heaviest
        if sample.rows is not None:
            row = int(sample.rows[heaviest])
        notes.append(f"row {row} holds {share:.0%} of the variance")
    return tuple(notes)
