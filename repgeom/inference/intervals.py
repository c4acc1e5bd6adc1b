"""Quantiles, intervals and tests: each exists once, here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from repgeom.data.numbers import real_number

# scipy.special loads a third of a second sooner than scipy.stats, so that is what the functions here import where they can.

_FEW = 3 + 1e-9  # samples, of which rounding makes no more
_BESIDE = 1e-9  # of a mean of −1, 0 and 1: far less than one row of any sample


def check_confidence(confidence: float) -> float:
    """Return the confidence as a float. Raises ValueError where it does not lie between 0 and 1."""
    number = real_number(confidence)
    if number is None or not 0 < number < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1, such as 0.95, got {confidence!r}.")
    return number


def quantile(confidence: float, degrees: float) -> float:
    """Return the two-sided quantile of Student's t: |t| stays below it with this confidence."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))


def normal_quantile(confidence: float) -> float:
    """Return the two-sided quantile of the normal distribution."""
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))


def p_value(difference: float, error: float, degrees: float) -> float:
    """Return the two-sided p-value of Student's t test that a difference with this standard error is zero."""
    from scipy.special import stdtr

    # Without any error, every difference but zero is certain.
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(degrees, -abs(difference) / error))


def standard_error(contributions: Tensor) -> float:
    """Return the standard error of the mean of independent contributions."""
    return float(contributions.std()) / math.sqrt(len(contributions))


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a share of n samples; n need not be whole."""
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    # Without a hit, or without a miss, the end is exact; rounding would leave a little.
    if share == 0:
        low = 0.0
    if share == 1:
        high = 1.0
    return low, high


def share_interval(share: float, n: float, confidence: float, z: float) -> tuple[float, float]:
    """Return Wilson's interval, let out where at most three samples are hits, or misses (Brown, Cai & DasGupta 2001).

    Of a share that one sample in five shows at all, the one sample would otherwise say that the share must be larger. The
    end is that of Poisson's law.
    """
    from scipy.special import gammaincinv

    low, high = wilson(share, n, z)
    hits, misses = share * n, (1 - share) * n
    if 0 < hits <= _FEW:
        low = min(low, float(gammaincinv(hits, 1 - confidence)) / n)
    if 0 < misses <= _FEW:
        high = max(high, 1 - float(gammaincinv(misses, 1 - confidence)) / n)
    return low, high


def tango(changes: Tensor, z: float) -> tuple[float, float]:
    """Return Tango's score interval (1998) of the mean of −1, 0 and 1: the means less than z standard errors away.

    The standard error is that of the mean which is tried, with the likeliest shares of 1 and −1 that differ by so much.
    """
    from scipy.optimize import brentq

    n = len(changes)
    up, down = ((changes == sign).sum().item() for sign in (1, -1))
    mean = (up - down) / n

    def beyond(tried: float) -> float:
        """Squared distance from the mean, less that of z standard errors."""
        b = (2 * n - up + down) * tried - up - down
        c = -down * tried * (1 - tried)
        share_down = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = (2 * share_down + tried * (1 - tried)) / n
        return (mean - tried) ** 2 - z * z * variance

    # Where all rows are alike the mean itself is a second root, so the search begins beside it.
    low, high = mean - _BESIDE, mean + _BESIDE
    return (
        brentq(beyond, -1.0, low) if low > -1 else -1.0,
        brentq(beyond, high, 1.0) if high < 1 else 1.0,
    )


def mcnemar(changes: Tensor) -> float:
    """Return the p-value of McNemar's exact test (1947) on changes −1, 0 and 1 of the same samples."""
    from scipy.stats import binomtest

    better, worse = int((changes == 1).sum()), int((changes == -1).sum())
    if better + worse == 0:
        return 1.0
    return float(binomtest(better, better + worse).pvalue)


def holm(p: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return step-down corrected p-values (Holm 1979); NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known])]
    corrected = np.full(len(values), np.nan)
    if len(order):
        # Never below that of a smaller p-value, or a weaker result could pass where a stronger one fails.
        corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)))
    return corrected
