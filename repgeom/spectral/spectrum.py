"""The state that every spectral measure reads: singular values, and how they were made."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_tensor, give_back
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.settings import own_settings


@own_settings
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Spectrum(ShownInNotebook):
    """The singular values of features, with all that is needed to read and report them.

    Made by `spectrum`, by `SpectrumAccumulator.spectrum`, or from known values. Tensors where the features were a
    tensor, NumPy arrays otherwise.

    Attributes:
        singular_values: (..., min(n_samples, n_features)), descending, in units of the features.
        n_samples: number of rows, or None where only the values are known.
        n_features: number of columns.
        mean: (..., n_features), the row mean that was subtracted if `centered`; None where unknown.
        centered: whether the mean was subtracted.
        normalize: None, or "l2" if rows were scaled to unit length before centring.
        dtype: the features' own floating type, as text.
        method: how it was made: "half product", "float32 product", "float32 product, leading directions apart", "float64
            product", "qr", "svd", "given" or "marchenko-pastur". The products say in what they multiplied.
        exact_tail: False where the smallest singular values may be rounding. Measures that need them then refuse;
            measures of the variances do not feel it.
    """

    singular_values: Any
    n_samples: int | None
    n_features: int
    mean: Any = None
    centered: bool = True
    normalize: str | None = None
    dtype: str = "float64"
    method: str = "given"
    exact_tail: bool = True

    def __repr__(self) -> str:
        *stack, n_directions = np.shape(self.singular_values)
        rows = "unknown" if self.n_samples is None else f"{self.n_samples:,}"
        words = f"{n_directions:,} directions of {rows} × {self.n_features:,} {self.dtype}"
        if stack:
            return f"<Spectrum: stack of {' × '.join(map(str, stack))}, {words}, {self.method}>"
        if n_directions and float(self.singular_values[0]) > 0:
            words += f", the first holds {float(self.variance_ratio[0]):.1%} of the variance"
        return f"<Spectrum: {words}, {self.method}>"

    @property
    def variances(self) -> Any:
        """σ² / (n_samples − 1), descending; σ² where n_samples is not known."""
        return self.singular_values**2 / max(1, (self.n_samples or 2) - 1)

    @property
    def variance_ratio(self) -> Any:
        """Each direction's share of the total variance: (..., r), in [0, 1], summing to 1 (NaN if there is none)."""
        sigma = self.singular_values
        # In units of the largest, whose square may lie beyond the range of floats.
        squares = (sigma / sigma[..., :1].clip(min=1e-300)) ** 2
        return squares / squares.sum(-1)[..., None]

    @classmethod
    def from_singular_values(
        cls, values: Any, *, n_samples: int | None = None, n_features: int | None = None
    ) -> Spectrum:
        """A spectrum from known singular values (..., r), in any order.

        Raises ValueError for negative or non-finite values.

        >>> Spectrum.from_singular_values([1, 3, 2]).singular_values
        array([3., 2., 1.])
        """
        sigma = as_tensor(values, "values").double()
        if sigma.ndim == 0 or sigma.shape[-1] == 0:
            raise ValueError(f"`values` must hold at least one singular value, got shape {tuple(sigma.shape)}.")
        bad = ~(torch.isfinite(sigma) & (sigma >= 0))
        if bad.any():
            at = tuple(int(i) for i in bad.nonzero()[0])
            raise ValueError(
                f"`values` must be finite and not negative; the first bad one is {sigma[at].item()} at {at}."
            )
        width = n_features or sigma.shape[-1]
        if sigma.shape[-1] > min(width, n_samples or width):
            raise ValueError(
                f"`values` holds {sigma.shape[-1]} singular values, more than min(n_samples, n_features) = "
                f"{min(width, n_samples or width)} allows."
            )
        sigma = sigma.sort(-1, descending=True).values
        if isinstance(values, Tensor):
            return cls(sigma, n_samples, width)
        return cls(np.atleast_1d(give_back(values)(sigma)), n_samples, width)

    @classmethod
    def from_variances(cls, values: Any, *, n_samples: int | None = None, n_features: int | None = None) -> Spectrum:
        """A spectrum from known variances (eigenvalues of the covariance), (..., r), in any order.

        >>> Spectrum.from_variances([1, 9, 4]).singular_values
        array([3., 2., 1.])
        """
        variances = as_tensor(values, "values").double()
        if bool((variances < 0).any()):
            raise ValueError(f"`values` must not be negative; the smallest variance is {variances.min().item()}.")
        sigma = (variances * max(1, (n_samples or 2) - 1)).sqrt()
        singular_values: Any = sigma
        if not isinstance(values, Tensor):
            singular_values = sigma.numpy()
        return cls.from_singular_values(singular_values, n_samples=n_samples, n_features=n_features)
