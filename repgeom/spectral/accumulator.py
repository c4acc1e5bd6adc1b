"""The spectrum of rows that come in pieces: sums that can be added up in any order."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import as_features, check_normalize, refuse_nonfinite, row_chunks, unit_rows
from repgeom.data.processes import require_group
from repgeom.spectral.spectrum import Spectrum

# Smallest over largest variance down to which a method is exact to 1e-6, with a margin of ten: first for measures of
# the variances, then for those that rest on the smallest singular values. Seen over flat, power-law, geometric and
# low-rank spectra with 8 million values and more: float32 products were off by 2e-7 at 1e-8 and by 1e-7 at 1e-4,
# float64 products by 1e-14 anywhere and by 1e-11 at 1e-11.
STEEPEST = {"half": (1e-3, 1e-3), "float32": (1e-8, 1e-4), "float64": (0.0, 1e-11), "qr": (0.0, 0.0)}
# Taking leading directions out of float32 rows leaves rounding of 1e-14 of the largest variance along every direction.
_STEEPEST_APART = 1e-8
# Beyond this mean square over variance, float32 values lie on a grid so coarse that rounding in the sum is biased; half
# products are of rows that still have their mean.
_LARGEST_MEAN = {"half": 0.5, "float32": 1e4}
# Ways to add rows up, from cheap to exact; see decompose.py. "apart" is a float32 product without its leading directions.
RUNGS = ("half", "float32", "apart", "float64", "qr")
# Directions taken out of a steep spectrum, a share of all and at least so many: fewer leave too many spectra steep.
_APART = (1 / 64, 16)


class SpectrumAccumulator:
    """The spectrum of rows that never lie in memory together.

    Any split into batches and any order of merging gives the whole's answer to rounding, because each batch is centred
    on its own mean and joined by the pairwise update of Chan, Golub and LeVeque (1983). Memory is O(n_features²).

    Args:
        normalize: "l2" scales each row to unit length first.
        method: "float64" (products in float64; exact for every measure of the variances) or "qr" (about four times the
            work; exact for measures of the singular values too, however many are near zero).

    >>> acc = SpectrumAccumulator()
    >>> for batch in ([[1.0, 0.0], [-1.0, 0.0]], [[0.0, 0.5], [0.0, -0.5]]):
    ...     _ = acc.update(batch)
    >>> acc.n_samples, acc.spectrum().variances * 3
    (4, array([2. , 0.5]))
    """

    def __init__(self, *, normalize: str | None = None, method: str = "float64") -> None:
        check_normalize(normalize)
        if method not in ("float64", "qr"):
            raise ValueError(f'`method` must be "float64" or "qr", got {method!r}.')
        self.normalize = normalize
        self.method = method
        self.n_samples = 0
        self.dtype = torch.float16  # the widest seen, for the report
        self.mean: Tensor | None = None
        # Sum of centred squares and products (d, d), valid on and above the diagonal; its triangular root for "qr".
        self._factor: Tensor | None = None
        self._apart: Apart | None = None
        self._rounded: Tensor | None = None  # the largest variance of what was left, once both are put together
        self._tensors = False  # whether rows came as tensors, and results go back as such
        self._of_all = False  # whether these are the rows of all processes

    def update(self, batch: Any) -> SpectrumAccumulator:
        """Adds rows (..., n, n_features), n ≥ 1. Returns itself. Raises as `spectrum`, and for another width."""
        self._refuse_twice()
        x = as_features(batch, "batch", min_rows=1).detach()
        if self.mean is not None and (x.shape[:-2] + x.shape[-1:]) != self.mean.shape:
            raise ValueError(
                f"`batch` has shape {tuple(x.shape)}, but earlier batches had "
                f"{self.mean.shape[-1]} features{' and other leading dimensions' * (x.ndim > 2)}: all must come from one "
                "layer of one model."
            )
        refuse_nonfinite(x, "batch")
        self._tensors = self._tensors or isinstance(batch, Tensor)
        for rows in row_chunks(x):
            self._absorb(rows)
        return self

    def merge(self, other: SpectrumAccumulator) -> SpectrumAccumulator:
        """Adds all rows that `other` has seen. Returns itself. Raises ValueError if the two were set up differently."""
        if not isinstance(other, SpectrumAccumulator):
            raise TypeError(f"`other` must be a SpectrumAccumulator, got {type(other).__name__}.")
        if other is self:
            raise ValueError("`other` is this accumulator itself: its rows would count twice.")
        for what in ("normalize", "method"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise ValueError(f"`other` was made with {what}={theirs!r} and this accumulator with {what}={mine!r}.")
        if other.mean is not None and other._factor is not None:
            if self.mean is not None and self.mean.shape != other.mean.shape:
                raise ValueError(
                    f"`other` holds rows of {other.mean.shape[-1]} features and this one of {self.mean.shape[-1]}."
                )
            self._tensors = other._tensors if self.mean is None else self._tensors
            # A copy, because a first factor is kept as it is and added to in place.
            self._join(other.n_samples, other.mean, other._factor.clone(), other.dtype)
        return self

    def all_reduce(self, group: Any = None) -> SpectrumAccumulator:
        """Adds what every process of a `torch.distributed` group has seen, so that all hold the whole. Returns itself.

        Exact to rounding, whatever the split; a process may have seen no rows. Call it once, on every process, after the last
        `update`. Gloo and NCCL.

        Args:
            group: a process group; the default one if None.

        Raises:
            RuntimeError: no process group has been set up (`torchrun` and `torch.distributed.init_process_group` do); or all
                rows are here already.
            ValueError: processes with other widths, or none with any rows.
        """
        import torch.distributed as dist

        self._refuse_twice()
        require_group()
        self._put_together()
        rounded = None if self._rounded is None else self._rounded.cpu()
        mine = None if self.mean is None else (self.n_samples, self.mean.cpu(), self.dtype, rounded)
        seen: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(seen, mine, group=group)
        known = [part for part in seen if part is not None]
        if not known or len({part[1].shape for part in known}) > 1:
            shapes = sorted({str(tuple(part[1].shape)) for part in known})
            raise ValueError(
                f"processes hold rows of other widths: {', '.join(shapes)}." if known else "no process has rows."
            )
        total = sum(part[0] for part in known)
        mean = sum(part[0] / total * part[1] for part in known)
        self._share(total, mean, group)
        self.n_samples, self.dtype = total, functools.reduce(torch.promote_types, (part[2] for part in known))
        apart = [part[3] for part in known if part[3] is not None]
        self._rounded = torch.stack(apart).sum().to(mean.device) if apart else None
        self._of_all = True
        return self

    def _refuse_twice(self) -> None:
        if self._of_all:
            raise RuntimeError(
                "`all_reduce` has made this the sum of all processes; added to or reduced again, rows would count twice. Use a "
                "new accumulator, or `copy.deepcopy` before reducing."
            )

    def __copy__(self) -> SpectrumAccumulator:
        """A copy of its own sums: rows added to one are not added to the other."""
        return copy.deepcopy(self)

    def __repr__(self) -> str:
        width = "no" if self.mean is None else f"{self.mean.shape[-1]:,}"
        return f"<SpectrumAccumulator: {self.n_samples:,} rows, {width} features, {self.method}>"

    def _share(self, total: int, mean: Tensor, group: Any) -> None:
        """Sums the factors of all processes, each moved to the common mean."""
        import torch.distributed as dist

        device = mean.device if self.mean is None else self.mean.device
        if dist.get_backend(group) == "nccl":
            device = torch.device("cuda", torch.cuda.current_device())
        mean, d = mean.to(device), mean.shape[-1]
        n, factor = self.n_samples, mean.new_zeros((*mean.shape[:-1], d, d))
        if self.mean is not None and self._factor is not None:
            apart = (self.mean.to(device) - mean)[..., None, :] * n**0.5
            if self.method == "qr":
                root = triangular_root(torch.cat([self._factor.to(device), apart], -2))
                factor[..., : root.shape[-2], :] = root[..., :d, :]
            else:
                factor = self._factor.to(device) + apart.mT * apart
        if self.method == "qr":
            roots = [torch.empty_like(factor) for _ in range(dist.get_world_size(group))]
            dist.all_gather(roots, factor.contiguous(), group=group)
            factor = triangular_root(torch.cat(roots, -2))
        else:
            dist.all_reduce(factor, group=group)
        self.mean, self._factor = mean, factor

    def spectrum(self, *, center: bool = True) -> Spectrum:
        """The spectrum of all rows so far. Raises ValueError before two rows have been seen."""
        found, _ = self._spectrum(center)
        if self._tensors:
            return found
        return dataclasses.replace(found, singular_values=found.singular_values.numpy(), mean=found.mean.numpy())

    def _absorb(self, rows: Tensor) -> None:
        if self.method == "half":
            mean = rows.mean(-2, dtype=torch.float64)
            self._join(rows.shape[-2], mean, _half_product(rows) - rows.shape[-2] * mean[:, None] * mean, rows.dtype)
            return
        narrow = self.method == "float32"
        work = rows.to(torch.float32 if narrow else torch.float64)
        if self.normalize:
            work = unit_rows(work)
        mean = work.mean(-2, keepdim=True)
        work = work - mean
        if not narrow:  # there, what rounding of the mean leaves is squared: 1e-14 of the mean's square
            missed = work.mean(-2, keepdim=True)
            work -= missed
            mean = mean + missed
        n, mean = rows.shape[-2], mean.squeeze(-2).double()
        if self.method == "qr":
            self._join(n, mean, triangular_root(work), rows.dtype)
            return
        if self._factor is None:
            self._factor = mean.new_zeros((*mean.shape, mean.shape[-1]))
        if self._apart is not None:
            self._apart.take(work)
        _add_product(self._factor, work)
        self._join(n, mean, None, rows.dtype)

    def _join(self, n: int, mean: Tensor, factor: Tensor | None, dtype: torch.dtype) -> None:
        """Adds n rows with this mean and, unless it has been added, this factor."""
        self.dtype = torch.promote_types(self.dtype, dtype) if self.n_samples else dtype
        if self.mean is None:
            self.n_samples, self.mean = n, mean
            self._factor = self._factor if factor is None else factor
            return
        total = self.n_samples + n
        step = mean - self.mean
        between = step[..., None, :] * (self.n_samples * n / total) ** 0.5
        assert self._factor is not None
        if self.method == "qr" and factor is not None:
            self._factor = triangular_root(torch.cat([self._factor, factor, between], -2))
        else:
            self._factor.addcmul_(between.mT, between)
            if factor is not None:
                self._factor += factor
        self.mean = self.mean + step * (n / total)
        self.n_samples = total

    @property
    def rung(self) -> str:
        """Which of `RUNGS` this is."""
        return self.method if self._apart is None and self._rounded is None else "apart"

    def _is_steep(self, margin: float = 0.1, center: bool = True) -> bool:
        """Whether the rows so far show clearly that this method will not do for the tail.

        A Cholesky factorisation of S − tλ₁I, which exists only if no eigenvalue is below tλ₁, costs a tenth of `eigvalsh`. A
        margin below 1 allows for eigenvalues of few rows, which spread wider than those of all rows will.
        """
        scatter = self.scatter(center=center)
        if scatter.ndim > 2 or self.n_samples < 2 * scatter.shape[-1] or not self._is_finite():
            return False
        least = margin * self._limits(scatter, _largest_eigenvalue(scatter), center)[1]
        moving = scatter.diagonal() > 0
        shifted = scatter if bool(moving.all()) else scatter[moving][:, moving]
        shifted.diagonal().sub_(least)  # of a copy: `scatter` makes one
        return int(torch.linalg.cholesky_ex(shifted).info) != 0

    def _is_finite(self) -> bool:
        """Whether no sum overflowed; of products, none does before those on the diagonal."""
        if self._factor is None:
            return False
        found = self._factor if self.method == "qr" else self._factor.diagonal(dim1=-2, dim2=-1)
        return bool(torch.isfinite(found).all())

    def _limits(self, scatter: Tensor, largest: Tensor, center: bool) -> tuple[Tensor, Tensor]:
        """The smallest variances, in units of the scatter, that measures of variances, and of all values, stand on."""
        rounded = largest  # what rounding is a share of: the largest variance in the product
        if self.rung == "apart":
            rounded = self._largest_left()
        elif center == (self.method == "half") and self.method in ("half", "float32"):
            rounded = _largest_eigenvalue(self.scatter(center=not center))
        variances, tail = (share * rounded for share in STEEPEST[self.method])
        return variances, torch.maximum(tail, _STEEPEST_APART * largest) if self.rung == "apart" else tail

    def _largest_left(self) -> Tensor:
        """The largest variance of rows whose leading directions are held apart."""
        if self._rounded is not None:
            return self._rounded
        assert self._factor is not None
        return _largest_eigenvalue(_mirrored(self._factor))

    def _set_apart(self) -> None:
        """From now on, for the same rows again, holds the leading directions that the rows so far show apart."""
        scatter = self.scatter()
        self._apart = Apart(_leading(scatter, max(_APART[1], round(_APART[0] * len(scatter)))))
        self.n_samples, self.mean, self._factor = 0, None, None

    def _put_together(self) -> None:
        """Back to one sum, which other processes can add to theirs."""
        if self._apart is not None:
            self._rounded, self._factor = self._largest_left(), self.scatter()
            self._apart = None

    def scatter(self, unit: Tensor | float = 1.0, *, center: bool = True) -> Tensor:
        """Sum of squares and products about the mean (or zero), (..., d, d), float64, of rows in this unit."""
        if self._factor is None or self.mean is None:
            raise ValueError("this accumulator has seen no rows yet.")
        if self.method == "qr":
            root = self._factor / unit
            found = root.mT @ root
        else:
            found = _mirrored(self._factor)
            if self._apart is not None:
                self._apart.put_back(found)
            if not isinstance(unit, float) or unit != 1.0:
                found = found / unit / unit
        if center:
            return found
        mean = self.mean[..., None, :] / unit * self.n_samples**0.5
        return found + mean.mT * mean

    def _spectrum(self, center: bool) -> tuple[Spectrum, bool]:
        """The spectrum in tensors, and whether measures of the variances are exact on it."""
        if self.n_samples < 2 or self._factor is None or self.mean is None:
            raise ValueError(f"a spectrum needs at least 2 rows; this accumulator has seen {self.n_samples}.")
        extra = self.mean[..., None, :] * self.n_samples**0.5  # the row that undoes the centring
        d = self.mean.shape[-1]
        bound = min(self.n_samples - center, d)
        if self.method == "qr":
            root = self._factor if center else torch.cat([self._factor, extra], -2)
            sigma = _resized(torch.linalg.svdvals(root), min(self.n_samples, d))
            sigma = torch.where(torch.arange(sigma.shape[-1], device=sigma.device) < bound, sigma, 0)
            exact = exact_tail = True
        else:
            scatter = self._factor if self._apart is None else self.scatter()
            scatter = scatter if center else scatter + extra.mT * extra
            squares = eigenvalues(scatter)[..., : min(self.n_samples, d)]
            moving = (scatter.diagonal(dim1=-2, dim2=-1) > 0).sum(-1).clamp(max=bound)
            squares, steepness = known_zeros(squares, moving)
            limits = self._limits(scatter, squares[..., 0], center)
            exact, exact_tail = (bool((steepness * squares[..., 0] >= least).all()) for least in limits)
            if self.method in _LARGEST_MEAN:
                mean_square = self.mean.square().sum(-1) * self.n_samples
                exact = exact and bool((mean_square <= _LARGEST_MEAN[self.method] * squares.sum(-1)).all())
            exact = exact and bool(_in_range(squares[..., 0], self.method).all())
            sigma = squares.sqrt()
        method = self.method if self.method == "qr" else f"{self.method} product"
        method += ", leading directions apart" if self.rung == "apart" else ""
        dtype = str(self.dtype).removeprefix("torch.")
        made = Spectrum(
            sigma, self.n_samples, d, self.mean, center, self.normalize, dtype, method, exact and exact_tail
        )
        return made, exact


def _largest_eigenvalue(matrix: Tensor) -> Tensor:
    """A lower bound, within some ten percent, by power iteration."""
    vector = _random(matrix.shape[-1], 1, matrix)[:, 0]
    for _ in range(10):
        vector = vector / torch.linalg.vector_norm(vector).clamp(min=torch.finfo(matrix.dtype).tiny)
        vector = matrix @ vector
    return torch.linalg.vector_norm(vector)


def _random(rows: int, columns: int, like: Tensor) -> Tensor:
    """Fixed Gaussian numbers."""
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(like)


def _leading(matrix: Tensor, count: int) -> Tensor:
    """Close to the leading eigenvectors (d, count), by subspace iteration."""
    vectors = _random(len(matrix), count, matrix)
    for _ in range(4):
        vectors = torch.linalg.qr(matrix @ vectors).Q
    return vectors


def _mirrored(upper: Tensor) -> Tensor:
    """The symmetric matrix with this upper half, as a copy."""
    full = upper.clone()
    for start in range(0, upper.shape[-1], 128):
        block, right = slice(start, start + 128), slice(start + 128, None)
        full[..., right, block] = upper[..., block, right].mT
        corner = upper[..., block, block].triu()
        full[..., block, block] = corner + corner.triu(1).mT
    return full


class Apart:
    """Leading directions taken out of float32 rows: a float32 product of the rest then keeps a steep spectrum's tail.

    With rows X = Y + A Vᵀ, XᵀX = YᵀY + V AᵀY + (V AᵀY)ᵀ + V AᵀA Vᵀ, whatever the directions V are. Their own part AᵀA is
    multiplied in float64.
    """

    def __init__(self, directions: Tensor) -> None:
        self.directions = directions.float()
        count, d = directions.shape[1], len(directions)
        self.cross = directions.new_zeros(count, d)
        self.core = directions.new_zeros(count, count)

    def take(self, rows: Tensor) -> None:
        """Leaves Y where X was, in place."""
        with torch.autocast(rows.device.type, enabled=False):
            along = rows @ self.directions
            rows.addmm_(along, self.directions.mT, alpha=-1)
            self.cross += along.mT @ rows
            wide = along.double()
            self.core += wide.mT @ wide

    def put_back(self, scatter: Tensor) -> None:
        """Makes XᵀX of YᵀY, in place."""
        directions = self.directions.double()
        half = directions @ (self.cross + self.core @ directions.mT / 2)
        scatter += half
        scatter += half.mT


def _half_product(rows: Tensor) -> Tensor:
    """rowsᵀ rows of half-precision rows, exact products added up in float32: on a GPU by its matrix units.

    Such numbers lie on a coarse grid, on which rounding does not average out; 128 rows at a time keep it below 1e-6.
    """
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
    with torch.autocast(rows.device.type, enabled=False):
        for block in rows.split(128):
            if rows.is_cuda and "dtype" in torch.ops.aten.mm.overloads():  # torch 2.8 and newer
                total += torch.mm(block.mT, block, out_dtype=torch.float32)
            else:
                total += block.float().mT @ block.float()
    total.diagonal().copy_(_squares(rows))
    return total


def _add_product(total: Tensor, rows: Tensor) -> None:
    """Adds rowsᵀ rows, multiplied in the rows' own precision, to float64 `total`, on and above its diagonal blocks.

    Sums of squares do not change sign, so their rounding in float32 does not average out where values repeat (signs, whole
    numbers, zeros of a ReLU): up to 5e-6 in a rank. They are therefore added up in float64, which costs a tenth.
    """
    d = rows.shape[-1]
    step = max(128, -(-d // 8))  # narrow enough to leave out most of the lower half, wide enough for full speed
    squares = _squares(rows) if rows.dtype == torch.float32 else None
    with torch.autocast(rows.device.type, enabled=False):  # which would multiply float32 in half precision, unasked
        for start in range(0, d, step):
            block = slice(start, start + step)
            product = rows[..., block].mT @ rows[..., start:]
            total[..., block, start:] += product
            if squares is not None:
                total.diagonal()[block] += squares[block] - product.diagonal()


def _squares(rows: Tensor) -> Tensor:
    """Sums of squares of columns, float64, in blocks that stay in the cache."""
    step = 128 if rows.device.type == "cpu" else len(rows)
    return torch.stack([block.double().square_().sum(0) for block in rows.split(step)]).sum(0)


def triangular_root(rows: Tensor) -> Tensor:
    """The triangular R with RᵀR = rowsᵀ rows, without the cascade of ever smaller rounding that low rank leaves in it.

    That runs into denormal numbers, on which a 2,048-wide SVD takes a minute; 1e-30 of the largest entry is far below
    what float64 can tell from zero.
    """
    root = torch.linalg.qr(rows, mode="r").R
    least = 1e-30 * root.abs().amax((-2, -1), keepdim=True)
    return torch.where(root.abs() < least, 0, root)


def eigenvalues(scatter: Tensor) -> Tensor:
    """Eigenvalues, descending, not below zero."""
    return torch.linalg.eigvalsh(scatter, UPLO="U").flip(-1).clamp(min=0)


def known_zeros(squares: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Sets what must be zero (beyond `rank`) to zero; smallest over largest of the rest, 1 where nothing varies."""
    squares = torch.where(torch.arange(squares.shape[-1], device=squares.device) < rank[..., None], squares, 0)
    last = squares.gather(-1, (rank[..., None] - 1).clamp(min=0))[..., 0]
    first = squares[..., 0]
    return squares, torch.where(first > 0, last / torch.where(first > 0, first, 1), 1.0)


def _in_range(largest: Tensor, method: str) -> Tensor:
    """Whether the squares neither over- nor underflowed."""
    least, most = (1e-20, 1e30) if method in ("float32", "half") else (1e-250, 1e300)
    return (largest > least) & (largest < most)


def _resized(values: Tensor, length: int) -> Tensor:
    """Cut, or filled up with zeros: a triangular root may have fewer rows than there are singular values, or more."""
    return torch.nn.functional.pad(values[..., :length], (0, max(0, length - values.shape[-1])))
