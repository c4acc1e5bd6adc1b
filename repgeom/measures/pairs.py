"""What do two representations of the same samples share? Row i of both is the same sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import give_back, pair_blocks, unit_rows
from repgeom.data.settings import own_settings, warn_caller
from repgeom.measures.measure import REFERENCE, Measure, Size, register
from repgeom.measures.nearest_rows import check_neighbours, group_codes, neighbour_counts, refuse_one_direction
from repgeom.measures.pair_sums import as_pair, check_k, cka_of, pair_sums, varying
from repgeom.measures.rank import effective_rank
from repgeom.measures.subspaces import subspace_angles
from repgeom.spectral.spectrum import Spectrum

__all__ = [
    "captured_variance", "cosine_alignment", "linear_cka", "mutual_knn", "principal_angles", "procrustes_distance",
]  # fmt: skip

CAPTURED_K = 20  # as the paper reads it
_WIDTHS = "the two have different widths, so their directions cannot be compared"
# Intervals from the spread of rows held the population's value 0 to 90 % of the time.
_FITTED = "the directions are fitted to the same rows, which biases it by more than rows spread"


def _effective_rank(reference: Spectrum) -> float:
    return float(effective_rank(reference))


def _rank_retained(features: Spectrum, reference: Spectrum) -> float:
    return float(effective_rank(features) / effective_rank(reference))


register(
    Measure(
        "reference_effective_rank", "reference's effective rank", REFERENCE, _effective_rank, ("reference_spectrum",),
        formula="exp entropy of σ² of centred features",
        source="Giraldo et al. 2015",
        unit="dimensions",
        range=lambda size: (1, max(1, min(size.n_samples - 1, size.n_reference_features or 1))),
    )
)  # fmt: skip
register(
    Measure(
        "rank_retained", "rank retained", REFERENCE, _rank_retained, ("spectrum", "reference_spectrum"),
        formula="effective rank / the reference's",
        source="arXiv 2603.06698",
        range=lambda size: (0, math.inf),
        baseline=None,
        better="higher",
    )
)  # fmt: skip


@own_settings
def captured_variance(features: Any, reference: Any, *, k: int | None = None) -> Any:
    """Share of the features' variance that lies inside the reference's leading k directions. Both are centred.

    ‖Xc V_k‖²_F / ‖Xc‖²_F, with V_k the leading k principal directions of the reference. A student whose curve runs
    above the teacher's own lives in the teacher's leading directions.

    Args:
        features, reference: (..., n, d), same d; the rows need not be the same samples, nor as many.
        k: number of directions; None gives the whole curve.

    Returns:
        In [0, 1]: one value for `k`, else (..., min(m − 1, d)) for k = 1, 2, ..., with m the reference's rows; never
        falls along k. Isotropic features read k/d. Unchanged by a rotation of both.

    Raises:
        ValueError: different widths, k out of range, no variance in the features; else as `effective_rank`.

    >>> student = [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]]
    >>> captured_variance(student, [[0.0, 3.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0]], k=1)
    0.2
    """
    x, y = as_pair(features, reference, same_rows=False, same_width=True)
    x, y = varying(x, "features"), varying(y, "reference")
    # m centred rows span m − 1 directions; one more would be rounding.
    directions = torch.linalg.svd(y, full_matrices=False).Vh.mT[..., : y.shape[-2] - 1]
    curve = captured_curve((x @ directions).square().sum(-2), x.square().sum((-2, -1)))
    return give_back(features)(curve if k is None else curve[..., check_k(k, curve.shape[-1]) - 1])


def _captured_by_leading(curve: np.ndarray) -> float:
    return float(curve[min(CAPTURED_K, len(curve)) - 1])


register(
    Measure(
        "captured_variance", "captured variance", REFERENCE, captured_variance, ("captured_curve",),
        formula=f"inside the reference's leading {CAPTURED_K} directions, both centred",
        source="arXiv 2603.06698",
        range=lambda size: (0, 1),
        baseline=lambda size: min(1.0, CAPTURED_K / size.n_features),
        read=_captured_by_leading,
        missing=_WIDTHS,
        no_interval=_FITTED,
    )
)  # fmt: skip


def captured_curve(energy: Tensor, total: Tensor) -> Tensor:
    """Cumulative share from the energy along each direction."""
    return (energy.cumsum(-1) / total[..., None]).clamp(max=1)


@own_settings
def principal_angles(features: Any, reference: Any, *, k: int = 10) -> Any:
    """Angles between the spans of the leading k principal directions of both (Björck & Golub 1973).

    cos θ_i are the singular values of V_kᵀ W_k; small angles are taken from their sines, so that 1e-9 is not lost.

    Args:
        features, reference: (..., n, d), same d.
        k: directions of each; at most the rank of either.

    Returns:
        (..., k), ascending, in radians, each in [0, π/2]; all 0 for the same subspace.

    Raises:
        ValueError: different widths, or k larger than n − 1 or d; else as `effective_rank`.

    >>> x = [[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, -0.1]]
    >>> y = [[0.0, 0.0, 3.0], [0.0, 0.0, -3.0], [0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]]
    >>> principal_angles(x, y, k=1).round(6)
    array([1.570796])
    """
    x, y = as_pair(features, reference, same_rows=False, same_width=True)
    k = check_k(k, min(x.shape[-2] - 1, y.shape[-2] - 1, x.shape[-1]))
    v, w = (_leading(varying(z, name), k, name) for z, name in ((x, "features"), (y, "reference")))
    return give_back(features)(subspace_angles(v, w))


register(
    Measure(
        "mean_principal_angle", "mean principal angle", REFERENCE, principal_angles, ("principal_angles",),
        formula="leading 10 directions of both, radians",
        source="Björck & Golub 1973",
        unit="radians",
        range=lambda size: (0, math.pi / 2),
        baseline=None,
        better="lower",
        read=np.mean,
        missing=f"{_WIDTHS}, or there are fewer than 10 of them",
        no_interval=_FITTED,
    )
)  # fmt: skip


def _leading(rows: Tensor, k: int, name: str) -> Tensor:
    """The first k principal directions as columns."""
    _, sigma, directions = torch.linalg.svd(rows, full_matrices=False)
    # NumPy's rule for the rank of a matrix.
    varying = (sigma > sigma[..., :1] * max(rows.shape[-2:]) * torch.finfo(rows.dtype).eps).sum(-1)
    if bool((varying < k).any()):
        raise ValueError(
            f"`{name}` varies along {int(varying.min())} directions only, so there are no {k} leading ones."
        )
    return directions.mT[..., :k]


@own_settings
def linear_cka(features: Any, reference: Any, *, debiased: bool = True) -> Any:
    """Linear centred kernel alignment (Kornblith et al. 2019), by default with the unbiased HSIC of Song et al. (2012).

    HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) of the linear kernels. The biased form reads 0.86 for independent features
    of 128 × 768; the debiased one reads 0 there. Computed from products of features, in O(n d²).

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order; n ≥ 4 if debiased.
        debiased: False gives the original, which lies in [0, 1].

    Returns:
        1 for equal features up to rotation, translation and scale; about 0 (of either sign) for unrelated ones. NaN, with
        a warning, if debiased where all rows of one lie equally far apart: without its diagonal nothing of its kernel is left.

    Raises:
        ValueError: different numbers of rows, fewer than 4 rows if debiased, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -2.0], [3.0, 1.0]]
    >>> round(linear_cka(x, [[2 * b, -2 * a] for a, b in x]), 12)
    1.0
    """
    found = cka_of(features, reference, debiased)
    if bool(torch.isnan(found.detach()).any()):
        warn_caller(
            "debiased linear CKA is NaN: all rows of `features` or of `reference` lie equally far apart, exactly or to "
            "rounding, so nothing of the kernel is left without its diagonal. `debiased=False` is defined."
        )
    return give_back(features)(found)


register(
    Measure(
        "linear_cka", "linear CKA", REFERENCE, linear_cka, ("pair_sums",),
        formula="debiased HSIC (Song et al.), centred",
        source="Kornblith et al. 2019; Song et al. 2012",
        range=lambda size: (-1, 1),
        baseline=lambda size: 0.0,
        better="higher",
        read=lambda sums: sums.linear_cka() if sums.n >= 4 else None,
        missing="needs at least 4 rows that do not all lie equally far apart",
    )
)  # fmt: skip


@own_settings
def procrustes_distance(features: Any, reference: Any) -> Any:
    """Orthogonal Procrustes distance after centring and scaling both to unit Frobenius norm (Ding et al. 2021).

    min over rotations Q of ‖X − Y Q‖²_F = 2 − 2 ‖XᵀY‖_*, squared as published. Features of different width are
    compared as if the narrower had zero columns added.

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order.

    Returns:
        Between 0 (equal up to rotation, translation and scale) and 2.

    Raises:
        ValueError: different numbers of rows, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]
    >>> abs(round(procrustes_distance(x, [[5 - b, 7 + a] for a, b in x]), 12))
    0.0
    """
    return give_back(features)(pair_sums(features, reference).procrustes_distance())


register(
    Measure(
        "procrustes_distance", "Procrustes distance", REFERENCE, procrustes_distance, ("pair_sums",),
        formula="2 − 2‖XᵀY‖_*, both centred, unit norm",
        source="Ding et al. 2021",
        range=lambda size: (0, 2),
        baseline=None,
        better="lower",
        read=lambda sums: sums.procrustes_distance(),
        no_interval="it reads low where rows are few, and no correction is known",
    )
)  # fmt: skip


@own_settings
def mutual_knn(features: Any, reference: Any, *, k: int = 10, groups: Any = None) -> Any:
    """Share of the k nearest neighbours (by cosine) that both representations agree on (Huh et al. 2024).

    Mean over samples of |N_k(x_i) ∩ N_k(y_i)| / k; a sample is not its own neighbour. Costs O(n² (d1 + d2)), in blocks.

    Rows as near as the k-th (rows that repeat, binary codes) share the places that are left: of t such rows for p places each
    counts p/t, in both representations alike, and a sample's share is the cosine of the two lists of counts. Without ties that
    is the formula above, and no order of the rows decides.

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order.
        k: neighbours, from 1 to n − 1.
        groups: (n,), whole numbers or text, where rows of a group depend on each other (frames of a video): rows of a
            sample's own group are then no neighbours of it. They are alike in any representation, related or not.

    Returns:
        In [0, 1]; about k/(n − 1) for unrelated features, of groups k over the number of rows outside of a group.

    Raises:
        ValueError: different numbers of rows, k out of range, a group that leaves its rows fewer than k neighbours, rows that
            all point one way (every row is then as near as any other); else as `effective_rank`.

    >>> x = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> mutual_knn(x, x, k=1)
    1.0
    """
    x, y = as_pair(features, reference, same_rows=True)
    n = x.shape[-2]
    own = group_codes(groups, n, x.device)
    k = check_neighbours(k, n, own)
    lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = unit_rows(x).expand(*lead, -1, -1), unit_rows(y).expand(*lead, -1, -1)
    refuse_one_direction(x, "features")
    refuse_one_direction(y, "reference")
    shared = x.new_zeros(lead)
    for (start, a), (_, b) in zip(pair_blocks(x), pair_blocks(y), strict=True):
        mine, theirs = neighbour_counts(a, x, start, k, own), neighbour_counts(b, y, start, k, own)
        lengths = mine.square().sum(-1) * theirs.square().sum(-1)
        shared = shared + ((mine * theirs).sum(-1) / lengths.sqrt()).sum(-1)
    return give_back(features)(shared / n)


def _share_by_chance(size: Size) -> float | None:
    if size.candidates <= 0:
        return None
    return size.neighbours / size.candidates


register(
    Measure(
        "mutual_knn", "mutual kNN", REFERENCE, mutual_knn, ("shared_neighbours",),
        formula="shared share of the 10 nearest by cosine",
        source="Huh et al. 2024",
        range=lambda size: (0, 1),
        baseline=_share_by_chance,
        better="higher",
        read=lambda shared: shared.value,
        missing="all rows are of one group, so none has a neighbour outside of its own",
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


@own_settings
def cosine_alignment(features: Any, reference: Any) -> Any:
    """Mean cosine between row i of both: what cosine distillation maximises.

    Args:
        features, reference: (..., n, d), the same samples in the same order, the same width. Not centred.

    Returns:
        In [−1, 1]; 0 for unrelated isotropic features. A row of zeros counts as 0.

    Raises:
        ValueError: different numbers of rows or widths; else as `effective_rank`.

    >>> cosine_alignment([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -3.0]])
    0.0
    """
    x, y = as_pair(features, reference, same_rows=True, same_width=True)
    return give_back(features)((unit_rows(x) * unit_rows(y)).sum(-1).mean(-1))


register(
    Measure(
        "cosine_alignment", "cosine alignment", REFERENCE, cosine_alignment, ("cosine_alignment",),
        formula="mean cosine of row i with row i, not centred",
        source="arXiv 2603.06698",
        range=lambda size: (-1, 1),
        baseline=lambda size: 0.0,
        better="higher",
        read=float,
        invariances=("rotation", "scale", "order"),
        missing=_WIDTHS,
    )
)  # fmt: skip
