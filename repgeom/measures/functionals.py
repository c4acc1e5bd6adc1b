"""What estimates rest on: the logarithm of a measure for any population, and its slope along each variance.

Everything is in logarithms, where intervals of ranks are closer to symmetric. `variances` and `counts` say how many
directions, not always a whole number, have which variance; `slope` is the derivative of the logarithm along one direction's
variance. No measure here feels the scale, so Σ slope · variance = 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Functional:
    """One measure as a function of a population's variances. It stands in the measure's record.

    Attributes:
        log: ln of the measure of a population.
        slope: d ln measure / d variance of one direction, for the variances given third.
        bend: n times the mean shift of second order by real Gaussian rows that `population` does not know of: what complex
            rows do not show, and what a leading direction of its last `alone` does to itself.
        single: the slope looks at single directions and is not a function of a variance alone.
        at_sample: its slope is a straight line in the variance, so that the sample's own variances give it without bias.
        known: rows per feature from which simulations found its interval to hold (studies/estimates.md).
        tail: the measure of a sample rests on its smallest singular values, which must then be exact.
    """

    log: Callable[[Array, Array], float]
    slope: Callable[[Array, Array, Array], Array]
    bend: Callable[[Array, Array, int], float] = lambda variances, counts, alone: 0.0
    single: bool = False
    known: float = 2.0
    at_sample: bool = False
    tail: bool = False


def entropy(power: float) -> Functional:
    """exp entropy of the shares q of λ^power: the effective rank for 1, Roy and Vetterli's for ½."""

    def parts(variances: Array, counts: Array, at: Array) -> tuple[float, Array, Array]:
        total = float(counts @ variances**power)
        q = variances**power / total
        entropy = float(-counts @ (q * np.log(q)))
        q = at**power / total
        return entropy, q, np.log(q) + entropy

    def log(variances: Array, counts: Array) -> float:
        return parts(variances, counts, variances)[0]

    def slope(variances: Array, counts: Array, at: Array) -> Array:
        _, q, excess = parts(variances, counts, at)
        # dq = power · q / λ · dλ, and H = −Σ q ln q falls by (ln q + H) dq, because the total changes too.
        return -power * q * excess / at

    def bend(variances: Array, counts: Array, alone: int) -> float:
        # ½ Σ_i (2 d²ln/dλ_i² − dslope/dλ) λ_i² with Σ q excess = 0, and ½ Σ dslope/dλ λ² of those alone
        _, q, excess = parts(variances, counts, variances)
        own = (power * q * (power + (power - 1) * excess))[len(q) - alone :].sum()
        return float(power**2 * (counts @ (q**2 * (1 + 2 * excess)) - 0.5) - own / 2)

    if power == 1:
        return Functional(log, slope, bend)
    return Functional(log, slope, bend, tail=True)


def participation() -> Functional:
    """(Σλ)² / Σλ²."""

    def log(variances: Array, counts: Array) -> float:
        return float(2 * np.log(counts @ variances) - np.log(counts @ variances**2))

    def slope(variances: Array, counts: Array, at: Array) -> Array:
        return np.asarray(2 / (counts @ variances) - 2 * at / (counts @ variances**2))

    return Functional(log, slope, at_sample=True)


def stable() -> Functional:
    """Σλ / λ₁, with the leading variance read between those of a population's first directions."""

    def leading(variances: Array, counts: Array) -> float:
        order = np.argsort(-variances, kind="stable")
        return float(np.interp(0.5, counts[order].cumsum() - counts[order] / 2, variances[order]))

    def log(variances: Array, counts: Array) -> float:
        return float(np.log(counts @ variances / leading(variances, counts)))

    def slope(variances: Array, counts: Array, at: Array) -> Array:
        return 1 / (counts @ variances) - (np.arange(len(at)) == 0) / leading(variances, counts)

    return Functional(log, slope, single=True, known=4.0)


def components(share: float) -> Functional:
    """How many leading directions hold this share of the variance, between whole numbers by straight lines."""

    def count(variances: Array, counts: Array) -> float:
        order = np.argsort(-variances, kind="stable")
        held = np.cumsum((counts * variances)[order]) / (counts @ variances)
        return float(np.interp(share, [0, *held], [0, *np.cumsum(counts[order])]))

    def log(variances: Array, counts: Array) -> float:
        return float(np.log(count(variances, counts)))

    def slope(variances: Array, counts: Array, at: Array) -> Array:
        k = count(variances, counts)
        last = np.interp(k, np.cumsum(counts), variances)  # variance of the direction at which the share is reached
        # In held(k) = share · total, λ_i adds `inside` to the left and `share` to the right; k makes up for it at λ_k.
        inside = np.clip(k - np.arange(len(at)), 0, 1)
        return np.asarray((share - inside) / (last * k))

    return Functional(log, slope, single=True, known=math.inf)
