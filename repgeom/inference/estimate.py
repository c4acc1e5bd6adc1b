"""How large is a measure in the population, and how sure is that?

The value: sample variances are turned into those of the population that would show them (`population`), and the measure is
read from those. The interval: the spread of the rows' influence on the measure (`scores`), over √n. Two passes over the rows.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from repgeom.data import files
from repgeom.data.arrays import as_features, check_normalize, give_back, shape_of
from repgeom.data.sources import Source, source_of
from repgeom.inference.influence import Scores, in_sample, score
from repgeom.inference.intervals import check_confidence, quantile
from repgeom.inference.population import EVEN, Population, RowWeights, binned, drawn_in, population, standing_alone
from repgeom.measures import rank
from repgeom.measures.functionals import Array, Functional
from repgeom.measures.measure import estimable, functional
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.reading.sample import Drawn, RowSample
from repgeom.reading.tally import Tallies
from repgeom.spectral.decompose import made_exact
from repgeom.spectral.directions import Directions, directions_in, directions_of
from repgeom.spectral.tally import SpectrumTally, Wanted

FEWEST_ROWS = 4  # below, fourth moments have no unbiased estimate
FEWEST_FOR_INTERVAL = 100  # below, spreads of influences are too uncertain, also for two or three features
HEAVY_ROW = 0.1  # share of all variance in one row of which the reader should know
MOST_REPEATS = 0.01  # share of rows that may repeat earlier ones before one must say whether they are copies
_LARGEST_LEVERAGE = 0.9  # of a group on all directions; beyond it, leaving the group out is no longer worked out well
_GROUP_ROWS = 8192  # rows from which the correlation within groups is read
_LARGEST_ERROR = 0.25  # of a logarithm, beyond which an interval says nothing
FINENESS = 1e-4  # of a value: what the grid of variances can move
_ENDLESS = 10**12  # rows: no correction

Codes = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What `estimate` returns.

    Attributes:
        value: the measure in the population, corrected for the number of samples.
        naive: the measure of the sample itself.
        low, high: two-sided interval for the population's value; None where none is known to hold.
        se: standard error of `value`; None with the interval.
        n: rows.
        method: how the value was corrected.
        warnings: what a reader must know: why there is no interval, what the correction rests on.
    """

    value: float
    naive: float
    low: float | None
    high: float | None
    se: float | None
    n: int
    method: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        ends = (
            "no interval"
            if self.low is None or self.high is None
            else f"95 % interval {self.low:.4g} to {self.high:.4g}"
        )
        return f"{self.value:.4g} ({ends}; these {self.n:,} rows alone read {self.naive:.4g})"


def estimate(
    features: Any,
    measure: str | Callable[..., Any] = "effective_rank",
    *,
    center: bool = True,
    normalize: str | None = None,
    groups: Any = None,
    confidence: float = 0.95,
) -> Estimate:
    """A measure of the spectrum as it is in the population, with an interval: not what these few rows happen to read.

    Value: the spectrum of the population is found whose samples would show this one (Marchenko & Pastur 1967, inverted as
    by El Karoui 2008), with rows that weigh unevenly where the fourth moment says so. `participation_ratio` is a ratio of
    unbiased sums (Himeno & Yamada 2014). Interval: each row's influence with that row left out; its spread over √n, less
    what is of second order in the rows (Efron & Stein 1981), on the scale of the logarithm.

    Assumes independent rows of one law. Frames of one video or tokens of one text are not independent: say so with
    `groups`. Rows that repeat exactly may be copies or, in discrete features, just alike: only `groups` can say which, and without
    it more than 1 % of them leave no interval. In simulations (studies/estimates.md) the effective rank's mean error is below
    2 % from one row per feature and below 10 % at half a row per feature for Gaussian rows. Intervals are given from 100 rows
    and two rows per feature (participation ratio: four; stable rank: four, and where the leading variance stands clear of the
    next; n_components: never), and not where single rows or groups decide the result. Heavy tails are taken to be those of
    whole rows, as of a multivariate t; outliers along one direction alone push the value up, by as much as 20 % at two rows
    per feature.

    Args:
        features: (n_samples, n_features) of any array kind on any device, at least 4 rows; or the path of a file (see
            `open_source`), which is read twice and never held whole.
        measure: "effective_rank", "effective_rank_sigma" (σ-entropy; with `center=False` that is RankMe without its ε),
            "participation_ratio", "stable_rank" or "n_components_90" (any two digits); or the function, with what it does
            unless told otherwise: `repgeom.effective_rank`, and `repgeom.n_components` for 90 %.
        center: subtract the mean row first.
        normalize: "l2" scales rows to unit length before centring.
        groups: (n_samples,) whole numbers or text, or the path of a file of them: rows of one group depend on each other. Their likeness is measured (mean
            product within a group over mean square) and taken to be the same along all directions; both correction and
            interval count such rows for less. `range(n)` says that all rows are independent, also those that repeat.
        confidence: of the interval, in (0, 1).

    Returns:
        `Estimate(value, naive, low, high, se, n, method, warnings)`, in dimensions, between 1 and n_features.

    Raises:
        ValueError: an unknown measure, fewer than 4 rows, no variance, NaN or infinity, groups of another length.
        TypeError: as `effective_rank`.

    Two rows per feature of a flat spectrum read 78 of 100 dimensions; the population has 100:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((200, 100))
    >>> e = estimate(x)
    >>> round(e.naive), round(e.value), round(e.high)
    (78, 100, 100)
    """
    check_confidence(confidence)
    check_normalize(normalize)
    wanted = estimable(measure).name
    source = opened(features)
    sample = sample_of(source, [wanted], center=center, normalize=normalize, groups=groups)
    return estimate_of(sample, wanted, confidence)


def influence(
    features: Any,
    measure: str | Callable[..., Any] = "effective_rank",
    *,
    center: bool = True,
    normalize: str | None = None,
) -> Any:
    """How much each sample adds to a measure: (n_samples,) values, mean zero.

    The influence function of the sample's own measure, Σ_j g_j (u_jᵀ(x − x̄))² with g_j = d measure / d λ_j. Leaving out row
    i moves the measure by about −influence[i] / (n − 1), less so where one row or few samples weigh much. Large values are rows that alone make a representation look wide
    or narrow.

    Args:
        features: as `estimate`.
        measure, center, normalize: as `estimate`.

    Returns:
        (n_samples,) float64, in dimensions: a tensor for a tensor, else a NumPy array.

    Raises:
        ValueError, TypeError: as `effective_rank`; ValueError for an unknown measure.

    >>> influence([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]], "participation_ratio").round(2) + 0.0
    array([-0.62, -0.62,  0.62,  0.62])
    """
    check_normalize(normalize)
    record, f = estimable(measure), functional(measure)
    source = opened(features)
    directions = directions_of(source, center=center, normalize=normalize, tail=f.tail)
    rank.effective_rank(directions.spectrum)
    value = record.value(directions.spectrum)
    assert value is not None
    values = value * in_sample(directions, source, record.name)
    found = torch.as_tensor(values, device=directions.vectors.device)
    return found if isinstance(features, torch.Tensor) else give_back(None)(found)


# What is known of one set of rows -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fit:
    """How rows weigh, the population behind a sample, and the sample's own variances fitted the same way.

    The last takes out of a measure what the grid does to it.
    """

    weights: RowWeights
    found: Population
    plain: Population


@dataclasses.dataclass(frozen=True)
class Sample:
    """All that estimates of one set of features are read from: directions, and a few numbers for each row scored."""

    directions: Directions
    scores: Scores
    groups: Codes | None  # of rows that belong together, from 0; None where all are independent
    correlation: float  # of rows within a group
    rows: Codes | None = None  # which rows were scored; None for all
    told: bool = False  # whether the user said which rows depend on each other

    @property
    def n(self) -> int:
        return self.directions.spectrum.n_samples or 0

    @property
    def n_features(self) -> int:
        return self.directions.spectrum.n_features

    @property
    def variances(self) -> Array:
        """Sample variances that are more than rounding, descending."""
        return self.directions.variances[: self.directions.moving]

    @functools.cached_property
    def fit(self) -> Fit:
        weights, freedom = row_weights(self), self.directions.freedom
        alone = standing_alone(self.variances, freedom, weights, self.scores.one_row)
        found = population(self.variances, self.n_features, freedom, weights, alone)
        plain = population(self.variances, self.n_features, _ENDLESS, EVEN, self.variances[: len(alone)])
        return Fit(weights, found, plain)

    @functools.cached_property
    def independent(self) -> float:
        """As how many independent rows these rows count for their groups."""
        if self.groups is None:
            return float(self.n)
        return self.n / float((_group_weights(self.groups, self.correlation) ** 2).mean())

    @functools.cached_property
    def repeats(self) -> int:
        """How many of the rows scored equal an earlier one."""
        ordered = np.sort(self.scores.fingerprints)
        return int((ordered[1:] == ordered[:-1]).sum())

    @property
    def most(self) -> int:
        """The largest rank that the population can have: what varies here, where that is less than rows and features allow."""
        moving = self.directions.moving
        return moving if moving < min(self.directions.freedom, self.n_features) else self.n_features

    @property
    def naive(self) -> tuple[Array, Array]:
        """The sample's own variances, one direction of each."""
        return self.variances, np.ones(len(self.variances))


def opened(features: Any, name: str = "features") -> Source:
    """Features as a source: rows in memory stay on their device, rows of a file are read piece by piece."""
    if isinstance(features, (str, os.PathLike)):
        features = files.open_source(features)
    if isinstance(features, Source):
        return features
    x = as_features(features, name).detach()
    if x.ndim != 2:
        raise ValueError(
            f"`{name}` must be one array of n_samples x n_features, got shape {shape_of(x)}. Call once per layer."
        )
    return source_of(x, name)


def sample_of(source: Source, measures: Sequence[str], *, center: bool, normalize: str | None, groups: Any) -> Sample:
    """What estimates are read from, in two passes over the rows: their directions, then what each row adds."""
    n = source.n_samples
    if n < FEWEST_ROWS:
        raise ValueError(
            f"`{source.name}` has {n} rows and an estimate of the population needs at least {FEWEST_ROWS}. The measure of "
            f"these rows alone is what `{measures[0]}` reads."
        )
    codes = None if groups is None else files.labels_of(groups, n, "groups")[0]
    tail = any(functional(measure).tail for measure in measures)
    alike = None if codes is None else RowSample(_GROUP_ROWS, 0, whole_groups=True)
    tally = SpectrumTally({"spectrum": Wanted(normalize, (center,))}, tail=tail, n=n, vectors=center, name=source.name)
    tallies = Tallies({"spectrum": tally, "alike": alike})
    rows = PairedRows(source, groups=codes)
    tallies = read(rows, tallies)
    spectra: SpectrumTally = tallies["spectrum"]
    made_exact(rows, spectra, source.name)
    directions = directions_in(spectra.read("spectrum", center=center, vectors=True))
    rank.effective_rank(directions.spectrum)  # refuses rows that are all equal
    correlation = 0.0 if codes is None else group_correlation(tallies["alike"].drawn(), directions)
    return scored(directions, source, measures, codes, correlation)


def scored(
    directions: Directions,
    source: Source,
    measures: Sequence[str],
    codes: Codes | None = None,
    correlation: float = 0.0,
) -> Sample:
    """What each row of the source adds to the measures. Reads the rows once.

    `codes`: groups of rows, from 0; one row each says that all are independent. `correlation`: how alike rows of one are.
    """
    several = codes is not None and int(codes.max()) + 1 < len(codes)
    copies = None
    if codes is not None and several:
        copies = np.asarray(1 + (np.bincount(codes)[codes] - 1) * correlation, np.float64)
    scores = score(directions, source, tuple(measures), copies)
    return Sample(directions, scores, codes if several else None, correlation, told=codes is not None)


def group_correlation(drawn: Drawn, directions: Directions, kind: str = "rows") -> float:
    """How alike rows of one group are, 0 as strangers to 1 the same: mean xᵢᵀxⱼ within groups over mean xᵢᵀxᵢ.

    `drawn`: whole groups of rows; `kind`: which of their columns. Groups of one row say nothing of it.
    """
    codes = np.unique(drawn.column("groups"), return_inverse=True)[1]
    several = np.bincount(codes)[codes] > 1
    if not several.any():
        return 0.0
    rows = drawn.column(kind)
    rows = directions.centred(rows[torch.from_numpy(several).to(rows.device)])
    place = torch.as_tensor(np.unique(codes[several], return_inverse=True)[1], device=rows.device)
    sums = rows.new_zeros((int(place.max()) + 1, rows.shape[1])).index_add_(0, place, rows)
    own = rows.new_zeros(len(sums)).index_add_(0, place, rows.square().sum(1))
    alike = float((sums.square().sum(1) - own).sum())
    most = float((own * (torch.bincount(place) - 1)).sum())
    return min(1.0, max(0.0, alike / most)) if most > 0 else 0.0


def row_weights(sample: Sample) -> RowWeights:
    """How unevenly rows weigh: by heavy tails, and by groups, of which m alike rows are one that weighs m."""
    weights = drawn_in(sample.scores.squares, _kurtosis(sample))
    if sample.groups is None:
        return binned(weights)
    mean = np.bincount(sample.groups, weights) / np.bincount(sample.groups)
    return binned(mean[sample.groups] * _group_weights(sample.groups, sample.correlation))


def _group_weights(groups: Codes, correlation: float) -> Array:
    """Eigenvalues of the rows' correlation, of which each group of m has one of 1 + (m − 1) ρ and m − 1 of 1 − ρ; (n,)."""
    found = np.full(len(groups), 1 - correlation)
    found[np.unique(groups, return_index=True)[1]] = 1 + (np.bincount(groups) - 1) * correlation
    return found


def _sums(sample: Sample) -> tuple[float, float, float]:
    """Unbiased (tr Σ)² and tr Σ² (Himeno & Yamada 2014), and Q = Σ‖x − x̄‖⁴ / (n − 1)."""
    n, variances = sample.n, sample.variances
    total, squares = float(variances.sum()), float((variances**2).sum())
    q = float((sample.scores.squares**2).mean()) * total**2 * (n - 1) / n
    scale = (n - 1) / (n * (n - 2) * (n - 3))
    trace_of_square = scale * ((n - 1) * (n - 2) * squares + total**2 - n * q)
    return scale * (2 * squares + (n * n - 3 * n + 1) * total**2 - n * q), trace_of_square, q


def _kurtosis(sample: Sample) -> float:
    """Fourth moment of the rows' lengths over that of Gaussian rows, minus one."""
    square_of_trace, trace_of_square, q = _sums(sample)
    gaussian = square_of_trace + 2 * trace_of_square
    return q / gaussian - 1 if gaussian > 0 else 0.0


# One measure ----------------------------------------------------------------------------------------------------------


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
    """The measure of this name, which `sample` was scored for."""
    f, fit = functional(measure), sample.fit
    added, reasons = sample.scores.influence[measure], _reasons(sample, f)
    if _one_row_rules(sample):  # of which no model of the rows knows
        log, method = f.log(*sample.naive), "not corrected"
    elif measure == "participation_ratio" and sample.groups is None:
        log, gain = _unbiased_participation(sample)
        added, method = added * gain, "unbiased sums"
    elif measure == "stable_rank" and fit.found.alone:
        log = math.log(sample.variances.sum() / fit.found.variances[-fit.found.alone])
        method = "leading variance less the pull of the others"
    else:
        log, method = _inverted(f, sample), "Marchenko-Pastur inversion"
        if measure == "stable_rank" and sample.most > 1:
            reasons.append("the leading variance does not stand clear of the next")
    log, notes = min(max(log, 0.0), math.log(sample.most)), _notes(sample)
    variance, degrees = (0.0, sample.n - 1) if sample.most == 1 else mean_variance(added, sample)
    beyond = 0.0 if f.single else second_order(f, fit.found, fit.weights, sample.n)
    doubt = f.doubt * sample.n_features / sample.independent
    error = math.hypot(counted_once(variance, beyond) ** 0.5, FINENESS, doubt)
    if error > _LARGEST_ERROR:
        reasons.append(f"its standard error would be {error:.0%}")
    if reasons:
        return Corrected(log, added, None, 0.0, 0, method, (*notes, "no interval: " + "; ".join(reasons)))
    return Corrected(log, added, error, beyond, degrees, method, notes)


def counted_once(variance: float, beyond: float) -> float:
    """Leaving a row out shows twice what is of second order in the rows (Efron & Stein 1981)."""
    return max(variance - beyond, beyond)


def estimate_of(sample: Sample, measure: str, confidence: float) -> Estimate:
    """The measure as a user reads it."""
    return shown(corrected(sample, measure), sample, measure, confidence)


def shown(c: Corrected, sample: Sample, measure: str, confidence: float) -> Estimate:
    """The same of a measure that has been corrected already."""
    value = min(math.exp(c.log), float(sample.most))
    if measure.startswith("n_components"):
        value = float(math.ceil(value - 1e-6))
    naive = estimable(measure).value(sample.directions.spectrum)
    assert naive is not None
    if c.error is None:
        return Estimate(value, naive, None, None, None, sample.n, c.method, c.warnings)
    half = quantile(confidence, c.degrees) * c.error
    low, high = max(1.0, value * math.exp(-half)), min(float(sample.most), value * math.exp(half))
    return Estimate(value, naive, low, high, value * c.error, sample.n, c.method, c.warnings)


def _inverted(f: Functional, sample: Sample) -> float:
    """The sample's own value, moved by what lies between the sample's variances and the population's."""
    found, plain = sample.fit.found, sample.fit.plain
    moved = f.log(found.variances, found.counts) - f.log(plain.variances, plain.counts)
    bend = f.bend(found.variances, found.counts, found.alone)
    return f.log(*sample.naive) + moved - sample.fit.weights.mean_square * bend / sample.n


def _unbiased_participation(sample: Sample) -> tuple[float, float]:
    """ln of the ratio of unbiased sums, and by how much the rows' influence on it exceeds that on the sample's own."""
    square_of_trace, trace_of_square, _ = _sums(sample)
    square_of_trace = max(square_of_trace, np.finfo(float).tiny)
    trace_of_square = max(trace_of_square, square_of_trace / sample.n_features)  # Cauchy and Schwarz
    return math.log(square_of_trace / trace_of_square), float((sample.variances**2).sum()) / trace_of_square


class Grouped(Protocol):
    """Rows, of which some may belong together."""

    @property
    def n(self) -> int: ...

    @property
    def groups(self) -> NDArray[np.integer[Any]] | None: ...


def mean_variance(added: Array, sample: Grouped) -> tuple[float, int]:
    """Variance of the mean of these over all rows, and its degrees of freedom; rows of a group count together."""
    if sample.groups is None:
        return float(added.var(ddof=1)) / sample.n, len(added) - 1
    sums = np.bincount(sample.groups, added)
    correction = len(sums) / max(1, len(sums) - 1)
    return float((sums**2).sum()) * correction / (len(added) * sample.n), len(sums) - 1


def second_order(f: Functional, found: Population, weights: RowWeights, n: int) -> float:
    """Variance of the part of ln measure that is of second order in the rows (Hoeffding 1948)."""
    v, counts, step = found.variances, found.counts, 1e-4
    below, slope, above = (f.slope(v, counts, v * factor) for factor in (1 - step, 1, 1 + step))
    apart = v[:, None] - v
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = np.where(apart == 0, ((above - below) / (2 * step * v))[:, None], (slope[:, None] - slope) / apart)
    used = float((counts @ v) ** 2 / (counts @ v**2))
    free = (used - 1) * (used + 2) / used**2  # without the scale, which no measure feels; exact for flat spectra
    return max(0.0, free) * float(counts @ (bent * v[:, None] * v) ** 2 @ counts) * (weights.mean_square / n) ** 2


def _reasons(sample: Sample, f: Functional) -> list[str]:
    """Why no interval is known to hold."""
    n, d, rows, even = sample.n, sample.n_features, sample.independent, sample.n / sample.fit.weights.mean_square
    clusters, what = (n, "rows") if sample.groups is None else (int(sample.groups.max()) + 1, "groups")
    found = []
    if f.known == math.inf:
        found.append("none is known for this measure")
    elif rows < f.known * d:
        found.append(f"{rows / d:.2g} independent rows per feature, and it holds from {f.known:g}")
    elif even < f.known * d * (1.0 if f.tails else 0.25):
        found.append(f"rows weigh so unevenly that {n:,} say no more than {even:,.0f}")
    if clusters < FEWEST_FOR_INTERVAL:
        found.append(f"{clusters} {what}, and it needs {FEWEST_FOR_INTERVAL}")
    if sample.scores.leverage > _LARGEST_LEVERAGE:
        found.append("single groups decide directions")
    if _one_row_rules(sample):
        found.append("one row holds more than a quarter of the variance")
    if not sample.told and sample.repeats > MOST_REPEATS * len(sample.scores.fingerprints):
        found.append(
            "rows repeat: give `groups`, with the copies of a row as one group, or one group a row if they are none"
        )
    return found


def _one_row_rules(sample: Sample) -> bool:
    return bool(sample.scores.squares.max() > 2.5 * HEAVY_ROW * sample.n)


def _notes(sample: Sample) -> tuple[str, ...]:
    found = []
    if sample.n <= sample.n_features:
        found.append(
            f"{sample.n:,} rows for {sample.n_features:,} features: the value rests on the model of Gaussian-like rows"
        )
    heaviest = int(sample.scores.squares.argmax())
    share = float(sample.scores.squares[heaviest]) / sample.n
    if share > max(HEAVY_ROW, 20 / sample.n):
        row = heaviest if sample.rows is None else int(sample.rows[heaviest])
        found.append(f"row {row} holds {share:.0%} of the variance")
    if sample.repeats and not sample.told:
        found.append(f"{sample.repeats:,} rows repeat earlier ones and are taken for independent")
    return tuple(found)
