"""How many dimensions have the neighbourhoods of rows? Estimators of intrinsic dimension, from distances to neighbours.

Near a row, rows of a smooth cloud of d dimensions lie as if spread evenly in d dimensions: of n rows within a radius r there
are n (s / r)^d within s. So the ratio of two distances says what d is, and the density cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

KEPT_SHARE = 0.9  # of the ratios, the smaller ones, that the line of TwoNN is drawn through; as Facco et al. publish it
_MOST_DIMENSIONS = 1e6  # beyond this no ratio of float64 distances says anything
_FEWEST_DIMENSIONS = 1e-6

# From distances to the nearest rows (n, k), from near to far, to the dimension.
Estimator = Callable[[Tensor], float]


def twonn(distances: Tensor) -> float:
    """TwoNN by maximum likelihood: (n − 1) / Σ ln(r₂ / r₁), unbiased where all n ratios are independent."""
    return _over(len(distances) - 1, _log_ratios(distances, 0, 1).sum())


def twonn_regression(distances: Tensor) -> float:
    """TwoNN by a line through the origin: −ln(1 − i / n) on ln(r₂ / r₁) of the i-th smallest ratio, up to nine tenths of n."""
    n = len(distances)
    kept = int(KEPT_SHARE * n)
    ratios = _log_ratios(distances, 0, 1).sort().values[:kept]
    share = torch.arange(1, kept + 1, dtype=ratios.dtype, device=ratios.device) / n
    return _over(float(-(ratios * torch.log1p(-share)).sum()), ratios.square().sum())


def levina_bickel(distances: Tensor) -> float:
    """Maximum likelihood over k neighbours, inverses averaged over rows: n (k − 1) / Σ_i Σ_{j<k} ln(r_k / r_j)."""
    n, k = distances.shape
    return _over(n * (k - 1), (distances[:, -1:].log() - distances[:, :-1].log()).sum())


def gride(distances: Tensor) -> float:
    """Maximum likelihood from the distances to neighbours k and 2k, where 2k are given: where the slope of ln L is zero.

    Σ 1/d + (k − 1) ln μ / (1 − μ^−d) − (2k − 1) ln μ = 0 with μ = r_2k / r_k.
    """
    from scipy.optimize import brentq

    n, listed = distances.shape
    k = listed // 2
    logs = _log_ratios(distances, k - 1, listed - 1)
    if k == 1:
        return _over(n, logs.sum())
    high = 1.0
    while _slope(logs, high, k) > 0 and high < _MOST_DIMENSIONS:
        high *= 2
    if high >= _MOST_DIMENSIONS:
        return math.inf
    return float(brentq(lambda d: _slope(logs, d, k), _FEWEST_DIMENSIONS, high, xtol=1e-14, rtol=1e-14))


def _slope(logs: Tensor, d: float, k: int) -> float:
    """The derivative of the log-likelihood in d, per row; falls with d. `logs`: ln μ (n,)."""
    # As μ nears 1 this nears 1 / d.
    part = torch.where(logs > 0, logs / -torch.expm1(-d * logs), 1 / d)
    return 1 / d + float(((k - 1) * part - (2 * k - 1) * logs).mean())


def _log_ratios(distances: Tensor, near: int, far: int) -> Tensor:
    """ln(r_far / r_near) of each row."""
    return distances[:, far].log() - distances[:, near].log()


def _over(number: float, total: Tensor) -> float:
    """The quotient; infinity where all neighbours lie equally far, so that their ratios say nothing."""
    divisor = float(total)
    return number / divisor if divisor > 0 else math.inf


def scale_of(distances: Tensor) -> float:
    """How far the farthest neighbour that is looked at lies, on average."""
    return float(distances[:, -1].mean())


METHODS: dict[str, tuple[Estimator, Callable[[int], int], int]] = {
    # name: estimator, distances that it reads for k, k by default
    "twonn": (twonn, lambda k: 2, 2),
    "twonn_regression": (twonn_regression, lambda k: 2, 2),
    "mle": (levina_bickel, lambda k: k, 20),
    "gride": (gride, lambda k: 2 * k, 2),
}


def is_a_dimension(value: float) -> bool:
    """Whether distances gave a number at all: where all neighbours lie equally far, there is none."""
    return math.isfinite(value) and 0 < value < _MOST_DIMENSIONS
