"""How many directions tell samples apart, beside what differs between views of one sample?"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, give_back, refuse_nonfinite, row_chunks, too_large_error
from repgeom.data.kinds import Features, Groups, Numbers
from repgeom.data.labels import as_labels
from repgeom.data.numbers import real_number
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings, warn_caller
from repgeom.measures.measure import LABELS, Measure, register
from repgeom.measures.shares import entropy_of

__all__ = ["lidar"]


_MOST_EPSILON = 1e-3  # beyond this the number leaves its range by more than rounding


@own_settings
def lidar(features: Features, views: Groups, *, delta: float = 1e-4, epsilon: float = 1e-8) -> Numbers:
    """LiDAR: the effective rank of what tells samples apart, in units of what differs between views (Thilak et al. 2024).

    Σ_b is the covariance of the samples' means (divided by C − 1 for C samples), Σ_w the mean covariance of the views about their own
    sample's mean (divided by q − 1 for q views), to which δ I is added. With λ the eigenvalues of Σ_w^(−½) Σ_b Σ_w^(−½) and
    p_i = λ_i / Σλ + ε, it is exp(−Σ p_i ln p_i). The rows may lie in any order: `views` says which belong together. Where samples have
    different numbers of views, each sample counts the same.

    δ has the unit of the features' variance: features times 1,000, or another δ, read otherwise wherever some variance within is not far
    above δ. A warning says where δ outweighs the views' mean variance. Compare only numbers of one δ, ε and number of samples: it cannot exceed C − 1, and reads low where C is below ten
    times the width. There is no interval, because this bias is not corrected.

    Args:
        features: (..., n_samples, n_features): rows are views.
        views: (n_samples,), whole numbers or text: of which sample each row is a view. Every sample needs two or more.
        delta: δ, at least 0; 1e-4 as published. With 0 the views must vary along every direction.
        epsilon: ε, from 0 to 0.001; 1e-8 as published, 0 for the exp entropy itself.

    Returns:
        Between 1 and min(C − 1, n_features), up to what ε adds, in dimensions. A Python number; for a tensor a float64 tensor on its
        device, differentiable in the features; for a stack one value each. Unchanged by rotation, translation and the order of rows.

    Raises:
        ValueError: a sample with one view, fewer than two samples, samples that all have one mean, a δ of 0 with directions along which no
            view varies; else as `effective_rank`.

    Two samples along each of two axes, each with the same spread of views, are told apart by two directions alike:

    >>> x = [[2.1, 0.0], [1.9, 0.0], [-2.1, 0.0], [-1.9, 0.0], [0.0, 2.1], [0.0, 1.9], [0.0, -2.1], [0.0, -1.9]]
    >>> round(lidar(x, ["a", "a", "b", "b", "c", "c", "d", "d"], epsilon=0), 6)
    2.0
    """
    require_same_order(features, views=views)
    delta, epsilon = _not_negative(delta, "delta"), _not_negative(epsilon, "epsilon")
    if epsilon > _MOST_EPSILON:
        raise ValueError(
            f"`epsilon` must be at most {_MOST_EPSILON}, got {epsilon!r}: shares of the variance plus more are no shares any longer, and "
            "the number is no rank. 1e-8 is the published value."
        )
    x = as_features(features)
    refuse_nonfinite(x, "features")
    codes, names = as_labels(views, x.shape[-2], "views")
    _refuse_single_views(np.bincount(codes), names)
    between, within = _moments(x, torch.as_tensor(codes, device=x.device), len(names))
    if not bool(torch.isfinite(within).all() & torch.isfinite(between).all()):
        raise too_large_error("features")
    # Only ratios of eigenvalues count, so that those of tiny features are kept from underflowing.
    largest = between.detach().diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    if not bool((largest > 0).all()):
        raise ValueError("all samples of `views` have the same mean, so no direction tells them apart.")
    _warn_where_delta_decides(delta, within)
    identity = torch.eye(x.shape[-1], dtype=within.dtype, device=x.device)
    factor, failed = torch.linalg.cholesky_ex(within + delta * identity)
    if bool((failed != 0).any()):
        raise ValueError(
            f"the views do not vary along every direction, and `delta={delta}` adds too little to divide by their covariance; "
            "1e-4 is the published value for features of variance about 1."
        )
    # L⁻¹ Σ_b L⁻ᵀ has the eigenvalues of Σ_w^(−½) Σ_b Σ_w^(−½) for any L Lᵀ = Σ_w, and this L has a gradient everywhere.
    half = torch.linalg.solve_triangular(factor, between / largest, upper=False)
    whole = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    eigenvalues = torch.linalg.eigvalsh((whole + whole.mT) / 2).clamp(min=0)
    p = eigenvalues / eigenvalues.sum(-1, keepdim=True) + epsilon
    return give_back(features)(entropy_of(p).exp())


def _warn_where_delta_decides(delta: float, within: Tensor) -> None:
    """Say that δ outweighs the views: the number is then nearly the effective rank of the samples' means."""
    spread = float(within.detach().diagonal(dim1=-2, dim2=-1).mean(-1).min())
    if spread < delta:
        warn_caller(
            f"δ = {delta:.3g} outweighs what differs between views, whose mean variance along a feature is {spread:.3g}: LiDAR then hardly "
            "depends on the views. Scale the features up, or give a smaller `delta`, and compare only numbers of one scale and δ."
        )


def _not_negative(value: float, name: str) -> float:
    number = real_number(value)
    if number is None or not 0 <= number < math.inf:
        raise ValueError(f"`{name}` must be a finite number of at least 0, got {value!r}.")
    return number


def _refuse_single_views(sizes: np.ndarray, names: np.ndarray) -> None:
    if len(sizes) < 2:
        raise ValueError(
            f"`views` names one sample ({names[0].item()!r:.60}); LiDAR compares samples, so it needs two or more."
        )
    single = np.flatnonzero(sizes < 2)
    if len(single):
        raise ValueError(
            f"`views` has {len(single):,} of {len(sizes):,} samples with one row, the first is {names[single[0]].item()!r:.60}: what "
            "differs between views takes two of each sample. Leave these rows out, or give the sample of each row, not its own number."
        )


def _moments(x: Tensor, codes: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Covariance (..., d, d) of the samples' means and mean covariance about them, in float64; memory for the means beside it."""
    sizes = codes.bincount(minlength=n_classes).double()
    # Piece by piece: a mean in another type would copy all rows. And added up at once: kept in a list, each small sum would
    # stand in the memory of its piece, which could then not be used again.
    centre = torch.zeros(*x.shape[:-2], 1, x.shape[-1], dtype=torch.float64, device=x.device)
    for rows in row_chunks(x):
        centre = centre + rows.sum(-2, keepdim=True, dtype=torch.float64) / len(codes)
    pieces = [piece.shape[-2] for piece in row_chunks(x)]
    means = torch.zeros(*x.shape[:-2], n_classes, x.shape[-1], dtype=torch.float64, device=x.device)
    for rows, own in zip(x.split(pieces, -2), codes.split(pieces), strict=True):
        means.index_add_(-2, own, rows.double() - centre)
    means = means.div_(sizes[:, None])
    zeros = torch.zeros(*x.shape[:-2], x.shape[-1], x.shape[-1], dtype=torch.float64, device=x.device)
    within, between = zeros, zeros
    weights = 1 / ((sizes - 1) * n_classes)  # each sample's covariance counts the same
    for rows, own in zip(x.split(pieces, -2), codes.split(pieces), strict=True):
        about = rows.double() - centre - means[..., own, :]
        within = within + about.mT @ (about * weights[own][:, None])
    centre = means.mean(-2, keepdim=True)
    for some in means.split(pieces[0], -2):
        apart = some - centre
        between = between + apart.mT @ apart / (n_classes - 1)
    return between, within


register(
    Measure(
        "lidar", "LiDAR", LABELS, lidar, (),
        formula="exp entropy of the eigenvalues of Σ_w^(−½) Σ_b Σ_w^(−½), δ = 1e-4, ε = 1e-8",
        source="Thilak et al., ICLR 2024",
        question="How many directions tell samples apart beside what an augmentation changes?",
        cannot_tell="what features without views of each sample are; it depends on δ, so on the features' unit",
        rows_needed="10 samples per feature, 2 views of each or more",
        convention="Σ_b over C − 1, Σ_w over q − 1, rows in any order; others divide by C and q",
        unit="dimensions",
        baseline=None,
        better="higher",
        invariances=("rotation", "translation", "order"),
        no_interval="it reads low where samples are few, and is not corrected",
    )
)  # fmt: skip
