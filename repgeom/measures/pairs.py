"""What do two representations of the same samples share? Row i of both is the same sample."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import centred, finite_rows, give_back, pair_blocks, row_chunks, unit_rows


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
    x, y = _pair(features, reference, same_rows=False, same_width=True)
    x, y = _varying(x, "features"), _varying(y, "reference")
    directions = torch.linalg.svd(y, full_matrices=False).Vh.mT[..., : y.shape[-2] - 1]
    curve = captured_curve((x @ directions).square().sum(-2), x.square().sum((-2, -1)))
    return give_back(features)(curve if k is None else curve[..., check_k(k, curve.shape[-1]) - 1])


def captured_curve(energy: Tensor, total: Tensor) -> Tensor:
    """Cumulative share from the energy along each direction."""
    return (energy.cumsum(-1) / total[..., None]).clamp(max=1)


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
    x, y = _pair(features, reference, same_rows=False, same_width=True)
    check_k(k, min(x.shape[-2] - 1, y.shape[-2] - 1, x.shape[-1]))
    v, w = (_leading(_varying(z, name), k, name) for z, name in ((x, "features"), (y, "reference")))
    return give_back(features)(subspace_angles(v, w))


def _leading(rows: Tensor, k: int, name: str) -> Tensor:
    """The first k principal directions as columns."""
    _, sigma, directions = torch.linalg.svd(rows, full_matrices=False)
    varying = (sigma > sigma[..., :1] * max(rows.shape[-2:]) * torch.finfo(rows.dtype).eps).sum(-1)
    if bool((varying < k).any()):
        raise ValueError(
            f"`{name}` varies along {int(varying.min())} directions only, so there are no {k} leading ones."
        )
    return directions.mT[..., :k]


def subspace_angles(v: Tensor, w: Tensor) -> Tensor:
    """Angles between the column spans of two orthonormal bases, ascending."""
    cosines = torch.linalg.svdvals(v.mT @ w).clamp(max=1)
    sines = torch.linalg.svdvals(w - v @ (v.mT @ w)).clamp(max=1).flip(-1)
    return torch.where(cosines.square() > 0.5, sines.asin(), cosines.acos())


def linear_cka(features: Any, reference: Any, *, debiased: bool = True) -> Any:
    """Linear centred kernel alignment (Kornblith et al. 2019), by default with the unbiased HSIC of Song et al. (2012).

    HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) of the linear kernels. The biased form reads 0.86 for independent features
    of 128 × 768; the debiased one reads 0 there. Computed from products of features, in O(n d²).

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order; n ≥ 4 if debiased.
        debiased: False gives the original, which lies in [0, 1].

    Returns:
        1 for equal features up to rotation, translation and scale; about 0 (of either sign) for unrelated ones. NaN if
        debiased where all rows of one lie equally far apart: without its diagonal nothing of its kernel is left.

    Raises:
        ValueError: different numbers of rows, fewer than 4 rows if debiased, no variance; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -2.0], [3.0, 1.0]]
    >>> round(linear_cka(x, [[2 * b, -2 * a] for a, b in x]), 12)
    1.0
    """
    sums = pair_sums(features, reference, min_rows=4 if debiased else 2)
    return give_back(features)(sums.linear_cka(debiased))


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


def mutual_knn(features: Any, reference: Any, *, k: int = 10) -> Any:
    """Share of the k nearest neighbours (by cosine) that both representations agree on (Huh et al. 2024).

    Mean over samples of |N_k(x_i) ∩ N_k(y_i)| / k; a sample is not its own neighbour. Costs O(n² (d1 + d2)), in blocks.

    Args:
        features, reference: (..., n, d1) and (..., n, d2), the same n samples in the same order.
        k: neighbours, from 1 to n − 1.

    Returns:
        In [0, 1]; about k/(n − 1) for unrelated features.

    Raises:
        ValueError: different numbers of rows, k out of range; else as `effective_rank`.

    >>> x = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
    >>> mutual_knn(x, x, k=1)
    1.0
    """
    x, y = _pair(features, reference, same_rows=True)
    n = x.shape[-2]
    check_k(k, n - 1)
    lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = unit_rows(x).expand(*lead, -1, -1), unit_rows(y).expand(*lead, -1, -1)
    shared = x.new_zeros(lead)
    for (start, a), (_, b) in zip(pair_blocks(x), pair_blocks(y), strict=True):
        marked = x.new_zeros((*a.shape[:-1], n), dtype=torch.bool).scatter_(-1, nearest(a, x, start, k)[1], True)
        shared = shared + marked.gather(-1, nearest(b, y, start, k)[1]).sum((-2, -1))
    return give_back(features)(shared / (n * k))


def nearest(queries: Tensor, units: Tensor, start: int, k: int) -> tuple[Tensor, Tensor]:
    """Similarities and indices (..., q, k) of the k most similar other rows; query i is row start + i itself."""
    similarity = queries @ units.mT
    own = torch.arange(start, start + queries.shape[-2], device=units.device)
    similarity[..., own - start, own] = -torch.inf
    most_similar = similarity.topk(k, dim=-1)
    return most_similar.values, most_similar.indices


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
    x, y = _pair(features, reference, same_rows=True, same_width=True)
    return give_back(features)((unit_rows(x) * unit_rows(y)).sum(-1).mean(-1))


@dataclasses.dataclass
class PairSums:
    """What one pass over both representations must keep for CKA, Procrustes and the mean cosine: O(d1 d2) memory.

    Rows are taken about the two means, which must be known. With a_i = ‖x_i‖² and b_i = ‖y_i‖² of centred rows, the
    sums below give every HSIC without an n × n kernel.
    """

    cross: Tensor  # Xᵀ Y
    square_x: Tensor  # Xᵀ X
    square_y: Tensor  # Yᵀ Y
    n: int = 0
    a: Any = 0.0
    b: Any = 0.0
    aa: Any = 0.0
    bb: Any = 0.0
    ab: Any = 0.0

    def update(self, x: Tensor, y: Tensor, own: bool = True) -> None:
        """Adds centred float64 rows; `own=False` where XᵀX and YᵀY are known already."""
        self.n += x.shape[-2]
        self.cross = self.cross + x.mT @ y
        if own:
            self.square_x = self.square_x + x.mT @ x
            self.square_y = self.square_y + y.mT @ y
        a, b = x.square().sum(-1), y.square().sum(-1)
        self.a, self.b = self.a + a.sum(-1), self.b + b.sum(-1)
        self.aa, self.bb = self.aa + a.square().sum(-1), self.bb + b.square().sum(-1)
        self.ab = self.ab + (a * b).sum(-1)

    def linear_cka(self, debiased: bool = True) -> Tensor:
        xy = _squared(self.cross)
        xx, yy = _squared(self.square_x), _squared(self.square_y)
        if debiased:
            xy = self._unbiased(xy, self.ab, self.a * self.b)
            share = self.n * torch.finfo(xy.dtype).eps
            least_x, least_y = share * xx, share * yy
            xx = self._unbiased(xx, self.aa, self.a * self.a)
            yy = self._unbiased(yy, self.bb, self.b * self.b)
            # Rows that are all equally far apart have no structure left without the diagonal: what is left is rounding.
            small = (xx.abs() <= least_x) | (yy.abs() <= least_y)
            return torch.where(small, torch.nan, xy / torch.where(small, 1, xx * yy).abs().sqrt())
        return xy / (xx * yy).sqrt()

    def _unbiased(self, square: Tensor, products: Any, totals: Any) -> Tensor:
        """n(n − 3) times the HSIC of Song et al.: kernels without their diagonal; the centred rows sum to zero."""
        n = self.n
        return square - products + totals / ((n - 1) * (n - 2)) - 2 * products / (n - 2)

    def procrustes_distance(self) -> Tensor:
        nuclear = torch.linalg.svdvals(self.cross).sum(-1)
        return (2 - 2 * nuclear / (self.a * self.b) ** 0.5).clamp(min=0)


def _squared(matrix: Tensor) -> Tensor:
    return matrix.square().sum((-2, -1))


def pair_sums(features: Any, reference: Any, min_rows: int = 2) -> PairSums:
    x, y = _pair(features, reference, same_rows=True, min_rows=min_rows)
    x, y = _compact(_varying(x, "features")), _compact(_varying(y, "reference"))
    zero = x.new_zeros(())
    sums = PairSums(zero, zero, zero)
    step = min(_rows_per_chunk(x), _rows_per_chunk(y))
    for a, b in zip(x.split(step, -2), y.split(step, -2), strict=True):
        sums.update(a, b)
    return sums


def _rows_per_chunk(x: Tensor) -> int:
    return next(row_chunks(x)).shape[-2]


def _compact(rows: Tensor) -> Tensor:
    """Fewer columns, the same inner products between rows, where there are fewer rows than columns."""
    if rows.shape[-2] >= rows.shape[-1] or rows.requires_grad:  # QR has no gradient here: centred rows are singular
        return rows
    return torch.linalg.qr(rows.mT, mode="r").R.mT


def _pair(
    features: Any, reference: Any, *, same_rows: bool, same_width: bool = False, min_rows: int = 2
) -> tuple[Tensor, Tensor]:
    x, y = finite_rows(features), finite_rows(reference, "reference")
    check_pair(tuple(x.shape), tuple(y.shape), same_rows, same_width)
    if same_rows and x.shape[-2] < min_rows:
        raise ValueError(f"this measure needs at least {min_rows} rows, got {x.shape[-2]}; `debiased=False` needs 2.")
    return x, y.to(x.device)


def check_pair(
    x: tuple[int, ...],
    y: tuple[int, ...],
    same_rows: bool,
    same_width: bool,
    names: tuple[str, str] = ("features", "reference"),
) -> None:
    """Raises ValueError for shapes of two representations that do not belong together."""
    first, second = (f"`{name}`" for name in names)
    if same_rows and x[-2] != y[-2]:
        raise ValueError(
            f"{first} has {x[-2]:,} rows and {second} {y[-2]:,} (shapes {x} and {y}): row i of both must be the same "
            "sample. Was one of them extracted with a last batch dropped, or shuffled?"
        )
    if same_width and x[-1] != y[-1]:
        raise ValueError(
            f"{first} has {x[-1]} columns and {second} {y[-1]} (shapes {x} and {y}): this compares directions in one "
            + (
                "space. Are both of the same model and layer?"
                if names[1] == "corrupted"
                else "space. For different widths use `linear_cka`, `procrustes_distance` or `mutual_knn`."
            )
        )


def check_k(k: int, most: int) -> int:
    if not (isinstance(k, (int, np.integer)) and not isinstance(k, bool) and 1 <= k <= most):
        raise ValueError(f"`k` must be a whole number from 1 to {most} here, got {k!r}.")
    return int(k)


def _varying(x: Tensor, name: str) -> Tensor:
    """Centred rows over their largest entry, so that powers stay in range; refuses rows that are all equal."""
    rows = centred(x)
    largest = rows.abs().amax((-2, -1), keepdim=True)
    if bool((largest == 0).any()):
        raise ValueError(f"`{name}` has zero variance: all rows are equal, so there is nothing to compare.")
    return rows / largest.detach()
