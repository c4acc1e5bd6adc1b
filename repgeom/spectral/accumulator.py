"""The spectrum of rows that come in pieces: sums that can be added up in any order."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import as_features, check_normalize, refuse_nonfinite, row_chunks
from repgeom.data.kinds import Features, ProcessGroup
from repgeom.data.processes import require_group
from repgeom.data.settings import own_settings
from repgeom.spectral.products import triangular_root
from repgeom.spectral.spectrum import Spectrum
from repgeom.spectral.sums import Sums


@own_settings
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
        self._sums = Sums(method, normalize)
        self._tensors = False  # whether rows came as tensors, and results go back as such
        self._of_all = False  # whether these are the rows of all processes

    @property
    def normalize(self) -> str | None:
        """None, or "l2" if each row is scaled to unit length first."""
        return self._sums.normalize

    @property
    def method(self) -> str:
        """ "float64" or "qr"."""
        return self._sums.method

    @property
    def n_samples(self) -> int:
        """Rows so far."""
        return self._sums.n_samples

    @property
    def mean(self) -> Tensor | None:
        """Mean row so far, (..., n_features) float64; None before the first rows."""
        return self._sums.mean

    def update(self, batch: Features) -> SpectrumAccumulator:
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
            self._sums.absorb(rows)
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
        if other.mean is not None and self.mean is not None and self.mean.shape != other.mean.shape:
            raise ValueError(
                f"`other` holds rows of {other.mean.shape[-1]} features and this one of {self.mean.shape[-1]}."
            )
        if self.mean is None and other.mean is not None:
            self._tensors = other._tensors
        self._sums.merge(other._sums)
        return self

    def __copy__(self) -> SpectrumAccumulator:
        """A copy that does not share its sums: an accumulator adds to them in place."""
        return copy.deepcopy(self)

    def all_reduce(self, group: ProcessGroup = None) -> SpectrumAccumulator:
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
        # A process without rows sends None: it knows neither a width nor a type.
        mine = None if self.mean is None else (self.n_samples, self.mean.cpu(), self._sums.dtype)
        seen: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(seen, mine, group=group)
        known = [part for part in seen if part is not None]
        shapes = sorted({str(tuple(part[1].shape)) for part in known})
        if not known:
            raise ValueError("no process has rows.")
        if len(shapes) > 1:
            raise ValueError(f"processes hold rows of other widths: {', '.join(shapes)}.")
        total = sum(part[0] for part in known)
        # Weighed by shares of the rows, not by counts: the sum never grows beyond the means themselves.
        mean = sum(part[0] / total * part[1] for part in known)
        self._share(total, mean, group)
        self._sums.n_samples = total
        self._sums.dtype = functools.reduce(torch.promote_types, (part[2] for part in known))
        self._of_all = True
        return self

    def _refuse_twice(self) -> None:
        if self._of_all:
            raise RuntimeError(
                "`all_reduce` has made this the sum of all processes; added to or reduced again, rows would count twice. Use a "
                "new accumulator, or `copy.deepcopy` before reducing."
            )

    def __repr__(self) -> str:
        width = "no" if self.mean is None else f"{self.mean.shape[-1]:,}"
        return f"<SpectrumAccumulator: {self.n_samples:,} rows, {width} features, {self.method}>"

    def _share(self, total: int, mean: Tensor, group: Any) -> None:
        """Sums the factors of all processes, each moved to the common mean."""
        import torch.distributed as dist

        device = mean.device if self.mean is None else self.mean.device
        # NCCL moves tensors of GPUs only.
        if dist.get_backend(group) == "nccl":
            device = torch.device("cuda", torch.cuda.current_device())
        mean, d = mean.to(device), mean.shape[-1]
        # All processes must send one shape: one without rows sends zeros, and a short root is filled up with them.
        n, factor = self.n_samples, mean.new_zeros((*mean.shape[:-1], d, d))
        if self.mean is not None and self._sums.factor is not None:
            # Σ (x − m)(x − m)ᵀ = Σ (x − x̄)(x − x̄)ᵀ + n (x̄ − m)(x̄ − m)ᵀ for the common mean m.
            step = (self.mean.to(device) - mean)[..., None, :] * n**0.5
            if self.method == "qr":
                root = triangular_root(torch.cat([self._sums.factor.to(device), step], -2))
                factor[..., : root.shape[-2], :] = root[..., :d, :]
            else:
                factor = self._sums.factor.to(device) + step.mT * step
        if self.method == "qr":
            # Roots do not add up, but the root of the stacked roots is that of the sum of all RᵀR.
            roots = [torch.empty_like(factor) for _ in range(dist.get_world_size(group))]
            dist.all_gather(roots, factor.contiguous(), group=group)
            factor = triangular_root(torch.cat(roots, -2))
        else:
            dist.all_reduce(factor, group=group)
        self._sums.mean, self._sums.factor = mean, factor

    def spectrum(self, *, center: bool = True) -> Spectrum:
        """The spectrum of all rows so far. Raises ValueError before two rows have been seen."""
        found = self._sums.read_spectrum(center).spectrum
        if self._tensors:
            return found
        return dataclasses.replace(found, singular_values=found.singular_values.numpy(), mean=found.mean.numpy())
