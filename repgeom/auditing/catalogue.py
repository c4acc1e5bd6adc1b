"""The measures of an audit: one row each. To add one, write the function where it belongs and add a row here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from repgeom.inference.compare import Comparison
from repgeom.inference.estimate import Estimate, Sample
from repgeom.measures import rank
from repgeom.measures.classes import ClassRanks
from repgeom.measures.cloud import uniformity
from repgeom.measures.cloud_tally import Health, Norms
from repgeom.measures.pairs import mutual_knn
from repgeom.robustness.measurement import Measurement as DriftMeasurement
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum


@dataclasses.dataclass(frozen=True)
class LabelEvidence:
    ranks: ClassRanks
    between: float
    knn_accuracy: float
    majority: float


@dataclasses.dataclass(frozen=True)
class ReferenceEvidence:
    name: str
    spectrum: Spectrum
    sample: Tensor
    captured: np.ndarray | None  # None where the widths differ
    own_curve: np.ndarray | None
    angles: np.ndarray | None  # radians
    cosine: float | None
    cka: float | None
    procrustes: float
    retained: Comparison | None = None  # of the effective rank: reference first, features second


@dataclasses.dataclass(frozen=True)
class DriftEvidence:
    name: str
    readings: Mapping[str, DriftMeasurement]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything an audit has seen of one set of features."""

    n_samples: int
    n_features: int
    spectrum: Spectrum  # in the audit's convention
    raw: Spectrum  # not centred, not normalised: what RankMe is defined on
    health: Health
    norms: Norms
    mean_cosine: float
    feature_std: float
    sample: Tensor  # rows for what needs all pairs
    k: int
    independent: float | None = None  # as how many rows they count, where they were said to depend on each other
    estimates: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)  # by the name of the measure
    labels: LabelEvidence | None = None
    reference: ReferenceEvidence | None = None
    drift: DriftEvidence | None = None
    population: Sample | None = None  # what estimates are read from
    notes: tuple[str, ...] = ()  # what a reader must know of how the numbers were read

    @property
    def most(self) -> int:
        """The largest rank that centred features of this size can have."""
        return max(1, min(self.n_samples - 1, self.n_features))


Read = Callable[[Evidence], float | None]
Range = Callable[[Evidence], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Measure:
    """One row of an audit."""

    name: str
    label: str
    group: str
    convention: str
    read: Read
    limits: Range
    baseline: Read  # what isotropic or unrelated features of the same size read; None where that has no meaning
    aliases: tuple[str, ...] = ()
    better: str = ""  # "higher" or "lower" where one is healthier
    sampled: bool = False  # read from a subsample of rows where there are many
    missing: str = ""  # why the value can be missing
    estimate: Callable[[Evidence], Estimate | None] = lambda e: None  # of the population, where one is known


def _spectral(
    name: str,
    label: str,
    convention: str,
    read: Callable[[Spectrum], float | None],
    limits: Range = lambda e: (1, e.most),
    aliases: tuple[str, ...] = (),
    better: str = "higher",
    missing: str = "",
) -> Measure:
    return Measure(
        name,
        label,
        "Dimensions in use",
        convention,
        lambda e: read(e.spectrum),
        limits,
        lambda e: read(isotropic_baseline(e.spectrum)),
        aliases,
        better,
        missing=missing,
        estimate=lambda e: e.estimates.get(name),
    )


def _power_law(s: Spectrum, what: str) -> float | None:
    try:
        return float(getattr(rank.power_law(s), what))
    except ValueError:
        return None


def _uniformity_baseline(e: Evidence) -> float:
    """ln E exp(−2‖u − v‖²) of two independent points on the sphere, in closed form."""
    from scipy.special import hyp0f1

    return -4 + math.log(float(hyp0f1(e.n_features / 2, 4.0)))


def _norm_cv_baseline(e: Evidence) -> float:
    """Standard deviation over mean of a chi variable with d degrees of freedom."""
    d = e.n_features
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return math.sqrt(max(0.0, d - mean**2)) / mean


def _nothing(e: Evidence) -> None:
    return None


def _of_labels(read: Callable[[LabelEvidence], float | None]) -> Read:
    return lambda e: None if e.labels is None else read(e.labels)


def _of_reference(read: Callable[[ReferenceEvidence, Evidence], float | None]) -> Read:
    return lambda e: None if e.reference is None else read(e.reference, e)


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _ratio(c: Comparison | None) -> Estimate | None:
    """The ratio of a comparison as an estimate."""
    if c is None:
        return None
    naive = c.second.naive / c.first.naive
    return Estimate(c.ratio, naive, c.ratio_low, c.ratio_high, None, c.first.n, "paired", c.warnings)


def _captured(r: ReferenceEvidence, e: Evidence) -> float | None:
    return None if r.captured is None else float(r.captured[min(CAPTURED_K, len(r.captured)) - 1])


CAPTURED_K = 20  # as the paper reads it
_COVARIANCE = "σ² of centred features"
_WIDTHS = "the two have different widths, so their directions cannot be compared"

MEASURES: tuple[Measure, ...] = (
    _spectral(
        "effective_rank",
        "effective rank",
        f"exp entropy of {_COVARIANCE}",
        rank.effective_rank,
        aliases=("von Neumann effective rank", "Hill number of order 1", "Vendi score of the centred features"),
    ),
    _spectral(
        "effective_rank_sigma",
        "effective rank (σ)",
        "exp entropy of σ of centred features (Roy & Vetterli)",
        partial(rank.effective_rank, of="singular_values"),
    ),
    Measure(
        "rankme",
        "RankMe",
        "Dimensions in use",
        "exp entropy of σ, features as they are, ε = 1e-7",
        lambda e: rank.rankme(e.raw),
        # ε lets it read a little above the number of directions
        lambda e: (1, min(e.n_samples, e.n_features) * (1 + 2e-6 * e.n_features)),
        lambda e: rank.rankme(isotropic_baseline(e.raw)),
        better="higher",
    ),
    _spectral(
        "participation_ratio",
        "participation ratio",
        f"(Σλ)²/Σλ², λ = {_COVARIANCE}",
        rank.participation_ratio,
        aliases=("Hill number of order 2", "1 + (d − 1) IsoScore", "exp of the Rényi-2 entropy"),
    ),
    _spectral(
        "stable_rank",
        "stable rank",
        f"Σλ/λ₁, λ = {_COVARIANCE}",
        rank.stable_rank,
        aliases=("NESum", "Hill number of order ∞", "1 / share of the leading direction"),
    ),
    _spectral("n_components_90", "components for 90 %", f"{_COVARIANCE}", partial(rank.n_components, variance=0.9)),
    _spectral("n_components_99", "components for 99 %", f"{_COVARIANCE}", partial(rank.n_components, variance=0.99)),
    _spectral(
        "numerical_rank",
        "numerical rank",
        "σ above rounding of the features' own type",
        rank.numerical_rank,
        aliases=("Hill number of order 0",),
    ),
    _spectral(
        "condition_number",
        "condition number",
        "σ₁ / smallest σ, ∞ if that is rounding",
        rank.condition_number,
        lambda e: (1, math.inf),
        better="lower",
    ),
    _spectral(
        "power_law_exponent",
        "power-law exponent α",
        "λ_i ∝ i^−α, directions 11 to 100 or the last",
        partial(_power_law, what="exponent"),
        lambda e: (0, math.inf),
        aliases=("α-ReQ",),
        better="",
        missing="needs at least 20 directions that vary",
    ),
    _spectral(
        "power_law_r_squared",
        "  its fit, R²",
        "below about 0.95 the exponent means little",
        partial(_power_law, what="r_squared"),
        lambda e: (0, 1),
        better="",
        missing="needs at least 20 directions that vary",
    ),
    Measure(
        "mean_cosine",
        "mean cosine",
        "The cloud",
        "all pairs of rows, not centred",
        lambda e: e.mean_cosine,
        lambda e: (-1 / (e.n_samples - 1), 1),
        lambda e: 0.0,
        ("anisotropy",),
        "lower",
    ),
    Measure(
        "uniformity",
        "uniformity",
        "The cloud",
        "ln mean exp(−2‖u−v‖²), unit rows, pairs i < j",
        lambda e: float(uniformity(e.sample)),
        lambda e: (-8, 0),
        _uniformity_baseline,
        (),
        "lower",
        sampled=True,
    ),
    Measure(
        "feature_std",
        "feature std",
        "The cloud",
        "mean column std of unit rows; 0 is a point",
        lambda e: e.feature_std,
        lambda e: (0, e.n_features**-0.5),
        lambda e: e.n_features**-0.5,
        (),
        "higher",
    ),
    Measure(
        "norm_mean",
        "mean norm",
        "The cloud",
        "row length, in units of the features",
        lambda e: float(e.norms.mean),
        lambda e: (0, math.inf),
        _nothing,
    ),
    Measure(
        "norm_cv",
        "norm variation",
        "The cloud",
        "std / mean of row lengths",
        lambda e: float(e.norms.cv),
        lambda e: (0, math.inf),
        _norm_cv_baseline,
    ),
    Measure(
        "class_rank_median",
        "median rank in a class",
        "With labels",
        f"effective rank of {_COVARIANCE}, per class",
        _of_labels(lambda y: _median(y.ranks.effective_rank)),
        lambda e: (0, e.most),
        _of_labels(lambda y: _median(y.ranks.baseline)),
        missing="every class has one row",
    ),
    Measure(
        "between_class_variance",
        "variance between classes",
        "With labels",
        "tr S_between / tr S_total",
        _of_labels(lambda y: y.between),
        lambda e: (0, 1),
        lambda e: None if e.labels is None else (len(e.labels.ranks.labels) - 1) / (e.n_samples - 1),
        ("R² of the labels",),
    ),
    Measure(
        "knn_accuracy",
        "kNN accuracy",
        "With labels",
        "leave-one-out vote of the 10 nearest by cosine",
        _of_labels(lambda y: y.knn_accuracy),
        lambda e: (0, 1),
        _of_labels(lambda y: y.majority),
        (),
        "higher",
        sampled=True,
    ),
    Measure(
        "reference_effective_rank",
        "reference's effective rank",
        "Against the reference",
        f"exp entropy of {_COVARIANCE}",
        _of_reference(lambda r, e: float(rank.effective_rank(r.spectrum))),
        lambda e: (1, max(1, min(e.n_samples - 1, e.reference.spectrum.n_features if e.reference else 1))),
        _of_reference(lambda r, e: float(rank.effective_rank(isotropic_baseline(r.spectrum)))),
        estimate=lambda e: None if e.reference is None or e.reference.retained is None else e.reference.retained.first,
    ),
    Measure(
        "rank_retained",
        "rank retained",
        "Against the reference",
        "effective rank / the reference's",
        _of_reference(lambda r, e: rank.effective_rank(e.spectrum) / rank.effective_rank(r.spectrum)),
        lambda e: (0, math.inf),
        _nothing,
        (),
        "higher",
        estimate=lambda e: None if e.reference is None else _ratio(e.reference.retained),
    ),
    Measure(
        "captured_variance",
        "captured variance",
        "Against the reference",
        f"inside the reference's leading {CAPTURED_K} directions, both centred",
        _of_reference(_captured),
        lambda e: (0, 1),
        lambda e: min(1.0, CAPTURED_K / e.n_features),
        missing=_WIDTHS,
    ),
    Measure(
        "mean_principal_angle",
        "mean principal angle",
        "Against the reference",
        "leading 10 directions of both, radians",
        _of_reference(lambda r, e: None if r.angles is None else float(r.angles.mean())),
        lambda e: (0, math.pi / 2),
        _nothing,
        (),
        "lower",
        missing=f"{_WIDTHS}, or there are fewer than 10 of them",
    ),
    Measure(
        "linear_cka",
        "linear CKA",
        "Against the reference",
        "debiased HSIC (Song et al.), centred",
        _of_reference(lambda r, e: r.cka),
        lambda e: (-1, 1),
        lambda e: 0.0,
        (),
        "higher",
        missing="needs at least 4 rows that do not all lie equally far apart",
    ),
    Measure(
        "procrustes_distance",
        "Procrustes distance",
        "Against the reference",
        "2 − 2‖XᵀY‖_*, both centred, unit norm",
        _of_reference(lambda r, e: r.procrustes),
        lambda e: (0, 2),
        _nothing,
        (),
        "lower",
    ),
    Measure(
        "mutual_knn",
        "mutual kNN",
        "Against the reference",
        "shared share of the 10 nearest by cosine",
        _of_reference(lambda r, e: float(mutual_knn(e.sample, r.sample, k=e.k))),
        lambda e: (0, 1),
        lambda e: e.k / (len(e.sample) - 1),
        (),
        "higher",
        sampled=True,
    ),
    Measure(
        "cosine_alignment",
        "cosine alignment",
        "Against the reference",
        "mean cosine of row i with row i, not centred",
        _of_reference(lambda r, e: r.cosine),
        lambda e: (-1, 1),
        lambda e: 0.0,
        (),
        "higher",
        missing=_WIDTHS,
    ),
)
