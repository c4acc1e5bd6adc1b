"""The spectrum of rows that come in pieces: sums that can be added up in any order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from repgeom.features import as_features, check_normalize, nonfinite_error, row_chunks, unit_rows
from repgeom.spectra import Spectrum

# Smallest over largest variance down to which a method is exact to 1e-6, with a margin of ten: first for measures of
# the variances, then for those that rest on the smallest singular values. Seen over flat, power-law, geometric and
# low-rank spectra with 8 million values and more: float32 products were off by 2e-7 at 1e-8 and by 1e-7 at 1e-4,
# float64 products by 1e-14 anywhere and by 1e-11 at 1e-11.
STEEPEST = {"float32": (1e-8, 1e-4), "float64": (0.0, 1e-11), "qr": (0.0, 0.0)}
# Beyond this mean square over variance, float32 values lie on a grid so coarse that rounding in the sum is biased.
_LARGEST_MEAN = 1e4


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
        self._give: Callable[[Tensor], Any] = lambda value: value.numpy()

    def update(self, batch: Any) -> SpectrumAccumulator:
        """Adds rows (..., n, n_features), n ≥ 1. Returns itself. Raises as `spectrum`, and for another width."""
        x = as_features(batch, "batch", min_rows=1).detach()
        if self.mean is not None and (x.shape[:-2] + x.shape[-1:]) != self.mean.shape:
            raise ValueError(
                f"`batch` has shape {tuple(x.shape)}, but earlier batches had "
                f"{self.mean.shape[-1]} features{' and other leading dimensions' * (x.ndim > 2)}: all must come from one "
                "layer of one model."
            )
        error = None if bool(torch.isfinite(x).all()) else nonfinite_error(x, "batch")
        if error:
            raise error
        if isinstance(batch, Tensor):
            self._give = lambda value: value
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
            self._give = other._give if self.mean is None else self._give
            # A copy, because a first factor is kept as it is and added to in place.
            self._join(other.n_samples, other.mean, other._factor.clone(), other.dtype)
        return self

    def all_reduce(self, group: Any = None) -> SpectrumAccumulator:
        """Adds what every process of a `torch.distributed` group has seen, so that all hold the whole. Returns itself.

        Exact to rounding, whatever the split; a process may have seen no rows. Call it once, on every process, after the last
        `update`: a second call would count all rows again for each process. Gloo and NCCL.

        Args:
            group: a process group; the default one if None.

        Raises:
            RuntimeError: no process group has been set up (`torchrun` and `torch.distributed.init_process_group` do).
            ValueError: processes with other widths, or none with any rows.
        """
        import torch.distributed as dist

        mine = None if self.mean is None else (self.n_samples, self.mean.cpu(), self.dtype)
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
        return self

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
        mean = self._give(found.mean)
        return dataclasses.replace(found, singular_values=self._give(found.singular_values), mean=mean)

    def _absorb(self, rows: Tensor) -> None:
        work = rows.to(torch.float32 if self.method == "float32" else torch.float64)
        if self.normalize:
            work = unit_rows(work)
        mean = work.mean(-2, keepdim=True)
        work = work - mean
        if self.method != "float32":  # there, what rounding of the mean leaves is squared: 1e-14 of the mean's square
            missed = work.mean(-2, keepdim=True)
            work -= missed
            mean = mean + missed
        n, mean = rows.shape[-2], mean.squeeze(-2).double()
        if self.method == "qr":
            self._join(n, mean, triangular_root(work), rows.dtype)
            return
        if self._factor is None:
            self._factor = mean.new_zeros((*mean.shape, mean.shape[-1]))
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

    def _is_steep(self) -> bool:
        """Whether the rows so far show clearly that products in float32 will not do for the tail.

        A Cholesky factorisation of S − tλ₁I, which exists only if no eigenvalue is below tλ₁, costs a tenth of `eigvalsh`.
        """
        scatter = self.scatter()
        if scatter.ndim > 2 or self.n_samples < 2 * scatter.shape[-1] or not torch.isfinite(scatter).all():
            return False
        # A tenth of the threshold: eigenvalues of few rows spread wider than those of all rows will.
        least = 0.1 * STEEPEST["float32"][1] * _largest_eigenvalue(scatter)
        moving = scatter.diagonal() > 0
        shifted = scatter[moving][:, moving] - least * torch.eye(int(moving.sum()), dtype=scatter.dtype)
        return int(torch.linalg.cholesky_ex(shifted).info) != 0

    def scatter(self, unit: Tensor | float = 1.0, *, center: bool = True) -> Tensor:
        """Sum of squares and products about the mean (or zero), (..., d, d), float64, of rows in this unit."""
        if self._factor is None or self.mean is None:
            raise ValueError("this accumulator has seen no rows yet.")
        if self.method == "qr":
            root = self._factor / unit
            found = root.mT @ root
        else:
            found = (self._factor.triu() + self._factor.triu(1).mT) / unit / unit
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
            scatter = self._factor if center else self._factor + extra.mT * extra
            squares = eigenvalues(scatter)[..., : min(self.n_samples, d)]
            moving = (scatter.diagonal(dim1=-2, dim2=-1) > 0).sum(-1).clamp(max=bound)
            squares, steepness = known_zeros(squares, moving)
            if self.method == "float32" and not center:
                # The mean was added in float64: what float32 lost is measured against the centred squares.
                lost = torch.linalg.matrix_norm(self.scatter())
                steepness = steepness * (squares[..., 0] / torch.where(lost > 0, lost, 1)).clamp(min=1)
            exact, exact_tail = (bool((steepness >= least).all()) for least in STEEPEST[self.method])
            if self.method == "float32":
                mean_square = self.mean.square().sum(-1) * self.n_samples
                exact = exact and bool((mean_square <= _LARGEST_MEAN * squares.sum(-1)).all())
            exact = exact and bool(_in_range(squares[..., 0], self.method).all())
            sigma = squares.sqrt()
        method = self.method if self.method == "qr" else f"{self.method} product"
        dtype = str(self.dtype).removeprefix("torch.")
        made = Spectrum(
            sigma, self.n_samples, d, self.mean, center, self.normalize, dtype, method, exact and exact_tail
        )
        return made, exact


def _largest_eigenvalue(matrix: Tensor) -> Tensor:
    """A lower bound, within some ten percent, by power iteration."""
    vector = matrix.sum(-1)
    for _ in range(10):
        vector = vector / torch.linalg.vector_norm(vector).clamp(min=torch.finfo(matrix.dtype).tiny)
        vector = matrix @ vector
    return torch.linalg.vector_norm(vector)


def _add_product(total: Tensor, rows: Tensor) -> None:
    """Adds rowsᵀ rows, multiplied in the rows' own precision, to float64 `total`, on and above its diagonal blocks."""
    d = rows.shape[-1]
    step = max(128, -(-d // 8))  # narrow enough to leave out most of the lower half, wide enough for full speed
    with torch.autocast(rows.device.type, enabled=False):  # which would multiply float32 in half precision, unasked
        for start in range(0, d, step):
            block = slice(start, start + step)
            total[..., block, start:] += rows[..., block].mT @ rows[..., start:]


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
    least, most = (1e-20, 1e30) if method == "float32" else (1e-250, 1e300)
    return (largest > least) & (largest < most)


def _resized(values: Tensor, length: int) -> Tensor:
    """Cut, or filled up with zeros: a triangular root may have fewer rows than there are singular values, or more."""
    return torch.nn.functional.pad(values[..., :length], (0, max(0, length - values.shape[-1])))
