"""What is one measure in the population, how far may that be off, and what must the reader know?

Everything here is on the scale of the logarithm, where errors of ranks are closer to symmetric. The value moves from the
sample's own by what lies between the sample's variances and the population's. The error is the spread of the rows' influence.
Where simulations do not vouch for it, there is none, and the reasons are said.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from repgeom.inference.population import Population, RowWeights
from repgeom.inference.sample import Sample, unbiased_traces
from repgeom.measures.functionals import Array, Functional
from repgeom.measures.measure import functional

FEWEST_FOR_INTERVAL = 100  # below, spreads of influences are too uncertain, also for two or three features
HEAVY_ROW = 0.1  # share of all variance in one row of which the reader should know
MOST_REPEATS = 0.01  # share of rows that may repeat earlier ones before one must say whether they are copies
FINENESS = 1e-4  # of a value: what the grid of variances can move
_LARGEST_LEVERAGE = 0.9  # of a group on all directions; beyond it, leaving the group out is no longer worked out well
_LARGEST_ERROR = 0.25  # of a logarithm, beyond which an interval says nothing


@dataclasses.dataclass(frozen=True)
class Corrected:
    """ln of a measure in the population, what each row scored adds to it, and the standard error.

    `beyond` is the variance of what is of second order in the rows, `degrees` the degrees of freedom of the error. `error`
    is None where no interval is known to hold; `warnings` then says why.
    """

    log: float
    influence: Array
    error: float | None
    beyond: float
    degrees: int
    method: str
    warnings: tuple[str, ...]


def corrected(sample: Sample, measure: str) -> Corrected:
    """Correct one of the measures that the sample was scored for."""
    f, fit = functional(measure), sample.fit
    influence = sample.scores.influence[measure]
    reasons = _reasons_against_an_interval(sample, f)
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
        log, method = _inverted(f, sample), "Marchenko-Pastur inversion"
        if measure == "stable_rank" and sample.most > 1:
            reasons.append("the leading variance does not stand clear of the next")
    # A rank is at least one, and at most the number of directions that can vary.
    log = min(max(log, 0.0), math.log(sample.most))
    notes = _notes(sample)
    variance, degrees = 0.0, sample.n - 1
    if sample.most > 1:  # where one direction varies, the rank is one whatever the rows
        variance, degrees = mean_variance(influence, sample)
    beyond = 0.0
    if not f.single:
        beyond = second_order(f, fit.corrected, fit.weights, sample.n)
    doubt = f.doubt * sample.n_features / sample.independent
    # The draw of the rows, the grid and the model err for reasons of their own, so their squares add up.
    error = math.hypot(counted_once(variance, beyond) ** 0.5, FINENESS, doubt)
    if error > _LARGEST_ERROR:
        reasons.append(f"its standard error would be {error:.0%}")
    if reasons:
        return Corrected(log, influence, None, 0.0, 0, method, (*notes, "no interval: " + "; ".join(reasons)))
    return Corrected(log, influence, error, beyond, degrees, method, notes)


# The value ------------------------------------------------------------------------------------------------------------


def _inverted(f: Functional, sample: Sample) -> float:
    """The sample's own value, moved by what lies between the sample's variances and the population's."""
    behind, plain = sample.fit.corrected, sample.fit.plain
    # Both stand on the same grid, whose own error cancels in the difference.
    shift = f.log(behind.variances, behind.counts) - f.log(plain.variances, plain.counts)
    bend = f.bend(behind.variances, behind.counts, behind.alone)
    # Real Gaussian rows shift the mean by `bend` / n beyond the inversion; rows that weigh unevenly count as fewer.
    return f.log(*sample.naive) + shift - sample.fit.weights.mean_square * bend / sample.n


def _unbiased_participation(sample: Sample) -> tuple[float, float]:
    """ln of the ratio of unbiased sums, and by how much the rows' influence on it exceeds that on the sample's own."""
    square_of_trace, trace_of_square, _ = unbiased_traces(sample)
    # Unbiased estimates of positive numbers may come out negative for few rows. Cauchy and Schwarz bound their ratio.
    square_of_trace = max(square_of_trace, np.finfo(float).tiny)
    trace_of_square = max(trace_of_square, square_of_trace / sample.n_features)
    gain = float((sample.variances**2).sum()) / trace_of_square
    return math.log(square_of_trace / trace_of_square), gain


# Its error ------------------------------------------------------------------------------------------------------------


class Grouped(Protocol):
    """Rows, of which some may belong together."""

    @property
    def n(self) -> int:
        """The number of rows."""
        ...

    @property
    def groups(self) -> NDArray[np.integer[Any]] | None:
        """The group of each row scored, from 0; None where all are independent."""
        ...


def mean_variance(influence: Array, sample: Grouped) -> tuple[float, int]:
    """Variance of the mean influence over all rows, and its degrees of freedom; rows of a group count together."""
    if sample.groups is None:
        return float(influence.var(ddof=1)) / sample.n, len(influence) - 1
    sums = np.bincount(sample.groups, influence)
    # Groups, not rows, are the independent draws, so they give the degrees of freedom. With one group there are none; the
    # correction then stays finite, and too few groups leave no interval anyway.
    correction = len(sums) / max(1, len(sums) - 1)
    # As many rows may have been scored as were sampled: len(influence) of n.
    return float((sums**2).sum()) * correction / (len(influence) * sample.n), len(sums) - 1


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
    n, d, independent = sample.n, sample.n_features, sample.independent
    # Kish's effective number: so many rows of equal weight would say as much.
    evenly_weighing = n / sample.fit.weights.mean_square
    # Measures that hardly feel heavy tails stand rows four times as uneven; the others are held to the full number.
    share_needed = 0.25
    if f.tails:
        share_needed = 1.0
    n_clusters, clusters = n, "rows"
    if sample.groups is not None:
        n_clusters, clusters = int(sample.groups.max()) + 1, "groups"
    reasons = []
    if f.known == math.inf:
        reasons.append("none is known for this measure")
    elif independent < f.known * d:
        reasons.append(f"{independent / d:.2g} independent rows per feature, and it holds from {f.known:g}")
    elif evenly_weighing < f.known * d * share_needed:
        reasons.append(f"rows weigh so unevenly that {n:,} say no more than {evenly_weighing:,.0f}")
    if n_clusters < FEWEST_FOR_INTERVAL:
        reasons.append(f"{n_clusters} {clusters}, and it needs {FEWEST_FOR_INTERVAL}")
    if sample.scores.leverage > _LARGEST_LEVERAGE:
        reasons.append("single groups decide directions")
    if _one_row_rules(sample):
        reasons.append("one row holds more than a quarter of the variance")
    if not sample.told and sample.repeats > MOST_REPEATS * len(sample.scores.fingerprints):
        reasons.append(
            "rows repeat: give `groups`, with the copies of a row as one group, or one group a row if they are none"
        )
    return reasons


def _one_row_rules(sample: Sample) -> bool:
    """Say whether one row holds more than a quarter of the variance."""
    # Squares have mean one, so a row's share of the variance is its square over n.
    return bool(sample.scores.squares.max() > 2.5 * HEAVY_ROW * sample.n)


def _notes(sample: Sample) -> tuple[str, ...]:
    """Say what the value rests on."""
    notes = []
    if sample.n <= sample.n_features:
        notes.append(
            f"{sample.n:,} rows for {sample.n_features:,} features: the value rests on the model of Gaussian-like rows"
        )
    heaviest = int(sample.scores.squares.argmax())
    share = float(sample.scores.squares[heaviest]) / sample.n
    # Of few rows each holds a large share; twenty times an even one is unusual at any number of rows.
    if share > max(HEAVY_ROW, 20 / sample.n):
        row = heaviest
        if sample.rows is not None:
            row = int(sample.rows[heaviest])
        notes.append(f"row {row} holds {share:.0%} of the variance")
    if sample.repeats and not sample.told:
        notes.append(f"{sample.repeats:,} rows repeat earlier ones and are taken for independent")
    return tuple(notes)
