"""Sums of squares and products from which a spectrum is read, added up by any of `METHODS`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from repgeom.data.arrays import unit_rows
from repgeom.reading.tally import State
from repgeom.spectral.methods import (
    LARGEST_MEAN,
    METHODS,
    STEEPEST,
    STEEPEST_DEFLATED,
    WIDE,
    n_deflated,
)
from repgeom.spectral.products import (
    Deflation,
    add_product,
    eigenvalues,
    eigenvectors,
    half_product,
    in_range,
    known_zeros,
    largest_eigenvalue,
    leading_directions,
    mirrored,
    resized,
    triangular_root,
)
from repgeom.spectral.spectrum import Spectrum


class Sums:
    """Sums about the mean of rows that come in pieces.

    Each piece is centred on its own mean and joined by the pairwise update of Chan, Golub and LeVeque (1983), so that any
    split and any order gives the whole's answer to rounding.

    Attributes:
        normalize: "l2" scales each row to unit length first.
        method: "half", "float32", "float64" or "qr"; float32 with a `deflation` is "deflated".
        n_samples, dtype: rows so far, and the widest type among them.
        mean: (..., n_features), float64; None before the first rows.
        factor: the sum of centred squares and products (..., d, d), valid on and above the diagonal; for "qr" its
            triangular root.
        deflation: leading directions that are held apart from `factor`.
    """

    def __init__(self, method: str = "float64", normalize: str | None = None, directions: Tensor | None = None) -> None:
        self.normalize = normalize
        self.method = "float32" if method == "deflated" else method
        self.n_samples = 0
        # A placeholder: `join` takes the type of the first rows as it is.
        self.dtype = torch.float16
        self.mean: Tensor | None = None
        self.factor: Tensor | None = None
        self.deflation = None if directions is None else Deflation(directions)

    def absorb(self, rows: Tensor) -> None:
        """Add rows (..., n, n_features)."""
        if self.method == "half":
            # Half-precision rows less a mean would have to be rounded, so the mean is taken off the products instead.
            mean = rows.mean(-2, dtype=torch.float64)
            self.join(rows.shape[-2], mean, half_product(rows) - rows.shape[-2] * mean[:, None] * mean, rows.dtype)
            return
        in_float32 = self.method == "float32"
        work = rows.to(torch.float32 if in_float32 else torch.float64)
        if self.normalize:
            work = unit_rows(work)
        mean = work.mean(-2, keepdim=True)
        work = work - mean
        if not in_float32:
            # The second pass removes what rounding of a mean far above the spread left. In float32 that is squared, 1e-14
            # of the mean's square, and does not matter.
            missed = work.mean(-2, keepdim=True)
            work -= missed
            mean = mean + missed
        n, mean = rows.shape[-2], mean.squeeze(-2).double()
        if self.method == "qr":
            self.join(n, mean, triangular_root(work), rows.dtype)
            return
        if self.factor is None:
            self.factor = mean.new_zeros((*mean.shape, mean.shape[-1]))
        if self.deflation is not None:
            self.deflation.remove_from(work)
        # Straight into the sums, so that there is no second d × d matrix for the piece.
        add_product(self.factor, work)
        self.join(n, mean, None, rows.dtype)

    def join(self, n: int, mean: Tensor, factor: Tensor | None, dtype: torch.dtype) -> None:
        """Adds n rows with this mean and, unless it has been added, this factor."""
        self.dtype = torch.promote_types(self.dtype, dtype) if self.n_samples else dtype
        if self.mean is None:
            self.n_samples, self.mean = n, mean
            self.factor = self.factor if factor is None else factor
            return
        total = self.n_samples + n
        step = mean - self.mean
        # Two sets about their own means lack n₁ n₂ / (n₁ + n₂) · step stepᵀ of the sum about the common mean.
        between = step[..., None, :] * (self.n_samples * n / total) ** 0.5
        assert self.factor is not None
        if self.method == "qr" and factor is not None:
            self.factor = triangular_root(torch.cat([self.factor, factor, between], -2))
        else:
            self.factor.addcmul_(between.mT, between)
            if factor is not None:
                self.factor += factor
        self.mean = self.mean + step * (n / total)
        self.n_samples = total

    @property
    def is_deflated(self) -> bool:
        return self.deflation is not None

    def will_not_do(self, centers: tuple[bool, ...], tail: bool, margin: float) -> bool:
        """Whether the rows so far show that this method will not be exact for all rows.

        Args:
            centers: which spectra are to be read, about the mean or about zero.
            tail: whether their smallest singular values are to be exact as well.
            margin: below 1 it allows for eigenvalues of few rows, which spread wider than those of all rows will; above 1
                it asks for more than is needed, where rows cannot be read again.
        """
        if self.method == "qr" or self.factor is None or self.factor.ndim > 2:
            return False
        if not self.is_finite():
            return False  # the end will say so, with the place
        return any(self._is_steep(center, tail, margin) or self._is_far(center, margin) for center in centers)

    def _is_steep(self, center: bool, tail: bool, margin: float) -> bool:
        """Whether an eigenvalue is so small that rounding would reach it.

        A Cholesky factorisation of S − tλ₁I, which exists only if no eigenvalue is below tλ₁, costs a tenth of `eigvalsh`.
        """
        scatter = self.scatter(center=center)
        # With fewer than two rows a feature the smallest eigenvalues say more about that number than about the rows.
        if not tail or self.n_samples < 2 * scatter.shape[-1]:
            return False
        least = margin * self._limits(scatter, largest_eigenvalue(scatter), center)[1]
        # A column that never changes has an eigenvalue of zero by any method; a more exact one would not help.
        moving = scatter.diagonal() > 0
        shifted = scatter if bool(moving.all()) else scatter[moving][:, moving]
        shifted.diagonal().sub_(least)  # of a copy: `scatter` makes one
        return int(torch.linalg.cholesky_ex(shifted).info) != 0

    def _is_far(self, center: bool, margin: float) -> bool:
        """Whether the mean is so far from zero that rounding of the values themselves is biased."""
        if self.method not in LARGEST_MEAN or self.mean is None:
            return False
        total = self.scatter(center=center).diagonal().sum()
        return bool(self.mean.square().sum() * self.n_samples * margin > LARGEST_MEAN[self.method] * total)

    def next_exact(self, centers: tuple[bool, ...]) -> str:
        """The cheapest method that is sure to be exact for the tail, judged by what these sums show of all rows."""
        methods = [self._exact_for(center) for center in centers] if self.is_finite() else ["qr"]
        return max(methods, key=METHODS.index)

    def _exact_for(self, center: bool) -> str:
        found = self.read_spectrum(center).spectrum
        variances = found.singular_values.square()
        varying = int((self.scatter(center=center).diagonal() > 0).sum().clamp(max=len(variances)))
        least, largest = variances[max(varying, 1) - 1], variances[0]
        removed = n_deflated(len(variances))
        # Four times what is needed, because these sums know the smallest variances only to a few per cent.
        if self.method == "float32" and not self.is_deflated and len(variances) >= WIDE:
            bound = max(STEEPEST["float32"][1] * variances[removed], STEEPEST_DEFLATED * largest)
            if least > 4 * bound:
                return "deflated"
        # A float32 product shows variances of a millionth of the largest well enough; a float64 product needs far less.
        if self.method != "float64" and least > 1e-6 * largest:
            return "float64"
        return "qr"

    def is_finite(self) -> bool:
        """Whether no sum overflowed; of products, none does before those on the diagonal."""
        if self.factor is None:
            return False
        checked = self.factor
        if self.method != "qr":
            checked = checked.diagonal(dim1=-2, dim2=-1)
            if self.mean is not None:
                # Sums about zero are those about the mean and its squares.
                checked = checked + self.n_samples * self.mean.square()
        return bool(torch.isfinite(checked).all())

    def _limits(self, scatter: Tensor, largest: Tensor, center: bool) -> tuple[Tensor, Tensor]:
        """The smallest variances, in units of the scatter, that measures of variances, and of all values, stand on."""
        rounded = largest  # what rounding is a share of: the largest variance in the product
        if self.is_deflated:
            rounded = self._largest_remaining()
        # Rounding is a share of what was multiplied: rows with their mean for "half", without it for "float32".
        elif center == (self.method == "half") and self.method in ("half", "float32"):
            rounded = largest_eigenvalue(self.scatter(center=not center))
        variances, tail = (share * rounded for share in STEEPEST[self.method])
        if self.is_deflated:
            tail = torch.maximum(tail, STEEPEST_DEFLATED * largest)
        return variances, tail

    def _largest_remaining(self) -> Tensor:
        """The largest variance of rows after their leading directions were taken out."""
        assert self.factor is not None
        return largest_eigenvalue(mirrored(self.factor))

    def leading(self) -> Tensor:
        """The leading directions of the rows so far that "deflated" should take out, (n_features, count)."""
        scatter = self.scatter()
        return leading_directions(scatter, n_deflated(len(scatter)))

    def merge(self, other: Sums) -> None:
        """Add sums that were made by the same method and with the same directions taken out."""
        if other.mean is None or other.factor is None:
            return
        if self.deflation is not None and other.deflation is not None:
            self.deflation.merge(other.deflation)
        # A copy, because a first factor is kept as it is and added to in place.
        self.join(other.n_samples, other.mean, other.factor.clone(), other.dtype)

    def state(self) -> State:
        """Everything that was added up, as tensors and plain values."""
        return {
            "normalize": self.normalize, "method": self.method, "n_samples": self.n_samples,
            "dtype": str(self.dtype).removeprefix("torch."), "mean": self.mean, "factor": self.factor,
            "deflation": None if self.deflation is None else self.deflation.state(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> Sums:
        """The sums that have this state."""
        made = cls(state["method"], state["normalize"])
        made.n_samples, made.dtype = state["n_samples"], getattr(torch, state["dtype"])
        made.mean, made.factor = state["mean"], state["factor"]
        if state["deflation"] is not None:
            made.deflation = Deflation.from_state(state["deflation"])
        return made

    def scatter(self, unit: Tensor | float = 1.0, *, center: bool = True) -> Tensor:
        """Sum of squares and products about the mean (or zero), (..., d, d), float64, of rows in this unit."""
        if self.factor is None or self.mean is None:
            raise ValueError("this accumulator has seen no rows yet.")
        if self.method == "qr":
            root = self.factor / unit
            found = root.mT @ root
        else:
            found = mirrored(self.factor)
            if self.deflation is not None:
                self.deflation.restore(found)
            if not isinstance(unit, float) or unit != 1.0:
                # Twice, because the square of a unit may leave the range of floats.
                found = found / unit / unit
        if center:
            return found
        mean = self.mean[..., None, :] / unit * self.n_samples**0.5
        return found + mean.mT * mean

    def read_spectrum(self, center: bool, *, vectors: bool = False) -> SpectrumRead:
        """The spectrum in tensors, what it is exact for, and its directions if asked for.

        Raises ValueError before two rows have been seen.
        """
        if self.n_samples < 2 or self.factor is None or self.mean is None:
            raise ValueError(f"a spectrum needs at least 2 rows; this accumulator has seen {self.n_samples}.")
        d = self.mean.shape[-1]
        rank = min(self.n_samples - center, d)  # as many singular values as can differ from zero
        if self.method == "qr":
            sigma, directions = self._by_svd(center, vectors)
            sigma = resized(sigma, min(self.n_samples, d))
            # Centring took a direction, of which the root still shows rounding.
            sigma = torch.where(torch.arange(sigma.shape[-1], device=sigma.device) < rank, sigma, 0)
            exact = exact_tail = True
        else:
            sigma, directions, exact, exact_tail = self._by_products(center, rank, vectors)
        method = self.method if self.method == "qr" else f"{self.method} product"
        if self.is_deflated:
            method += ", leading directions apart"
        dtype = str(self.dtype).removeprefix("torch.")
        made = Spectrum(
            sigma, self.n_samples, d, self.mean, center, self.normalize, dtype, method, exact and exact_tail
        )
        return SpectrumRead(made, exact, directions)

    def _by_svd(self, center: bool, vectors: bool) -> tuple[Tensor, Tensor | None]:
        """Singular values and directions (n_features, r) of the triangular root."""
        assert self.factor is not None
        root = self.factor
        if not center:
            root = torch.cat([root, self._mean_row()], -2)
        if not vectors:
            return torch.linalg.svdvals(root), None
        _, sigma, rows = torch.linalg.svd(root, full_matrices=False)
        return sigma, rows.mT

    def _by_products(self, center: bool, rank: int, vectors: bool) -> tuple[Tensor, Tensor | None, bool, bool]:
        """Singular values and directions from the sums of products; whether variances and the tail are exact."""
        assert self.factor is not None
        assert self.mean is not None
        scatter = self.factor if self.deflation is None and not vectors else self.scatter()
        if not center:
            extra = self._mean_row()
            scatter = scatter + extra.mT * extra
        d = scatter.shape[-1]
        directions = None
        if vectors:
            squares, directions = eigenvectors(scatter)
        else:
            squares = eigenvalues(scatter)
        squares = squares[..., : min(self.n_samples, d)]
        moving = (scatter.diagonal(dim1=-2, dim2=-1) > 0).sum(-1).clamp(max=rank)
        squares, steepness = known_zeros(squares, moving)
        limits = self._limits(scatter, squares[..., 0], center)
        exact, exact_tail = (bool((steepness * squares[..., 0] >= least).all()) for least in limits)
        if self.method in LARGEST_MEAN:
            mean_square = self.mean.square().sum(-1) * self.n_samples
            exact = exact and bool((mean_square <= LARGEST_MEAN[self.method] * squares.sum(-1)).all())
        exact = exact and bool(in_range(squares[..., 0], self.method).all())
        return squares.sqrt(), directions, exact, exact_tail

    def _mean_row(self) -> Tensor:
        """The row that undoes the centring when it is added: the mean times √n, (..., 1, n_features)."""
        assert self.mean is not None
        return self.mean[..., None, :] * self.n_samples**0.5


class SpectrumRead(NamedTuple):
    """A spectrum (tensors), whether measures of its variances are exact, and its directions (n_features, r) or None."""

    spectrum: Spectrum
    exact: bool
    directions: Tensor | None
