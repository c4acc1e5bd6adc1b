"""The measures of a spectrum that can be estimated: their value for any population, and what moves them.

Everything is in logarithms, where intervals of ranks are closer to symmetric. `variances` and `counts` say how many
directions, not always a whole number, have which variance; `slope` is the derivative of the logarithm along one direction's
variance. No measure here feels the scale, so Σ slope · variance = 0.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from repgeom.measures import rank
from repgeom.spectral.spectrum import Spectrum

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Functional:
    """One measure.

    Attributes:
        naive: the measure of a sample's spectrum.
        log: ln of the measure of a population.
        slope: d ln measure / d variance of one direction, for the variances given third.
        bend: n times the mean shift of second order by real Gaussian rows that `population` does not know of: what complex
            rows do not show, and what a leading direction of its last `alone` does to itself.
        single: the slope looks at single directions and is not a function of a variance alone.
        doubt: relative error for each feature per row that the model of the rows has shown in simulations, beside which the
            rows' influence says nothing; added to the standard error.
        tails: it feels heavy tails so much that rows must be counted by what they weigh (Kish's effective number).
        needs_tail: it rests on the smallest singular values too.
        known: rows per feature from which simulations found its interval to hold (studies/estimates.md).
    """

    naive: Callable[[Spectrum], float]
    log: Callable[[Array, Array], float]
    slope: Callable[[Array, Array, Array], Array]
    bend: Callable[[Array, Array, int], float] = lambda variances, counts, alone: 0.0
    single: bool = False
    known: float = 2.0
    tails: bool = False
    doubt: float = 0.0
    needs_tail: bool = False


def functional(measure: str) -> Functional:
    """The measure of this name. Raises ValueError for one that cannot be estimated, with those that can."""
    if isinstance(measure, str):
        parts = re.fullmatch("n_components_([0-9]{2})", measure)
        if parts and parts[1] != "00":
            return components(int(parts[1]) / 100)
        if measure in FUNCTIONALS:
            return FUNCTIONALS[measure]
    raise ValueError(
        f"`measure` must be one of {', '.join(FUNCTIONALS)} or n_components_NN (NN % of the variance), got {measure!r}. "
        "Numerical rank, condition number and power law rest on the smallest variances, of which samples say too little."
    )


def _entropy(power: float) -> Functional:
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
        return -power * q * excess / at

    def bend(variances: Array, counts: Array, alone: int) -> float:
        # ½ Σ_i (2 d²ln/dλ_i² − dslope/dλ) λ_i² with Σ q excess = 0, and ½ Σ dslope/dλ λ² of those alone
        _, q, excess = parts(variances, counts, variances)
        own = (power * q * (power + (power - 1) * excess))[len(q) - alone :].sum()
        return float(power**2 * (counts @ (q**2 * (1 + 2 * excess)) - 0.5) - own / 2)

    of = "variances" if power == 1 else "singular_values"
    doubt = 0.0 if power == 1 else 0.02  # rows on the sphere with steep spectra, d = 512
    return Functional(
        lambda s: float(rank.effective_rank(s, of=of)), log, slope, bend, doubt=doubt, needs_tail=power < 1
    )


def _participation() -> Functional:
    def log(variances: Array, counts: Array) -> float:
        return float(2 * np.log(counts @ variances) - np.log(counts @ variances**2))

    def slope(variances: Array, counts: Array, at: Array) -> Array:
        return np.asarray(2 / (counts @ variances) - 2 * at / (counts @ variances**2))

    return Functional(lambda s: float(rank.participation_ratio(s)), log, slope, known=4.0, tails=True)


def _stable() -> Functional:
    def leading(variances: Array, counts: Array) -> float:
        order = np.argsort(-variances, kind="stable")
        return float(np.interp(0.5, counts[order].cumsum() - counts[order] / 2, variances[order]))

    def log(variances: Array, counts: Array) -> float:
        return float(np.log(counts @ variances / leading(variances, counts)))

    def slope(variances: Array, counts: Array, at: Array) -> Array:
        return 1 / (counts @ variances) - (np.arange(len(at)) == 0) / leading(variances, counts)

    return Functional(lambda s: float(rank.stable_rank(s)), log, slope, single=True, known=4.0)


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
        inside = np.clip(k - np.arange(len(at)), 0, 1)
        return np.asarray((share - inside) / (last * k))

    return Functional(lambda s: float(rank.n_components(s, variance=share)), log, slope, single=True, known=math.inf)


FUNCTIONALS: dict[str, Functional] = {
    "effective_rank": _entropy(1.0),
    "effective_rank_sigma": _entropy(0.5),
    "participation_ratio": _participation(),
    "stable_rank": _stable(),
}
