"""Linear CKA of two sets of rows with an interval from leaving out each row in turn (the jackknife)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repgeom.measures.pair_sums import cka_of
from repgeom.robustness.measurement import Measurement
from repgeom.robustness.tails import heavy_tails

# Debiased CKA needs 4 rows, and the jackknife leaves one out.
FEWEST_ROWS = 5


def cka_measurement(x: Tensor, y: Tensor, squared_steps: Tensor | None = None) -> Measurement:
    """Measure debiased linear CKA of centred rows (n, d1) and (n, d2).

    Its contributions are the jackknife's pseudo-values, centred on the value: CKA is debiased already. `squared_steps`
    (n,) say how far each row moved, where both are of one space.
    """
    n, value = len(x), float(cka_of(x, y))
    if not math.isfinite(value):
        return Measurement("linear_cka", value, n, note="all rows of one side lie equally far apart")
    if n < FEWEST_ROWS:
        return Measurement("linear_cka", value, n, note=f"no interval: fewer than {FEWEST_ROWS} samples")
    without = leave_one_out_cka(x, y)
    if not bool(torch.isfinite(without).all()):
        return Measurement("linear_cka", value, n, note="no interval: single samples decide it")
    pseudo_values = value + (n - 1) * (without.mean() - without)
    found = Measurement("linear_cka", value, n, pseudo_values, "similarity")
    lengths = [x.square().sum(1), y.square().sum(1)]
    if squared_steps is not None:
        lengths.append(squared_steps)
    note = heavy_tails(*lengths)
    if note:
        return found.without_interval(note)
    return found


def leave_one_out_cka(x: Tensor, y: Tensor) -> Tensor:
    """Return debiased linear CKA without row i, for each i, (n,); in O(n d1 d2). Rows are centred."""
    both, first, second = _hsic_without(x, y), _hsic_without(x, x), _hsic_without(y, y)
    # An unbiased HSIC of few rows can come out below 0. The quotient is then not finite, which the caller looks for.
    return both / (first * second).clamp(min=0).sqrt()


def _hsic_without(x: Tensor, y: Tensor) -> Tensor:
    """Return m (m − 3) times the unbiased HSIC (Song et al. 2012) of the m = n − 1 rows other than i, for each i.

    Leaving row i out moves the mean by −xᵢ / m. So XᵀY loses (1 + 1/m) xᵢyᵢᵀ, and every squared length aⱼ becomes
    aⱼ + 2 xⱼᵀxᵢ / m + aᵢ / m².
    """
    m = len(x) - 1
    a, b = x.square().sum(1), y.square().sum(1)
    cross, ab = x.mT @ y, a * b
    # Σⱼ (xⱼᵀxᵢ)(yⱼᵀyᵢ), with j = i.
    along = ((x @ cross) * y).sum(1)
    lost = 1 + 1 / m
    kernels = cross.square().sum() - 2 * lost * along + lost**2 * ab
    # Σ of the new aⱼ bⱼ over j ≠ i: all nine products, with Σⱼ xⱼ = 0 over all j.
    diagonal = ab.sum() - ab
    diagonal = diagonal + 2 / m * (x @ (x.mT @ b) + y @ (y.mT @ a) - 2 * ab)
    diagonal = diagonal + (b * (a.sum() - a) + a * (b.sum() - b)) / m**2
    diagonal = diagonal + 4 / m**2 * (along - ab) - 4 / m**3 * ab + ab / m**3
    # Σ of the new aⱼ alone loses (1 + 1/m) aᵢ, and so for b.
    total = (a.sum() - lost * a) * (b.sum() - lost * b)
    return kernels - diagonal + total / ((m - 1) * (m - 2)) - 2 * diagonal / (m - 2)
