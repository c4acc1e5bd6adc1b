"""The spectrum of fewer float32 rows than features, from their products with each other in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.data.arrays import CHUNK_VALUES, unit_rows
from repgeom.spectral.methods import LARGEST_MEAN, STEEPEST, cheapest
from repgeom.spectral.products import eigenvalues, in_range, known_zeros
from repgeom.spectral.spectrum import Spectrum


def float32_spectrum(x: Tensor, center: bool, normalize: str | None, tail: bool) -> Spectrum | None:
    """The spectrum of rows (n, d), n < d, where float32 products are exact enough for 1e-6; None where they are not.

    Half the cost of products in float64. `tail` says whether the smallest singular values are to be exact as well.
    """
    n, d = x.shape
    # Four times as many values: the rows are at hand, so that the gain starts earlier than for rows that are read.
    if x.requires_grad or cheapest(4 * x.numel(), d, x.dtype, x.device.type) != "float32":
        return None
    rows = unit_rows(x) if normalize else x
    mean = rows.mean(0, dtype=torch.float64)
    about = mean if center else torch.zeros_like(mean)
    products = _products(rows, about.float())
    if not bool(torch.isfinite(products.diagonal()).all()):
        return None  # NaN or infinity, which are counted elsewhere, or squares beyond the range of float32
    if center:
        # Rounding of the mean to float32 left a small common part in all rows; taken out twice over it is gone.
        products = products - products.mean(0)
        products = products - products.mean(1, keepdim=True)
    squares, steepness = known_zeros(eigenvalues(products), torch.tensor(n - center, device=x.device))
    least = STEEPEST["float32"][1] if tail else STEEPEST["float32"][0]
    far = float(mean.square().sum()) * n > LARGEST_MEAN["float32"] * float(squares.sum())
    if bool(steepness < least) or far or not bool(in_range(squares[0], "float32")):
        return None
    dtype = str(x.dtype).removeprefix("torch.")
    exact_tail = bool(steepness >= STEEPEST["float32"][1])
    return Spectrum(squares.sqrt(), n, d, about, center, normalize, dtype, "float32 product", exact_tail)


def _products(rows: Tensor, about: Tensor) -> Tensor:
    """Products (n, n) of all rows with each other, less `about`: in float32 over some columns, added up in float64."""
    n, d = rows.shape
    products = torch.zeros(n, n, dtype=torch.float64, device=rows.device)
    # Bounds the copy of a block, and how many products are added up in float32.
    step = max(1, CHUNK_VALUES // n)
    with torch.autocast(rows.device.type, enabled=False):  # which would multiply float32 in half precision, unasked
        for start in range(0, d, step):
            block = rows[:, start : start + step] - about[start : start + step]
            product = (block @ block.mT).double()
            # Sums of squares do not change sign, so their rounding does not average out: they are added up in float64.
            product.diagonal().copy_(block.double().square_().sum(1))
            products += product
    return products
