"""How do the samples lie? Directions, spread and hygiene of one set of features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repgeom.data.arrays import finite_rows, give_back, mean_row, pair_blocks, row_chunks, row_norms, unit_rows
from repgeom.data.kinds import Features, Numbers
from repgeom.data.numbers import real_number
from repgeom.data.row_names import require_same_columns, require_same_order
from repgeom.data.settings import own_settings
from repgeom.data.sources import as_source
from repgeom.measures.cloud_tally import CloudTally, Health, Norms, norms_of
from repgeom.measures.measure import CLOUD, Measure, Size, register
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read

__all__ = ["alignment", "feature_std", "health", "mean_cosine", "norms", "uniformity"]


@own_settings
def mean_cosine(features: Features, *, center: bool = False) -> Numbers:
    """Mean cosine similarity over all pairs of different rows: how far the cloud is a narrow cone.

    (‖Σ u_i‖² − Σ‖u_i‖²) / (n(n − 1)) with u_i = x_i / ‖x_i‖, exact and in O(n d) (Ethayarajh 2019). A row of zeros has
    no direction and counts as cosine 0.

    Args:
        features: (..., n_samples, n_features), at least 2 rows.
        center: subtract the mean row first.

    Returns:
        Between −1/(n − 1) and 1; 0 for isotropic features; 1 where all point one way. Unchanged by rotation and,
        if not centred, by the length of rows.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> round(mean_cosine([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]), 6)
    0.471405
    """
    x = finite_rows(features, double=False)
    n = x.shape[-2]
    mean = mean_row(x) if center else x.new_zeros((), dtype=torch.float64)
    total, own = mean.new_zeros(()), mean.new_zeros(())
    for rows in row_chunks(x):
        units = unit_rows(rows.double() - mean)
        total, own = total + units.sum(-2), own + units.square().sum((-2, -1))
    return give_back(features)((total.square().sum(-1) - own) / (n * (n - 1)))


register(
    Measure(
        "mean_cosine", "mean cosine", CLOUD, mean_cosine, ("cloud",),
        formula="all pairs of rows, not centred",
        source="Ethayarajh 2019",
        question="Do all rows point one way?",
        cannot_tell="collapse: a common mean raises it and harms no distance once it is taken off",
        rows_needed="100",
        convention="over pairs of different rows, not centred",
        range=lambda size: (-1 / (size.n_samples - 1), 1),
        baseline=lambda size: 0.0,
        better="lower",
        read=lambda cloud: cloud.mean_cosine(),
        aliases=("anisotropy",),
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


@own_settings
def uniformity(features: Features, *, t: float = 2.0) -> Numbers:
    """Uniformity on the sphere: ln of the mean over pairs i < j of exp(−t ‖u_i − u_j‖²) (Wang & Isola 2020).

    Rows are scaled to unit length; pairs of a row with itself are left out. Costs O(n² d), in blocks.

    Args:
        features: (..., n_samples, n_features), at least 2 rows.
        t: positive; 2 as published.

    Returns:
        Between −4t and 0; 0 where all rows are one direction; about −2t + 2t²/d for isotropic features. Lower is more
        spread out.

    Raises:
        ValueError, TypeError: as `effective_rank`, or t ≤ 0.

    >>> round(uniformity([[1.0, 0.0], [-1.0, 0.0]]), 12)
    -8.0
    """
    number = real_number(t)
    if number is None or not number > 0:
        raise ValueError(f"`t` must be positive, got {t!r}.")
    t = number
    return give_back(features)(_log_mean_kernel(unit_rows(finite_rows(features)), t))


def _log_mean_kernel(units: Tensor, t: float) -> Tensor:
    """ln of the mean over pairs i < j of exp(−t ‖u_i − u_j‖²), in the precision of the rows u (..., n, d)."""
    n = units.shape[-2]
    squares = units.square().sum(-1)  # 1, or 0 for a row of zeros
    logs = []
    for start, block in pair_blocks(units):
        # Each block against the rows from its own start on: pairs of the block with itself stand there twice.
        size = block.shape[-2]
        near = squares[..., start : start + size, None] + squares[..., None, start:]
        # Rounding makes squared distances of equal rows a little negative.
        exponent = (t * (2 * (block @ units[..., start:, :].mT) - near)).clamp(max=0)
        same_row = torch.eye(size, n - start, dtype=torch.bool, device=units.device)
        exponent = exponent.masked_fill(same_row, -torch.inf)
        largest = exponent.detach().amax((-2, -1), keepdim=True)
        largest = torch.where(largest.isfinite(), largest, 0)  # the last block may be one row without any pair
        # Less the largest, no block underflows as a whole, however large t is.
        kernel = torch.exp(exponent - largest)
        twice, once = (part.sum((-2, -1), dtype=torch.float64) for part in (kernel[..., :size], kernel[..., size:]))
        logs.append((twice / 2 + once).log() + largest[..., 0, 0])
    return torch.stack(logs).logsumexp(0) - math.log(n * (n - 1) / 2)


def _uniformity_of_sample(sample: Tensor) -> Tensor:
    """Uniformity as an audit reads it: products of float32 rows in float32 are off by 1e-7 of a distance."""
    units = unit_rows(sample.double())
    if sample.element_size() <= 4:
        units = units.float()
    return _log_mean_kernel(units, 2.0)


def _isotropic_uniformity(size: Size) -> float:
    """ln E exp(−2‖u − v‖²) of two independent points on the sphere, in closed form."""
    from scipy.special import hyp0f1

    # ‖u − v‖² = 2 − 2 uᵀv, and E exp(4 uᵀv) is this hypergeometric function.
    return -4 + math.log(float(hyp0f1(size.n_features / 2, 4.0)))


register(
    Measure(
        "uniformity", "uniformity", CLOUD, uniformity, ("sample",),
        formula="ln mean exp(−2‖u−v‖²), unit rows, pairs i < j",
        source="Wang & Isola 2020",
        question="How evenly do directions of rows cover the sphere?",
        cannot_tell="which directions are empty",
        rows_needed="1,000; audits read it from a sample of 8,192",
        convention="t = 2, pairs i < j; some codes count a row with itself",
        range=lambda size: (-8, 0),
        baseline=_isotropic_uniformity,
        better="lower",
        read=_uniformity_of_sample,
        no_interval="it is a mean over pairs, which share rows; none is worked out",
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


@own_settings
def alignment(features: Features, positives: Features, *, alpha: float = 2.0) -> Numbers:
    """Alignment of positive pairs: mean of ‖u_i − v_i‖^α over unit rows (Wang & Isola 2020).

    Args:
        features, positives: (..., n_samples, n_features); row i of both are two views of one sample.
        alpha: positive; 2 as published.

    Returns:
        Between 0 (views agree) and 2^α.

    Raises:
        ValueError, TypeError: as `effective_rank`, different shapes, or α ≤ 0.

    >>> alignment([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -1.0]])
    2.0
    """
    number = real_number(alpha)
    if number is None or not number > 0:
        raise ValueError(f"`alpha` must be positive, got {alpha!r}.")
    alpha = number
    require_same_order(features, positives=positives)
    require_same_columns(features, positives=positives)
    a, b = finite_rows(features), finite_rows(positives, "positives")
    if a.shape != b.shape:
        raise ValueError(f"`features` and `positives` must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}.")
    distance = (unit_rows(a) - unit_rows(b)).square().sum(-1)
    apart = distance > 0  # where two views agree the slope of the power may be infinite; it is taken as 0
    return give_back(features)((torch.where(apart, distance, 1) ** (alpha / 2)).where(apart, 0).mean(-1))


@own_settings
def feature_std(features: Features) -> Numbers:
    """Mean over columns of the standard deviation of unit-length rows (Chen & He 2021): 0 means collapse to a point.

    Not unchanged by rotation: it is largest where all columns vary alike.

    Args:
        features: (..., n_samples, n_features), at least 2 rows.

    Returns:
        Between 0 and 1/√d; 1/√d for isotropic features. Divides by n, not n − 1.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> round(feature_std([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 6)
    0.707107
    """
    units = unit_rows(finite_rows(features))
    return give_back(features)(units.std(-2, correction=0).mean(-1))


register(
    Measure(
        "feature_std", "feature std", CLOUD, feature_std, ("cloud",),
        formula="mean column std of unit rows; 0 is a point",
        source="Chen & He 2021",
        question="Has everything become one point?",
        cannot_tell="collapse to a line or a plane: it may keep its value there",
        rows_needed="100",
        convention="divides by n; over columns, so that a rotation moves it",
        range=lambda size: (0, size.n_features**-0.5),
        baseline=lambda size: size.n_features**-0.5,
        better="higher",
        read=lambda cloud: cloud.feature_std(),
        no_interval="it reads low where rows are few, by more than they spread",
        invariances=("scale", "order"),
    )
)  # fmt: skip


@own_settings
def norms(features: Features) -> Norms:
    """Mean, spread and extremes of the row norms. For isotropic Gaussian features `cv` is about 1/√(2d).

    Args:
        features: (..., n_samples, n_features), at least 2 rows.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> norms([[3.0, 4.0], [0.0, 1.0]]).mean
    3.0
    """
    return norms_of(row_norms(finite_rows(features)), give_back(features))


def _isotropic_cv(size: Size) -> float:
    """Standard deviation over mean of a chi variable with d degrees of freedom."""
    d = size.n_features
    # By logarithms, because gamma itself overflows from about 340 features on.
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return math.sqrt(max(0.0, d - mean**2)) / mean


register(
    Measure(
        "norm_mean", "mean norm", CLOUD, norms, ("cloud",),
        formula="row length, in units of the features",
        source="classical",
        question="How long are the rows?",
        cannot_tell="anything without a unit: it scales with the features",
        rows_needed="100",
        convention="Euclidean, not centred",
        unit="units of the features",
        range=lambda size: (0, math.inf),
        baseline=None,
        read=lambda cloud: cloud.norms().mean,
        invariances=("rotation", "order"),
    )
)  # fmt: skip
register(
    Measure(
        "norm_cv", "norm variation", CLOUD, norms, ("cloud",),
        formula="std / mean of row lengths",
        source="classical",
        question="Do rows differ in length?",
        cannot_tell="whether length means anything; a few huge rows raise it",
        rows_needed="100",
        convention="standard deviation over mean, not centred",
        range=lambda size: (0, math.inf),
        baseline=_isotropic_cv,
        read=lambda cloud: cloud.norms().cv,
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


@own_settings
def health(features: Features) -> Health:
    """Counts NaN, infinity, rows of zeros, exact duplicates, constant columns and extreme norms.

    Args:
        features: (n_samples, n_features); non-finite values are what it is for.

    Raises:
        ValueError, TypeError: a wrong shape or kind, as `effective_rank`.

    >>> health([[1.0, 5.0], [1.0, 5.0], [0.0, 5.0]]).duplicate_rows
    1
    """
    return read(PairedRows(as_source(features)), CloudTally()).health()
