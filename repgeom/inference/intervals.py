"""How sure is a number? One measure with what each sample contributes to it, its interval, and differences of two.

The spread of the contributions over √n is the standard error, and two readings of the same samples can be subtracted
sample by sample.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Reading:
    """One measure.

    `samples` average to the value, exactly for means, to first order for ratios and spectra (the influence function
    added to the value), or are pseudo-values of groups of samples; None where no interval is known, and `note` says why. `kind` says which interval fits: "mean",
    "share" (a mean in [0, 1]), "similarity" (at most 1), "positive" (a ratio, on a log scale), "binary" (each sample 0 or
    1) or "change" (−1, 0 or 1).
    """

    measure: str
    value: float
    n: int
    samples: Tensor | None = None
    kind: str = "mean"
    note: str = ""

    @property
    def grouped(self) -> bool:
        """Whether contributions are those of groups of samples."""
        return self.samples is not None and len(self.samples) != self.n

    @classmethod
    def mean(cls, measure: str, samples: Tensor, kind: str = "mean") -> Reading:
        return cls(measure, float(samples.mean()), len(samples), samples, kind)

    @classmethod
    def ratio(cls, measure: str, above: Tensor, below: Tensor, kind: str = "positive") -> Reading:
        """Mean of one over mean of the other."""
        mean = float(below.mean())
        if mean == 0:
            return cls(measure, math.nan, len(above), note="nothing to divide by")
        value = float(above.mean()) / mean
        return cls(measure, value, len(above), value + (above - value * below) / mean, kind)

    def row(self, confidence: float) -> dict[str, Any]:
        """As a row of a table."""
        low, high = interval(self, confidence)
        return {"measure": self.measure, "value": self.value, "low": low, "high": high, "n": self.n, "note": self.note}


_LIMITS = {"share": (0.0, 1.0), "similarity": (-1.0, 1.0)}


def check_confidence(confidence: float) -> float:
    if not (isinstance(confidence, (int, float, np.number)) and 0 < confidence < 1):
        raise ValueError(f"`confidence` must lie between 0 and 1, such as 0.95, got {confidence!r}.")
    return float(confidence)


def interval(r: Reading, confidence: float) -> tuple[float, float]:
    """Two-sided interval for rows drawn independently; NaN where none is known.

    Shares of samples: Wilson (1927), with an effective number of samples where they are grouped; paired changes of 0/1:
    Bonett & Price (2012); the rest: Student's t on the samples.
    """
    from scipy.special import ndtri, stdtrit

    if r.samples is None or len(r.samples) < 2 or not math.isfinite(r.value):
        return math.nan, math.nan
    z = float(ndtri((1 + confidence) / 2))
    if r.kind == "change":
        return _bonett_price(r.samples, z)
    if r.kind == "binary" and not r.grouped:
        return _wilson(r.value, r.n, z)
    quantile = float(stdtrit(len(r.samples) - 1, (1 + confidence) / 2))
    error = float(r.samples.std()) / math.sqrt(len(r.samples))
    if r.kind == "binary":  # as many independent samples as would scatter so much
        spread = r.value * (1 - r.value)
        return _wilson(r.value, min(r.n, spread / error**2) if spread > 0 < error else r.n, quantile)
    half = quantile * error
    if r.kind == "positive" and r.value > 0:
        factor = math.exp(min(half / r.value, 700))
        return r.value / factor, r.value * factor
    least, most = _LIMITS.get(r.kind, (-math.inf, math.inf))
    return max(least, r.value - half), min(most, r.value + half)


def difference(a: Reading, b: Reading, confidence: float) -> dict[str, Any]:
    """The second minus the first of the same samples, with a paired interval and test."""
    row = {"measure": a.measure, "first": a.value, "second": b.value, "difference": b.value - a.value, "n": a.n}
    if a.samples is None or b.samples is None:
        return row | {"low": math.nan, "high": math.nan, "p_value": math.nan, "test": ""}
    binary = a.kind == b.kind == "binary" and not a.grouped
    change = dataclasses.replace(
        b,
        value=b.value - a.value,
        samples=b.samples - a.samples.to(b.samples.device),
        kind="change" if binary else "mean",
    )
    low, high = interval(change, confidence)
    p, test = (_mcnemar(change), "McNemar, exact") if binary else (_t_test(change), "t, paired")
    return row | {"low": low, "high": high, "p_value": p, "test": test}


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Step-down corrected p-values (Holm 1979); NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known])]
    corrected = np.full(len(values), np.nan)
    if len(order):
        corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)))
    return corrected


def _wilson(share: float, n: float, z: float) -> tuple[float, float]:
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return (0.0 if share == 0 else max(0.0, middle - half)), (1.0 if share == 1 else min(1.0, middle + half))


def _bonett_price(changes: Tensor, z: float) -> tuple[float, float]:
    """Interval of the mean of −1, 0 and 1: Wald's after one more change either way."""
    n = len(changes) + 2
    up, down = (((changes == sign).sum().item() + 1) / n for sign in (1, -1))
    half = z * math.sqrt(max(0.0, up + down - (up - down) ** 2) / n)
    return max(-1.0, up - down - half), min(1.0, up - down + half)


def _mcnemar(change: Reading) -> float:
    from scipy.stats import binomtest

    assert change.samples is not None
    better, worse = int((change.samples == 1).sum()), int((change.samples == -1).sum())
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def _t_test(change: Reading) -> float:
    from scipy.special import stdtr

    assert change.samples is not None
    n = len(change.samples)
    error = float(change.samples.std()) / math.sqrt(n)
    if error == 0:
        return 1.0 if change.value == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(change.value) / error))
