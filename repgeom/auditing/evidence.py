"""What an audit has seen of one set of features: all that measures and rules read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from repgeom.auditing.dominating import Dominating
from repgeom.auditing.finding import Numbered
from repgeom.auditing.near_rows import NO_NEAR_ROWS, NearRows
from repgeom.auditing.row_order import UNKNOWN_ORDER, RowOrder
from repgeom.inference.compare import Comparison, Contributions
from repgeom.inference.estimate import Estimate
from repgeom.inference.neighbours import NeighbourMean
from repgeom.inference.sample import Sample
from repgeom.measures.class_tally import ClassTally
from repgeom.measures.classes import ClassRanks
from repgeom.measures.cloud_tally import CloudTally, Health
from repgeom.measures.measure import Size
from repgeom.measures.neural_collapse import NeuralCollapse
from repgeom.measures.pair_sums import PairSums
from repgeom.robustness.measurement import Measurement
from repgeom.spectral.spectrum import Spectrum


@dataclasses.dataclass(frozen=True)
class LabelEvidence:
    """Of labels: ranks and sums of each class, rows (C,) and variance within (C,) of each class, votes of neighbours
    (None where no row has a neighbour outside of its group), what is known of their order, and how far they have collapsed
    (None where that is not defined)."""

    ranks: ClassRanks
    sums: ClassTally
    sizes: np.ndarray
    votes: NeighbourMean | None
    variances: np.ndarray
    order: RowOrder = UNKNOWN_ORDER
    collapse: NeuralCollapse | None = None


@dataclasses.dataclass(frozen=True)
class ReferenceEvidence:
    """Of features of the same samples from another model.

    Attributes:
        name: of the reference.
        spectrum: in the audit's convention.
        sample: the rows that stand beside the features' sample.
        shared_neighbours: what share of the nearest in one sample are so in the other; None where no row has a neighbour outside
            of its group.
        sums: sums over pairs of rows.
        captured: the features' share of variance in the reference's leading directions; None where the widths differ.
        own_curve: the reference's own share in them.
        angles: between the leading directions of both, in radians; None where there are too few.
        cosine: mean cosine of row i with row i; None where the widths differ.
        retained: comparison of the effective rank, reference first; None where rows are too few.
        order: what is known of the order of its rows.
    """

    name: str
    spectrum: Spectrum
    sample: Tensor
    shared_neighbours: NeighbourMean | None
    sums: PairSums
    captured: np.ndarray | None
    own_curve: np.ndarray | None
    angles: np.ndarray | None
    cosine: float | None
    retained: Comparison | None = None
    order: RowOrder = UNKNOWN_ORDER


@dataclasses.dataclass(frozen=True)
class DriftEvidence:
    """Of features of the same samples after a corruption: every measure of drift by its name, and the order of the rows."""

    name: str
    readings: Mapping[str, Measurement]
    order: RowOrder = UNKNOWN_ORDER


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything an audit has seen.

    Attributes:
        n_samples, n_features: size of the features.
        spectrum: in the audit's convention.
        raw_spectrum: not centred, not normalised: what RankMe is defined on.
        health: counts of what spoils a measure.
        cloud: sums over rows of unit length, and of lengths.
        sample: float64 rows for what needs all pairs.
        neighbours: how many nearest rows are asked.
        candidates: rows among which they are sought, on average.
        independent: as how many rows they count, where they were said to depend on each other.
        estimates: of the population, by the name of the measure.
        contributions: what each row scored adds to these, for comparisons.
        population: what estimates are read from.
        dominating: the few columns or rows that hold much of the variance.
        near: what the nearest rows of some of the sample say.
        notes: what a reader must know of how the numbers were read.
        rows, columns: which rows and columns are counted in `health`, by the name of the count; "index_columns" count the rows.
    """

    n_samples: int
    n_features: int
    spectrum: Spectrum
    raw_spectrum: Spectrum
    health: Health
    cloud: CloudTally
    sample: Tensor
    neighbours: int
    candidates: float
    independent: float | None = None
    estimates: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    labels: LabelEvidence | None = None
    reference: ReferenceEvidence | None = None
    drift: DriftEvidence | None = None
    contributions: Mapping[str, Contributions] = dataclasses.field(default_factory=dict)
    population: Sample | None = None
    dominating: tuple[Dominating, ...] = ()
    near: NearRows = NO_NEAR_ROWS
    notes: tuple[str, ...] = ()
    rows: Mapping[str, Numbered] = dataclasses.field(default_factory=dict)
    columns: Mapping[str, Numbered] = dataclasses.field(default_factory=dict)

    @property
    def size(self) -> Size:
        """What ranges and baselines depend on."""
        return Size(
            self.n_samples,
            self.n_features,
            len(self.sample),
            self.neighbours,
            None if self.reference is None else self.reference.spectrum.n_features,
            None if self.labels is None else self.labels.sizes,
            self.candidates,
        )


def _of_labels(read: Callable[[LabelEvidence], Any]) -> Callable[[Evidence], Any]:
    def found(e: Evidence) -> Any:
        if e.labels is None:
            return None
        return read(e.labels)

    return found


def _of_reference(read: Callable[[ReferenceEvidence], Any]) -> Callable[[Evidence], Any]:
    def found(e: Evidence) -> Any:
        if e.reference is None:
            return None
        return read(e.reference)

    return found


# What a measure can ask for in `needs`.
EVIDENCE: dict[str, Callable[[Evidence], Any]] = {
    "spectrum": lambda e: e.spectrum,
    "raw_spectrum": lambda e: e.raw_spectrum,
    "cloud": lambda e: e.cloud,
    "sample": lambda e: e.sample,
    "near_rows": lambda e: e.near,
    "class_ranks": _of_labels(lambda labels: labels.ranks),
    "class_sums": _of_labels(lambda labels: labels.sums),
    "class_collapse": _of_labels(lambda labels: labels.collapse),
    "votes": _of_labels(lambda labels: labels.votes),
    "reference_spectrum": _of_reference(lambda reference: reference.spectrum),
    "shared_neighbours": _of_reference(lambda reference: reference.shared_neighbours),
    "pair_sums": _of_reference(lambda reference: reference.sums),
    "captured_curve": _of_reference(lambda reference: reference.captured),
    "principal_angles": _of_reference(lambda reference: reference.angles),
    "cosine_alignment": _of_reference(lambda reference: reference.cosine),
}
