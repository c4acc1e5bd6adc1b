"""Sums over pairs of centred rows: everything that linear CKA and Procrustes' distance are read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import ZeroVarianceError, centred, finite_rows, mean_row, row_chunks, too_large_error
from repgeom.data.numbers import whole_number
from repgeom.data.row_names import require_same_columns, require_same_order
from repgeom.measures.kernels import alignment_of, has_structure, linear_kernel, without_diagonal

_MOST_PAIRED = 4096  # rows whose products are held: 134 MB of float64 for each kernel


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
        """CKA; NaN where nothing is left without the diagonal. Raises TooLargeError where a sum is not finite."""
        _refuse_overflow(self.aa, self.bb)
        xy = _squared(self.cross)
        xx, yy = _squared(self.square_x), _squared(self.square_y)
        if debiased:
            xy = self._unbiased(xy, self.ab, self.a * self.b)
            share = self.n * torch.finfo(xy.dtype).eps
            # Of the sums with the diagonal, since these are what was rounded.
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
        """The squared distance. Raises TooLargeError where a sum is not finite."""
        _refuse_overflow(self.cross, self.a * self.b)
        nuclear = torch.linalg.svdvals(self.cross).sum(-1)
        # a and b are ‖X‖² and ‖Y‖² in Frobenius norm: both come to unit norm without another pass.
        return (2 - 2 * nuclear / (self.a * self.b) ** 0.5).clamp(min=0)


def _refuse_overflow(*sums: Any) -> None:
    """Sums of rows that were given to an audit are not scaled first: their fourth powers may leave the range of float64."""
    if not all(bool(torch.isfinite(torch.as_tensor(part)).all()) for part in sums):
        raise too_large_error("features` or `reference")


def _squared(matrix: Tensor) -> Tensor:
    return matrix.square().sum((-2, -1))


def pair_sums(features: Any, reference: Any, min_rows: int = 2) -> PairSums:
    x, y = as_pair(features, reference, same_rows=True, min_rows=min_rows, double=False)
    zero = x.new_zeros((), dtype=torch.float64)
    sums = PairSums(zero, zero, zero)
    for a, b in zip(*varying_pieces(x, y), strict=True):
        sums.update(a, b)
    return sums


def cka_of(features: Any, reference: Any, debiased: bool = True) -> Tensor:
    """Linear CKA from sums over rows, and from all pairs where a few rows far from all others hide the rest in the sums."""
    found = pair_sums(features, reference, min_rows=4 if debiased else 2).linear_cka(debiased)
    hidden = torch.isnan(found.detach())
    if bool(hidden.any()):
        found = torch.where(hidden, cka_of_pairs(features, reference), found)
    return found


def cka_of_pairs(features: Any, reference: Any) -> Tensor:
    """Debiased linear CKA from the products of all pairs of rows, of which none far from the rest hides another.

    NaN where all rows of one lie equally far apart, and where there are so many rows that their products take gigabytes.
    """
    x, y = as_pair(features, reference, same_rows=True)
    lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    if x.shape[-2] > _MOST_PAIRED or x.shape[-2] < 4:
        return x.new_full(lead, torch.nan)
    kernels = [linear_kernel(varying(z, name)) for z, name in ((x, "features"), (y, "reference"))]
    first, second = (without_diagonal(kernel) for kernel in kernels)
    known = has_structure(first, kernels[0]) & has_structure(second, kernels[1])
    return torch.where(known, alignment_of(first, second), torch.nan)


def varying_pieces(x: Tensor, y: Tensor, *, keep_columns: bool = False) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
    """The rows of `varying` of both, in pieces of equally many rows: of many, one piece of each is held in float64.

    Of fewer rows than columns the columns are others, with the same products between rows, unless they are to be kept.
    """
    step = min(next(row_chunks(z)).shape[-2] for z in (x, y))
    return _pieces(x, "features", step, keep_columns), _pieces(y, "reference", step, keep_columns)


def _pieces(x: Tensor, name: str, step: int, keep_columns: bool) -> Iterator[Tensor]:
    if x.shape[-2] < x.shape[-1] and not keep_columns:
        return iter(compact(varying(x.double(), name)).split(step, -2))
    mean = mean_row(x)
    largest = torch.zeros_like(mean.detach()[..., :1])
    for rows in x.detach().split(step, -2):
        largest = torch.maximum(largest, (rows.double() - mean.detach()).abs().amax((-2, -1), keepdim=True))
    unit = _not_zero(largest, name)
    return ((rows.double() - mean) / unit for rows in x.split(step, -2))


def compact(rows: Tensor) -> Tensor:
    """Fewer columns, the same inner products between rows, where there are fewer rows than columns."""
    if rows.shape[-2] >= rows.shape[-1] or rows.requires_grad:  # QR has no gradient here: centred rows are singular
        return rows
    return torch.linalg.qr(rows.mT, mode="r").R.mT


def as_pair(
    features: Any,
    reference: Any,
    *,
    same_rows: bool,
    same_width: bool = False,
    min_rows: int = 2,
    double: bool = True,
) -> tuple[Tensor, Tensor]:
    if same_rows:
        require_same_order(features, reference=reference)
    if same_width:
        require_same_columns(features, reference=reference)
    x, y = (finite_rows(z, name, double=double) for z, name in ((features, "features"), (reference, "reference")))
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
    number = whole_number(k)
    if number is None or not 1 <= number <= most:
        raise ValueError(f"`k` must be a whole number from 1 to {most} here, got {k!r}.")
    return number


def varying(x: Tensor, name: str) -> Tensor:
    """Centred rows over their largest entry, so that powers stay in range; refuses rows that are all equal."""
    rows = centred(x)
    return rows / _not_zero(rows.abs().amax((-2, -1), keepdim=True), name)


def _not_zero(largest: Tensor, name: str) -> Tensor:
    if bool((largest == 0).any()):
        raise ZeroVarianceError(f"`{name}` has zero variance: all rows are equal, so there is nothing to compare.")
    # Detached: what is read from these rows does not feel the scale, so no gradient is lost.
    return largest.detach()
