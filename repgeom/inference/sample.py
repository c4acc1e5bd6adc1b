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

from repgeom.data import files
from repgeom.data.arrays import as_features, shape_of
from repgeom.data.sources import Source, source_of
from repgeom.inference.influence import Scores, score
from repgeom.inference.population import EVEN, Population, RowWeights, binned, drawn_in, population, standing_alone
from repgeom.measures import rank
from repgeom.measures.functionals import Array
from repgeom.measures.measure import functional
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.reading.sample import Drawn, RowSample
from repgeom.reading.tally import Tallies
from repgeom.spectral.decompose import made_exact
from repgeom.spectral.directions import Directions, directions_in
from repgeom.spectral.tally import SpectrumTally, Wanted

FEWEST_ROWS = 4  # below, fourth moments have no unbiased estimate
_GROUP_ROWS = 8192  # rows from which the correlation within groups is read
_ENDLESS = 10**12  # rows, of which the sample's variances are those of the population: no correction

Codes = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A population fitted to a sample.

    Attributes:
        weights: how unevenly the rows weigh.
        corrected: the population whose samples would show these variances.
        plain: the same grid of variances fitted without any correction. The difference between a measure of `corrected` and of
            `plain` is the correction alone: what the grid does to the measure is in both, and cancels.
    """

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
    def fit(self) -> Fit:
        """The population behind these rows; measures of one sample share it, as it takes longest."""
        weights, freedom = row_weights(self), self.directions.freedom
        alone = standing_alone(self.variances, freedom, weights, self.scores.one_row)
        behind = population(self.variances, self.n_features, freedom, weights, alone)
        plain = population(self.variances, self.n_features, _ENDLESS, EVEN, self.variances[: len(alone)])
        return Fit(weights, behind, plain)

    @functools.cached_property
    def independent(self) -> float:
        """The number of independent rows that would say as much as these rows in their groups."""
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
        if moving < min(self.directions.freedom, self.n_features):
            return moving
        return self.n_features

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
    codes, group_rows = None, None
    if groups is not None:
        codes = files.labels_of(groups, n, "groups")[0]
        # Pairs within a group say how alike they are, so a group is drawn whole or not at all.
        group_rows = RowSample(_GROUP_ROWS, 0, whole_groups=True)
    tail = any(functional(measure).tail for measure in measures)
    spectrum_tally = SpectrumTally(
        {"spectrum": Wanted(normalize, (center,))}, tail=tail, n=n, vectors=center, name=source.name
    )
    rows = PairedRows(source, groups=codes)
    tallies = read(rows, Tallies({"spectrum": spectrum_tally, "group_rows": group_rows}))
    spectra: SpectrumTally = tallies["spectrum"]
    made_exact(rows, spectra, source.name)
    directions = directions_in(spectra.read("spectrum", center=center, vectors=True))
    rank.effective_rank(directions.spectrum)  # refuses rows that are all equal
    correlation = 0.0
    if codes is not None:
        correlation = group_correlation(tallies["group_rows"].drawn(), directions)
    return scored(directions, source, measures, codes, correlation)


def scored(
    directions: Directions,
    source: Source,
    measures: Sequence[str],
    codes: Codes | None = None,
    correlation: float = 0.0,
) -> Sample:
    """Score each row of the source: what it adds to the measures. Reads the rows once.

    `codes`: groups of rows, from 0; one row each says that all are independent. `correlation`: how alike rows of one are.
    """
    if codes is None:
        return Sample(directions, score(directions, source, tuple(measures)), None, correlation)
    if int(codes.max()) + 1 >= len(codes):  # one row a group: the user says that none depends on another
        return Sample(directions, score(directions, source, tuple(measures)), None, correlation, told=True)
    # A row of a group of m counts as 1 + (m − 1) ρ copies of itself: strangers (ρ = 0) as one, equal rows as m.
    copies = np.asarray(1 + (np.bincount(codes)[codes] - 1) * correlation, np.float64)
    scores = score(directions, source, tuple(measures), copies)
    return Sample(directions, scores, codes, correlation, told=True)


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


def row_weights(sample: Sample) -> RowWeights:
    """How unevenly rows weigh: by heavy tails, and by groups, of which m alike rows are one that weighs m."""
    weights = drawn_in(sample.scores.squares, _excess_kurtosis(sample))
    if sample.groups is None:
        return binned(weights)
    mean = np.bincount(sample.groups, weights) / np.bincount(sample.groups)
    return binned(mean[sample.groups] * _group_weights(sample.groups, sample.correlation))


def _group_weights(groups: Codes, correlation: float) -> Array:
    """Eigenvalues (n,) of the rows' correlation matrix: a group of m has one of 1 + (m − 1) ρ and m − 1 of 1 − ρ."""
    # Which row of a group gets which eigenvalue does not matter: only their distribution is read.
    eigenvalues = np.full(len(groups), 1 - correlation)
    first_rows = np.unique(groups, return_index=True)[1]
    eigenvalues[first_rows] = 1 + (np.bincount(groups) - 1) * correlation
    return eigenvalues


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


def _excess_kurtosis(sample: Sample) -> float:
    """Fourth moment of the rows' lengths over that of Gaussian rows, minus one."""
    square_of_trace, trace_of_square, q = unbiased_traces(sample)
    gaussian = square_of_trace + 2 * trace_of_square  # E‖x‖⁴ of Gaussian rows with this covariance
    if gaussian <= 0:  # few rows: unbiased estimates of a positive number may come out negative
        return 0.0
    return q / gaussian - 1
