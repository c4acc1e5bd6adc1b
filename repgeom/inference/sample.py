"""What is known of one set of rows: their directions, what each row adds to the measures, and which rows belong together.

Everything that is estimated is read from a `Sample`. It takes two passes over the rows: one for the directions, one for what
each row adds.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repgeom.data import files
from repgeom.data.arrays import as_features, shape_of
from repgeom.data.sources import Source, source_of
from repgeom.inference.copies import copies_of, mostly_alike
from repgeom.inference.influence import Scores, score
from repgeom.inference.population import EVEN, Population, RowWeights, population, standing_alone
from repgeom.inference.row_weights import Halves, split_in_halves, weights_of
from repgeom.measures import rank
from repgeom.measures.functionals import Array
from repgeom.measures.measure import functional
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.reading.sample import Drawn, RowSample
from repgeom.reading.tally import Tallies
from repgeom.spectral.decompose import made_exact
from repgeom.spectral.directions import Directions, directions_in, directions_of
from repgeom.spectral.tally import SpectrumTally, Wanted

FEWEST_ROWS = 4  # below, fourth moments have no unbiased estimate
_DRAWN_ROWS = 8192  # rows that are held: for the correlation within groups, and for halves
_ENDLESS = 10**12  # rows, of which the sample's variances are those of the population: no correction

Codes = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A population fitted to a sample.

    Attributes:
        variances: of the sample, descending.
        n: rows of the sample.
        weights: how unevenly the rows weigh.
        corrected: the population whose samples would show these variances.
        plain: the same grid of variances fitted without any correction. The difference between a measure of `corrected` and of
            `plain` is the correction alone: what the grid does to the measure is in both, and cancels.
    """

    variances: Array
    n: int
    weights: RowWeights
    corrected: Population
    plain: Population


@dataclasses.dataclass(frozen=True)
class Sample:
    """All that estimates of one set of features are read from: directions, and a few numbers for each row scored."""

    directions: Directions
    scores: Scores
    groups: Codes | None  # of rows that belong together, from 0; None where all are independent
    correlation: float  # of rows within a group
    halves: Halves | None  # of some of the rows scored; None for few rows
    copies: Codes  # of the rows scored: those that are copies of each other share one
    distinct: Sample | None = (
        None  # the same without copies of earlier rows; None where there are none, or too many rows
    )
    rows: Codes | None = None  # which rows were scored; None for all
    told: bool = False  # whether the user said which rows depend on each other

    @property
    def n(self) -> int:
        """The number of rows that the directions were found from."""
        return self.directions.spectrum.n_samples or 0

    @property
    def n_features(self) -> int:
        """The width of the rows."""
        return self.directions.spectrum.n_features

    @property
    def variances(self) -> Array:
        """Sample variances that are more than rounding, descending."""
        return self.directions.variances[: self.directions.moving]

    @functools.cached_property
    def weights(self) -> RowWeights:
        """How unevenly rows weigh: by heavy tails, and by groups, of which m alike rows are one that weighs m."""
        if self.halves is None:
            return EVEN
        logs, sizes = self.halves.log_weights, np.ones(len(self.halves.log_weights))
        if self.groups is not None:
            codes = self.groups[self.halves.index]
            logs = (np.bincount(codes, logs) / np.bincount(codes).clip(min=1))[codes]
            sizes = np.bincount(self.groups)[codes].astype(float)
        return weights_of(logs, excess_kurtosis(self), sizes, self.correlation)

    @functools.cached_property
    def fit(self) -> Fit:
        """The population behind these rows; measures of one sample share it, as it takes longest."""
        return self._fitted(self.variances, self.n, self.directions.freedom)

    @functools.cached_property
    def fits_of_halves(self) -> tuple[Fit, ...]:
        """The population as each half of the rows shows it; none for few rows."""
        if self.halves is None:
            return ()
        center = self.n - self.directions.freedom
        return tuple(
            self._fitted(variances, freedom + center, freedom)
            for variances, freedom in zip(self.halves.variances, self.halves.freedom, strict=True)
        )

    def _fitted(self, variances: Array, n: int, freedom: int) -> Fit:
        alone = standing_alone(variances, freedom, self.weights, self.scores.one_row)
        behind = population(variances, self.most, freedom, self.weights, alone)
        plain = population(variances, self.most, _ENDLESS, EVEN, variances[: len(alone)])
        return Fit(variances, n, self.weights, behind, plain)

    @functools.cached_property
    def independent(self) -> float:
        """The number of independent rows that would say as much as these rows in their groups."""
        if self.groups is None:
            return float(self.n)
        sizes = np.bincount(self.groups)[self.groups]
        # The mean square of the eigenvalues of the rows' correlation matrix, of which one in m is 1 + (m − 1) ρ.
        together, apart = 1 + (sizes - 1) * self.correlation, 1 - self.correlation
        return self.n / float(((together**2 + (sizes - 1) * apart**2) / sizes).mean())

    @functools.cached_property
    def repeats(self) -> int:
        """How many of the rows scored are copies of an earlier one."""
        return len(self.copies) - int(self.copies.max()) - 1

    @property
    def mostly_alike(self) -> bool:
        """Whether most rows repeat earlier ones, as in discrete features: then they are no copies, but just alike."""
        return mostly_alike(self.copies)

    @functools.cached_property
    def copies_as_groups(self) -> Sample:
        """The same rows, where rows that are copies of each other are one row."""
        return dataclasses.replace(self, groups=self.copies, correlation=1.0)

    @functools.cached_property
    def most(self) -> int:
        """The largest rank that the population can have.

        Fewer directions than rows and features allow are a bound where columns never change, and where the rank would be the
        same without any of the rows. Else more rows may bring more directions: a row that repeats is no bound.
        """
        moving, freedom = self.directions.moving, self.directions.freedom
        if moving >= self.n_features:
            return self.n_features
        live = self.directions.live_features
        if moving >= min(freedom, live) or self._rank_rests_on_single_rows():
            return max(live, moving)
        return moving

    def _rank_rests_on_single_rows(self) -> bool:
        """Say whether the rank would be smaller without one of the rows and its copies."""
        times = np.bincount(self.copies)[self.copies].astype(float)
        leverages = times * self.scores.leverages
        if self.told and self.groups is not None:
            # Scores count a row's group already.
            times = 1 + (np.bincount(self.groups)[self.groups] - 1) * self.correlation
            leverages = self.scores.leverages
        # With the mean, a row without which a direction is lost has leverage one; 1 % is for rounding.
        return bool((leverages + times / self.n).max() > 0.99)

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
    """Read what estimates need, in two passes over the rows: their directions, then what each row adds."""
    n = source.n_samples
    if n < FEWEST_ROWS:
        raise ValueError(
            f"`{source.name}` has {n} rows and an estimate of the population needs at least {FEWEST_ROWS}. The measure of "
            f"these rows alone is what `{measures[0]}` reads."
        )
    codes, drawn = None, RowSample(_DRAWN_ROWS, 0, n)
    if groups is not None:
        codes = files.labels_of(groups, n, "groups")[0]
        # Pairs within a group say how alike they are, so a group is drawn whole or not at all.
        drawn = RowSample(_DRAWN_ROWS, 0, whole_groups=True)
    tail = any(functional(measure).tail for measure in measures)
    spectrum_tally = SpectrumTally(
        {"spectrum": Wanted(normalize, (center,))}, tail=tail, n=n, vectors=center, name=source.name
    )
    rows = PairedRows(source, groups=codes)
    tallies = read(rows, Tallies({"spectrum": spectrum_tally, "drawn": drawn}))
    spectra: SpectrumTally = tallies["spectrum"]
    made_exact(rows, spectra, source.name)
    directions = directions_in(spectra.read("spectrum", center=center, vectors=True))
    rank.effective_rank(directions.spectrum)  # refuses rows that are all equal
    correlation, some_rows = 0.0, tallies["drawn"].drawn()
    if codes is not None:
        correlation = group_correlation(some_rows, directions)
    return scored(directions, source, measures, some_rows, codes, correlation)


def scored(
    directions: Directions,
    source: Source,
    measures: Sequence[str],
    some_rows: Drawn,
    codes: Codes | None = None,
    correlation: float = 0.0,
    kind: str = "rows",
) -> Sample:
    """Score each row of the source: what it adds to the measures. Reads the rows once.

    Args:
        directions: of the sample.
        source: its rows, or some of them.
        measures: names of those to be estimated.
        some_rows: rows of the source, in its numbers, that are in memory: they are split in halves.
        codes: groups of rows, from 0; one row each says that all are independent.
        correlation: how alike rows of a group are.
        kind: which column of `some_rows` holds them.
    """
    told, copies = codes is not None, None
    if codes is not None and int(codes.max()) + 1 >= len(codes):
        codes = None  # one row a group: the user says that none depends on another
    if codes is not None:
        # A row of a group of m counts as 1 + (m − 1) ρ copies of itself: strangers (ρ = 0) as one, equal rows as m.
        copies = np.asarray(1 + (np.bincount(codes)[codes] - 1) * correlation, np.float64)
    scores = score(directions, source, tuple(measures), copies)
    same = copies_of(scores.marks)
    belonging = codes
    if codes is None and not mostly_alike(same):
        belonging = same
    of_these = None if belonging is None else belonging[some_rows.places]
    halves = split_in_halves(some_rows.column(kind), directions, scores.squares[some_rows.places], of_these)
    if halves is not None:
        halves = dataclasses.replace(halves, index=some_rows.places[halves.index])
    distinct = None
    if not told and len(some_rows) == directions.spectrum.n_samples:
        distinct = _distinct(directions, some_rows.column(kind), same, measures)
    return Sample(directions, scores, codes, correlation, halves, same, distinct, told=told)


def _distinct(directions: Directions, rows: Tensor, copies: Codes, measures: Sequence[str]) -> Sample | None:
    """The sample of the rows without copies of earlier ones; None where no row is a copy, or hardly any row is not."""
    first = np.unique(copies, return_index=True)[1]
    if len(first) == len(copies) or len(first) < FEWEST_ROWS:
        return None
    kept = rows[torch.from_numpy(first).to(rows.device)]
    chosen = source_of(kept, "rows")
    spectrum = directions.spectrum
    tail = any(functional(measure).tail for measure in measures)
    found = directions_of(chosen, center=spectrum.centered, normalize=spectrum.normalize, tail=tail)
    here = Drawn(np.arange(len(first)), {"rows": kept})
    return scored(found, chosen, measures, here, np.arange(len(first)))


# How alike the rows of a group are, and how unevenly rows weigh -------------------------------------------------------


def group_correlation(drawn: Drawn, directions: Directions, kind: str = "rows") -> float:
    """How alike rows of one group are, 0 as strangers to 1 the same: mean xᵢᵀxⱼ within groups over mean xᵢᵀxᵢ.

    `drawn`: whole groups of rows; `kind`: which of their columns. Groups of one row say nothing of it.
    """
    codes = np.unique(drawn.column("groups"), return_inverse=True)[1]
    in_company = np.bincount(codes)[codes] > 1
    if not in_company.any():
        return 0.0
    rows = drawn.column(kind)
    rows = directions.centred(rows[torch.from_numpy(in_company).to(rows.device)])
    group = torch.as_tensor(np.unique(codes[in_company], return_inverse=True)[1], device=rows.device)
    # ‖Σ xᵢ‖² = Σᵢ ‖xᵢ‖² + Σ_{i≠j} xᵢᵀxⱼ, so all pairs of a group follow from its sum: linear in the rows, not quadratic.
    sums = rows.new_zeros((int(group.max()) + 1, rows.shape[1])).index_add_(0, group, rows)
    squares = rows.new_zeros(len(sums)).index_add_(0, group, rows.square().sum(1))
    products = float((sums.square().sum(1) - squares).sum())
    # A group of m has m (m − 1) ordered pairs. If its rows were all the same, they would add up to (m − 1) Σ ‖xᵢ‖².
    products_of_equal_rows = float((squares * (torch.bincount(group) - 1)).sum())
    if products_of_equal_rows <= 0:
        return 0.0
    # Negative likeness is an accident of the draw: no law of exchangeable rows in groups of any size has it.
    return min(1.0, max(0.0, products / products_of_equal_rows))


def unbiased_traces(sample: Sample) -> tuple[float, float, float]:
    """Unbiased estimates of (tr Σ)² and tr Σ² (Himeno & Yamada 2014), and Q = Σ‖x − x̄‖⁴ / (n − 1) that they need."""
    n, variances = sample.n, sample.variances
    total, squares = float(variances.sum()), float((variances**2).sum())
    q = float((sample.scores.squares**2).mean()) * total**2 * (n - 1) / n
    # Of four different rows each, hence n − 2 and n − 3 below the line and `FEWEST_ROWS`.
    scale = (n - 1) / (n * (n - 2) * (n - 3))
    square_of_trace = scale * (2 * squares + (n * n - 3 * n + 1) * total**2 - n * q)
    trace_of_square = scale * ((n - 1) * (n - 2) * squares + total**2 - n * q)
    return square_of_trace, trace_of_square, q


def excess_kurtosis(sample: Sample) -> float:
    """Fourth moment of the rows' lengths over that of Gaussian rows, minus one."""
    square_of_trace, trace_of_square, q = unbiased_traces(sample)
    gaussian = square_of_trace + 2 * trace_of_square  # E‖x‖⁴ of Gaussian rows with this covariance
    if gaussian <= 0:  # few rows: unbiased estimates of a positive number may come out negative
        return 0.0
    return q / gaussian - 1
