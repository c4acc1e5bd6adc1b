"""How large is a measure in the population, and how sure is that?

The value: sample variances are turned into those of the population that would show them (`population`), and the measure is
read from those (`correction`). The interval: the spread of the rows' influence on the measure (`influence`), over √n. Two
passes over the rows (`sample`).
"""

from __future__ import annotations

import dataclasses
import math

import torch

from repgeom.data.arrays import check_normalize, give_back
from repgeom.data.kinds import Features, Groups, MeasureName, Numbers
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.inference.correction import Corrected, corrected
from repgeom.inference.influence import in_sample
from repgeom.inference.intervals import check_confidence, quantile
from repgeom.inference.sample import Sample, opened, sample_of
from repgeom.measures import rank
from repgeom.measures.measure import estimable, functional
from repgeom.spectral.directions import directions_of


@own_settings
@dataclasses.dataclass(frozen=True)
class Estimate(ShownInNotebook):
    """What `estimate` returns.

    Attributes:
        value: the measure in the population, corrected for the number of samples.
        in_these_rows: the measure of these rows alone.
        low, high: two-sided interval for the population's value; None where none is known to hold.
        se: standard error of `value`; None with the interval.
        n: rows.
        method: how the value was corrected.
        warnings: what a reader must know: why there is no interval, what the correction rests on.
        degrees: degrees of freedom of `se`; None with the interval.
    """

    value: float
    in_these_rows: float
    low: float | None
    high: float | None
    se: float | None
    n: int
    method: str
    warnings: tuple[str, ...] = ()
    degrees: float | None = None

    def __str__(self) -> str:
        interval = "no interval"
        if self.low is not None and self.high is not None:
            interval = f"95 % interval {self.low:.4g} to {self.high:.4g}"
        return f"{self.value:.4g} ({interval}; these {self.n:,} rows alone read {self.in_these_rows:.4g})"


@own_settings
def estimate(
    features: Features,
    measure: MeasureName = "effective_rank",
    *,
    center: bool = True,
    normalize: str | None = None,
    groups: Groups = None,
    confidence: float = 0.95,
) -> Estimate:
    """A measure of the spectrum as it is in the population, with an interval: not what these few rows happen to read.

    Value: the spectrum of the population is found whose samples would show this one (Marchenko & Pastur 1967, inverted as
    by El Karoui 2008), with rows that weigh unevenly (Paul & Silverstein 2009) where two halves of the rows say so of each
    other. `participation_ratio` is a ratio of unbiased sums over different rows (Himeno & Yamada 2014; as the row-corrected
    estimator of Chun, Canatar et al., ICLR 2026, arXiv 2509.26560). Interval: the spread of each row's influence on the
    population's value over √n, less what is of second order in the rows (Efron & Stein 1981), with Satterthwaite's degrees of
    freedom, on the scale of the logarithm.

    Assumes independent rows of one law. Frames of one video or tokens of one text are not independent: say so with
    `groups`. Rows that repeat, exactly or nearly, are taken for one row, and where most repeat for rows that are just alike; there is
    no interval where the two readings differ by more than half of it, and `groups` says which is right. Intervals are given from
    100 rows and two rows per feature (stable rank: four, and where the leading variance stands clear of the next; n_components:
    never). There is none where a few rows or groups carry the error, as with massive activations, and none where half of the
    rows read another value than all of them: `warnings` says so. What was tried, on which laws and on which real features,
    stands in studies/estimates.md and studies/real.md; coverage is claimed for that.

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
        `Estimate(value, in_these_rows, low, high, se, n, method, warnings, degrees)`, in dimensions, between 1 and n_features.

    Raises:
        ValueError: an unknown measure, fewer than 4 rows, no variance, NaN or infinity, groups of another length.
        TypeError: as `effective_rank`.

    Two rows per feature of a flat spectrum read 78 of 100 dimensions; the population has 100:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((200, 100))
    >>> e = estimate(x)
    >>> round(e.in_these_rows), round(e.value), round(e.high)
    (78, 100, 100)
    """
    check_confidence(confidence)
    check_normalize(normalize)
    wanted = estimable(measure).name
    require_same_order(features, groups=groups)
    source = opened(features)
    sample = sample_of(source, [wanted], center=center, normalize=normalize, groups=groups)
    return estimate_of(sample, wanted, confidence)


def estimate_or_reason(features: Features, measure: MeasureName = "effective_rank", **settings: object) -> Estimate:
    """The estimate; NaN with the reason where these rows have none, as where none of them differs."""
    try:
        return estimate(features, measure, **settings)  # type: ignore[arg-type]
    except ValueError as error:
        n = int(getattr(features, "n_samples", 0) or len(features))
        return Estimate(math.nan, math.nan, None, None, None, n, "none", (str(error),))


@own_settings
def influence(
    features: Features,
    measure: MeasureName = "effective_rank",
    *,
    center: bool = True,
    normalize: str | None = None,
) -> Numbers:
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
    rank.effective_rank(directions.spectrum)  # refuses rows that are all equal
    value = record.value(directions.spectrum)
    assert value is not None
    # The rows' influence is known on ln measure, and d measure = measure · d ln measure.
    influences = torch.as_tensor(value * in_sample(directions, source, record.name), device=directions.vectors.device)
    if isinstance(features, torch.Tensor):
        return influences
    return give_back(None)(influences)


def estimate_of(sample: Sample, measure: str, confidence: float) -> Estimate:
    """Estimate one of the measures that the sample was scored for."""
    return shown(corrected(sample, measure), sample, measure, confidence)


def shown(correction: Corrected, sample: Sample, measure: str, confidence: float) -> Estimate:
    """Turn a corrected logarithm and its standard error into the value and the interval that a user reads."""
    value = min(math.exp(correction.log), float(sample.most))
    if measure.startswith("n_components"):
        # Components are counted. What exceeds a whole number by less than 1e-6 is rounding of exp and log.
        value = float(math.ceil(value - 1e-6))
    in_these_rows = estimable(measure).value(sample.directions.spectrum)
    assert in_these_rows is not None
    method, warnings = correction.method, correction.warnings
    if correction.error is None:
        return Estimate(value, in_these_rows, None, None, None, sample.n, method, warnings)
    # Ranks are positive and their errors grow with them, so the interval is symmetric in the logarithm. No population
    # has a rank below one, nor above the number of directions that vary.
    half_width = quantile(confidence, correction.degrees) * correction.error
    low = max(1.0, value * math.exp(-half_width))
    high = min(float(sample.most), value * math.exp(half_width))
    return Estimate(
        value, in_these_rows, low, high, value * correction.error, sample.n, method, warnings, float(correction.degrees)
    )
