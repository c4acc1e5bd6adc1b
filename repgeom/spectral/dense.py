"""The spectrum of rows that are all at hand: for gradients, for stacks, and for fewer samples than features."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.data.arrays import centred, finite_rows, unit_rows
from repgeom.spectral.methods import STEEPEST
from repgeom.spectral.products import eigenvalues, known_zeros, triangular_root
from repgeom.spectral.spectrum import Spectrum


def centred_rows(x: Tensor, center: bool, normalize: str | None, name: str) -> tuple[Tensor, Tensor]:
    rows = finite_rows(x, name)
    if normalize:
        rows = unit_rows(rows)
    mean = rows.mean(-2)
    return (centred(rows), mean) if center else (rows, torch.zeros_like(mean))


def dense_spectrum(x: Tensor, center: bool, normalize: str | None, tail: bool, name: str) -> Spectrum:
    """All rows at once: for gradients, and for fewer samples than features."""
    return _decomposed(x, center, normalize, tail, name, vectors=False)[0]


def dense_decomposition(
    x: Tensor, center: bool, normalize: str | None, tail: bool, name: str
) -> tuple[Spectrum, Tensor]:
    """The spectrum and the directions (n_features, n − center) of no more rows than features, by one decomposition."""
    spectrum, directions = _decomposed(x, center, normalize, tail, name, vectors=True)
    assert directions is not None
    return spectrum, directions


def _decomposed(
    x: Tensor, center: bool, normalize: str | None, tail: bool, name: str, *, vectors: bool
) -> tuple[Spectrum, Tensor | None]:
    rows, mean = centred_rows(x, center, normalize, name)
    n, d = rows.shape[-2:]
    # Both ends, because `abs` would copy all rows. A scale that is multiplied back at the end needs no gradient.
    low, high = rows.detach().flatten(-2).aminmax(dim=-1)
    largest = torch.maximum(-low, high)[..., None, None]
    scale = torch.where(largest > 0, largest, 1)  # so that squares stay in range
    # Float64 ends near 1e±308, so squares of such values fit, and the rows need not be copied.
    if bool(((scale > 1e-100) & (scale < 1e100)).all()):  # as they do almost always
        scale = torch.ones_like(scale)
    else:
        rows = rows / scale
    # Centring takes one direction, and a column of zeros holds none: singular values beyond this count must be zero.
    moving = (rows != 0).any(-2).sum(-1).clamp(max=min(n - center, d))
    directions = None
    if vectors:
        squares, directions = few_directions(rows, n - center)
        # A spectrum has min(n, d) values, also where centring took a direction.
        squares = torch.nn.functional.pad(squares, (0, min(n, d) - squares.shape[-1]))
    else:
        squares = eigenvalues(rows @ rows.mT if n < d else rows.mT @ rows)
    squares, steepness = known_zeros(squares, moving)
    # The square root has no gradient at zero, so zeros go round it.
    sigma = torch.where(squares > 0, torch.where(squares > 0, squares, 1).sqrt(), 0)
    steep = (steepness < STEEPEST["float64"][1]) & tail
    if steep.any():
        # Of a stack, only steep matrices are worked out again; what the zeros of the others give is thrown away below.
        rows = torch.where(steep[..., None, None], rows, 0)
        # QR has no gradient at low rank, the SVD has; but without one it is the faster way there.
        if not x.requires_grad:
            rows = triangular_root(rows.mT if n < d else rows)
        exact = torch.linalg.svdvals(rows)
        # What must be zero comes out of the SVD as rounding.
        exact = torch.where(torch.arange(exact.shape[-1], device=x.device) < moving[..., None], exact, 0)
        sigma = torch.where(steep[..., None], exact, sigma)
    sigma = sigma * scale[..., 0]
    dtype = str(x.dtype).removeprefix("torch.")
    method = "svd" if bool(steep.any()) else "float64 product"
    exact_tail = tail or bool((steepness >= STEEPEST["float64"][1]).all())
    return Spectrum(sigma, n, d, mean, center, normalize, dtype, method, exact_tail), directions


def few_directions(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Leading `count` squared singular values, and directions (n_features, count), of no more rows than features.

    By a decomposition of n × n.

    Where rows span fewer directions (a row that repeats, columns that never change), the rest are zero: along them nothing
    varies, and an eigenvalue that rounding leaves there must not be taken for a length.
    """
    squares, sides = torch.linalg.eigh(rows @ rows.mT)
    squares, sides = squares.flip(0)[:count], sides.flip(1)[:, :count]
    rounding = max(rows.shape) * torch.finfo(squares.dtype).eps * squares[:1]
    # A length of infinity turns the direction into zeros.
    lengths = torch.where(squares > rounding, squares, torch.inf).sqrt()
    # X = U S Vᵀ, hence V = Xᵀ U / S.
    return squares.clamp(min=0), rows.mT @ (sides / lengths)
