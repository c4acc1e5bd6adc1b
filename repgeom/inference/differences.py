"""How far do two estimates differ that stand on independent rows? Their standard errors and degrees of freedom suffice."""

from __future__ import annotations

import dataclasses
import math

from repgeom.data.notebook import ShownInNotebook
from repgeom.inference.estimate import Estimate
from repgeom.inference.intervals import p_value, quantile

# Of a value: beyond it, the logarithm of a ratio is no longer close to symmetric.
_LARGEST_SHARE = 0.25


@dataclasses.dataclass(frozen=True)
class Difference(ShownInNotebook):
    """Second minus first, with two-sided intervals of the difference and of the ratio; None where none is known.

    `degrees` are the degrees of freedom of the difference's error.
    """

    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    degrees: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


def difference_of(first: Estimate, second: Estimate, confidence: float = 0.95) -> Difference:
    """Second minus first, of rows that are independent of each other (Welch 1947, Satterthwaite 1946)."""
    difference = second.value - first.value
    ratio = _ratio(first.value, second.value)
    of_first, of_second = error_of(first), error_of(second)
    if of_first is None or of_second is None:
        return Difference(difference, ratio=ratio)
    error, degrees = welch(*of_first, *of_second)
    half = quantile(confidence, degrees) * error
    found = Difference(difference, difference - half, difference + half, p_value(difference, error, degrees), degrees)
    found = dataclasses.replace(found, ratio=ratio)
    if ratio is None:
        return found
    # An error over its value is that of the logarithm.
    share_of_first, share_of_second = of_first[0] / first.value, of_second[0] / second.value
    if max(share_of_first, share_of_second) > _LARGEST_SHARE:
        return found
    error, degrees = welch(share_of_first, of_first[1], share_of_second, of_second[1])
    factor = math.exp(quantile(confidence, degrees) * error)
    return dataclasses.replace(found, ratio_low=ratio / factor, ratio_high=ratio * factor)


def welch(first: float, first_degrees: float, second: float, second_degrees: float) -> tuple[float, float]:
    """Return the standard error of a sum or difference of independent parts, and its degrees of freedom."""
    a, b = first**2, second**2
    least = min(max(1.0, first_degrees), max(1.0, second_degrees))
    below = a**2 / max(1.0, first_degrees) + b**2 / max(1.0, second_degrees)
    # Without any error, or with one whose square is no float, the fewest degrees are the cautious choice.
    if below == 0:
        return math.hypot(first, second), least
    return math.hypot(first, second), max(least, (a + b) ** 2 / below)


def error_of(x: Estimate) -> tuple[float, float] | None:
    """Return the standard error of an estimate and its degrees of freedom; None where one of them is not known."""
    if x.se is None or x.degrees is None or x.low is None or x.high is None or not math.isfinite(x.se):
        return None
    # A share of exactly 0 or 1 has no spread among its rows, and still an interval.
    if x.se == 0:
        return max(x.value - x.low, x.high - x.value) / quantile(0.95, x.degrees), x.degrees
    return x.se, x.degrees


def _ratio(first: float, second: float) -> float | None:
    """Return second over first where both are positive, which alone gives a ratio a meaning."""
    if first > 0 and second > 0:
        return second / first
    return None
