"""Kernels of all pairs of rows, centred without their diagonal, and the alignment of two of them.

Székely and Rizzo's (2014) centring makes every row sum zero with the diagonal left out. Σ K̃ ∘ L̃ is then n (n − 3) times the
unbiased HSIC of Song et al. (2012), an inner product: so the alignment of two kernels is the cosine of an angle.
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear_kernel(rows: Tensor) -> Tensor:
    """Products (..., n, n) of rows about their median, of which one far away does not spoil those of the others."""
    rows = rows - rows.detach().median(-2, keepdim=True).values
    return rows @ rows.mT


def rbf_kernel(rows: Tensor, bandwidth: float) -> Tensor:
    """exp(−‖x_i − x_j‖² / (2 σ²)), (..., n, n), with σ the bandwidth times the median distance of two rows."""
    n = rows.shape[-2]
    squares = rows.square().sum(-1)
    squared = (squares[..., None] + squares[..., None, :] - 2 * rows @ rows.mT).clamp(min=0)
    upper = torch.ones(n, n, dtype=torch.bool, device=rows.device).triu(1)
    median = squared.detach()[..., upper].median(-1).values
    # Where most rows are equal, the mean says how far the others lie.
    scale = torch.where(median > 0, median, squared.detach()[..., upper].mean(-1))
    return torch.exp(-squared / (2 * bandwidth**2 * scale[..., None, None]))


def without_diagonal(kernel: Tensor) -> Tensor:
    """The kernel centred without its diagonal: every row sums to zero, and the diagonal is zero."""
    n = kernel.shape[-1]
    off = ~torch.eye(n, dtype=torch.bool, device=kernel.device)
    kernel = torch.where(off, kernel, 0)
    sums = kernel.sum(-1, keepdim=True)
    total = sums.sum(-2, keepdim=True)
    return torch.where(off, kernel - (sums + sums.mT) / (n - 2) + total / ((n - 1) * (n - 2)), 0)


def double_centred(kernel: Tensor) -> Tensor:
    """The kernel of centred features: what the biased form compares."""
    means = kernel.mean(-1, keepdim=True)
    return kernel - means - means.mT + means.mean(-2, keepdim=True)


def has_structure(centred: Tensor, kernel: Tensor) -> Tensor:
    """Whether more than rounding is left of a kernel after centring, (...,)."""
    rounding = 4 * kernel.shape[-1] * torch.finfo(kernel.dtype).eps * kernel.detach().abs().amax((-2, -1))
    return centred.detach().abs().amax((-2, -1)) > rounding


def alignment_of(k: Tensor, other: Tensor) -> Tensor:
    """Cosine (...,) of two centred kernels (..., n, n)."""
    k, other = (z / z.detach().abs().amax((-2, -1), keepdim=True) for z in (k, other))
    return (k * other).sum((-2, -1)) / (k.square().sum((-2, -1)) * other.square().sum((-2, -1))).sqrt()


def row_products(k: Tensor, other: Tensor) -> Tensor:
    """Σ_j k_ij other_ij of each row, (n,)."""
    return torch.einsum("ij,ij->i", k, other)


def alignment_without(both: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The alignment, and (n,) that without row i, of kernels centred without their diagonals.

    Args:
        both, first, second: (n,), `row_products` of the two kernels, and of each with itself.

    Without row i, centring again takes (n − 2) / (n − 3) of twice the row's products away: rows sum to zero already.
    """
    n = len(both)
    times = 2 * (n - 2) / (n - 3)
    whole = both.sum() / (first.sum() * second.sum()).sqrt()
    lost = [part.sum() - times * part for part in (both, first, second)]
    return whole, lost[0] / (lost[1] * lost[2]).clamp(min=0).sqrt()
