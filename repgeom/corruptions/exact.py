"""Matrix products whose sums do not depend on the order of addition, and rounding that lets gradients through.

On the CPU one image alone and the same image in a batch must agree bit for bit, although a matrix product may add in
another order. So products are made exact: values are rounded to 24 bits and weights to multiples of 2⁻²⁸. Each sum then fits
the 53 bits of a float64, and any order gives the same sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_VALUE_BITS, _WEIGHT_BITS = 24, 28


class _RoundHalfUp(torch.autograd.Function):
    """Round to the nearest whole number, halves up; the derivative is taken as 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x + 0.5).floor_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _RoundDown(torch.autograd.Function):
    """Round down to a whole number; the derivative is taken as 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.floor()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _applied(function: type[torch.autograd.Function], x: Tensor) -> Tensor:
    """`function` of x; torch does not say the type of its result."""
    result: Tensor = function.apply(x)
    return result


def rounded(x: Tensor) -> Tensor:
    """The nearest whole number, halves up; differentiable as if it did nothing."""
    return _applied(_RoundHalfUp, x)


def truncated(x: Tensor) -> Tensor:
    """The whole number below; differentiable as if it did nothing."""
    return _applied(_RoundDown, x)


def along_rows(x: Tensor, matrix: Tensor, *, whole_bits: int = 0) -> Tensor:
    """x @ matrixᵀ in float64, without rounding in the sums; x (..., h, w) with |x| at most about 2^whole_bits."""
    return _on_value_grid(x, _VALUE_BITS - whole_bits) @ matrix.to(x.device).mT


def down_columns(x: Tensor, matrix: Tensor, *, whole_bits: int = 0) -> Tensor:
    """matrix @ x in float64, without rounding in the sums; arguments as in `along_rows`."""
    return matrix.to(x.device) @ _on_value_grid(x, _VALUE_BITS - whole_bits)


def _on_value_grid(x: Tensor, bits: int) -> Tensor:
    """float64 rounded to multiples of 2^-bits. Where a gradient is wanted nothing is rounded, as rounding has none."""
    x = x.double()
    if x.requires_grad:
        return x
    return (x * 2.0**bits).round_().mul_(2.0**-bits)


def on_weight_grid(weights: np.ndarray) -> Tensor:
    """Weights rounded to multiples of 2⁻²⁸, float64."""
    return torch.from_numpy(np.round(weights * 2.0**_WEIGHT_BITS) * 2.0**-_WEIGHT_BITS)
