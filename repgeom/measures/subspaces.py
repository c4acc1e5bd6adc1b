"""How far apart are two subspaces?"""

from __future__ import annotations

import torch
from torch import Tensor


def subspace_angles(v: Tensor, w: Tensor) -> Tensor:
    """Angles between the column spans of two orthonormal bases, ascending."""
    cosines = torch.linalg.svdvals(v.mT @ w).clamp(max=1)
    # Sines ascend where cosines descend.
    sines = torch.linalg.svdvals(w - v @ (v.mT @ w)).clamp(max=1).flip(-1)
    # The arccosine loses half of its digits near 0, the arcsine near π/2; they change over at π/4. Each is given only what
    # it is read at: at 1 both have an infinite slope, which would make the gradient NaN where it is not even read.
    near = cosines.square() > 0.5
    small = torch.where(near, _without_kink(sines, v), 0).asin()
    large = torch.where(near, 0, _without_kink(cosines, v)).acos()
    return torch.where(near, small, large)


def _without_kink(values: Tensor, like: Tensor) -> Tensor:
    """Singular values; those that are rounding without a gradient, as each is a length, which has none at 0."""
    rounding = 8 * max(like.shape[-2:]) * torch.finfo(like.dtype).eps
    return torch.where(values > rounding, values, values.detach())
