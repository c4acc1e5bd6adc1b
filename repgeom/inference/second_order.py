"""By how much do n rows shift a measure of their spectrum? The first term of the series in 1 / n.

The variances of a sample of n Gaussian rows lie off those of the population by Σ_{j≠i} λ_i λ_j / (λ_i − λ_j) / n in the mean,
and spread by 2 λ_i² / n around that (Lawley 1956). A measure F with slopes s_i and second derivatives F_ii along them shifts by

    (Σ_{i<j} (s_i − s_j) / (λ_i − λ_j) · λ_i λ_j + Σ_i F_ii λ_i²) / n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from repgeom.measures.functionals import Array
from repgeom.measures.measure import functional


def mean_shift(measure: str, variances: Array) -> float:
    """n times the mean shift of ln measure by n rows, to first order in 1 / n.

    Args:
        measure: "effective_rank", "effective_rank_sigma" or "participation_ratio".
        variances: positive, descending, one direction each.

    Raises KeyError for another measure.

    >>> round(mean_shift("participation_ratio", np.ones(10)), 2)  # −(d + 1) + 2 / d for a flat spectrum of d
    -10.8
    """
    own = _OWN[measure](variances)
    slope = functional(measure).slope(variances, np.ones(len(variances)), variances)
    apart = variances[:, None] - variances
    # Where two are equal, the ratio is the derivative of the slope itself; a small step of one of them gives it.
    equal = np.abs(apart) <= 1e-6 * variances[:, None]
    step = 1e-4 * variances
    nearby = functional(measure).slope(variances, np.ones(len(variances)), variances + step)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(equal, ((nearby - slope) / step)[:, None], (slope[:, None] - slope) / apart)
    np.fill_diagonal(ratio, 0.0)
    return float(variances @ ratio @ variances / 2 + own.sum())


def _own_of_entropy(power: float) -> Callable[[Array], Array]:
    def own(variances: Array) -> Array:
        """F_ii λ_i² of the entropy of shares p of λ^power, with e = ln p + entropy."""
        p = variances**power / (variances**power).sum()
        e = np.log(p) - float(p @ np.log(p))
        return np.asarray(power * p * e - power**2 * p * ((1 - p) * (1 + e) - p * e))

    return own


def _own_of_participation(variances: Array) -> Array:
    """F_ii λ_i² of 2 ln Σλ − ln Σλ²."""
    p = variances / variances.sum()
    q = variances**2 / (variances**2).sum()
    return np.asarray(-2 * p**2 - 2 * q + 4 * q**2)


_OWN: dict[str, Callable[[Array], Array]] = {
    "effective_rank": _own_of_entropy(1.0),
    "effective_rank_sigma": _own_of_entropy(0.5),
    "participation_ratio": _own_of_participation,
}
SHIFT_KNOWN = tuple(_OWN)  # the measures that `mean_shift` takes
