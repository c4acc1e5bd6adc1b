"""One measure of clean and corrupted samples: its value, its interval, and the test against another encoder's.

The standard deviation of the samples' contributions over √n is the standard error. Two encoders saw the same samples, so
their contributions are subtracted sample by sample.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from torch import Tensor

from repgeom.inference.intervals import (
    mcnemar,
    normal_quantile,
    p_value,
    quantile,
    standard_error,
    tango,
    wilson,
)

UNKNOWN = (math.nan, math.nan)
FEWEST_GROUPS = 20  # whose spread says how far a mean may be off
# Debiased CKA beyond this differs from 1 by rounding alone, and Fisher's z has no scale there.
_EQUAL = 1 - 1e-9


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The value of one measure of n samples, with what each sample contributes to it.

    `contributions` average to the value: exactly for means, to first order for ratios (the influence function added to
    the value). They can also be pseudo-values of single samples, or of groups of them, from a jackknife. They are None
    where no interval is known to hold, and `note` says why. `kind` says which interval fits: "mean", "share" (a mean in
    [0, 1]), "similarity" (a cosine, at most 1), "positive" (a ratio, on a log scale), "binary" (each sample 0 or 1) or
    "change" (−1, 0 or 1).
    """

    measure: str
    value: float
    n: int
    contributions: Tensor | None = None
    kind: str = "mean"
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether an interval is known."""
        return self.contributions is not None and len(self.contributions) > 1 and math.isfinite(self.value)

    @property
    def grouped(self) -> bool:
        """Whether contributions are those of groups of samples."""
        return self.contributions is not None and len(self.contributions) != self.n

    @classmethod
    def mean(cls, measure: str, samples: Tensor, kind: str = "mean") -> Measurement:
        """Measure the mean of one number for each sample."""
        return cls(measure, float(samples.mean()), len(samples), samples, kind)

    @classmethod
    def ratio(cls, measure: str, above: Tensor, below: Tensor, kind: str = "positive") -> Measurement:
        """Measure the mean of one number over the mean of another."""
        mean = float(below.mean())
        if mean == 0:
            return cls(measure, math.nan, len(above), note="nothing to divide by")
        # A ratio a / b of means has the influence (aᵢ − v bᵢ) / b.
        value = float(above.mean()) / mean
        return cls(measure, value, len(above), value + (above - value * below) / mean, kind)

    def without_interval(self, note: str) -> Measurement:
        """Return the same value without an interval; the note says why."""
        return dataclasses.replace(self, contributions=None, note=note)

    def by_group(self, groups: Tensor) -> Measurement:
        """Return the same value with what each group of samples, codes (n,) from 0, contributes in the samples' place.

        A group contributes the value plus G / n times the sum of what its samples add to it, so that the spread of groups is
        the error of the mean whatever samples of one group have in common.
        """
        if self.contributions is None or self.grouped:
            return self
        n_groups = int(groups.max()) + 1
        if n_groups < FEWEST_GROUPS:
            return self.without_interval(f"no interval: fewer than {FEWEST_GROUPS} groups")
        away = self.contributions.double() - self.value
        sums = away.new_zeros(n_groups).index_add_(0, groups.to(away.device), away)
        # The interval of paired changes of 0 and 1 counts samples; groups have a mean of them.
        kind = "mean" if self.kind == "change" else self.kind
        return dataclasses.replace(self, contributions=self.value + sums * (n_groups / self.n), kind=kind)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided interval for samples drawn independently; NaN where none is known.

        Shares of samples: Wilson (1927), with an effective number of samples where they are grouped; paired changes of
        0/1: Tango (1998); similarities: Student's t on the scale of Fisher's z; the rest: Student's t on the
        contributions.
        """
        if not self.known or self.contributions is None:
            return UNKNOWN
        if self.kind == "change":
            return tango(self.contributions, normal_quantile(confidence))
        if self.kind == "binary" and not self.grouped:
            return wilson(self.value, self.n, normal_quantile(confidence))
        t, error = quantile(confidence, len(self.contributions) - 1), standard_error(self.contributions)
        # Grouped samples depend on each other: n becomes the number of independent ones that would err as much.
        if self.kind == "binary":
            return wilson(self.value, self._effective_samples(error), t)
        half = t * error
        # On the log scale, on which v errs by its error over v (delta method): a ratio cannot fall below 0.
        if self.kind == "positive" and self.value > 0:
            # A factor beyond the range of floats says as much as the largest float.
            factor = math.exp(min(half / self.value, 700))
            return self.value / factor, self.value * factor
        # Fisher's z = atanh v has the slope 1 / (1 − v²); mapped back, no end passes 1.
        if self.kind == "similarity" and abs(self.value) < _EQUAL:
            z, half = math.atanh(self.value), half / (1 - self.value**2)
            return math.tanh(z - half), math.tanh(z + half)
        low, high = self.value - half, self.value + half
        if self.kind == "share":
            return max(0.0, low), min(1.0, high)
        return low, high

    def row(self, confidence: float) -> dict[str, Any]:
        """Return the measurement as a row of a table."""
        low, high = self.interval(confidence)
        return {"measure": self.measure, "value": self.value, "low": low, "high": high, "n": self.n, "note": self.note}

    def difference(self, other: Measurement, confidence: float) -> dict[str, Any]:
        """Return `other` minus this one, of the same samples, as a row with a paired interval and test."""
        row = {"measure": self.measure, "first": self.value, "second": other.value, "n": self.n}
        row["difference"] = other.value - self.value
        if not (self.known and other.known):
            return row | {"low": math.nan, "high": math.nan, "p_value": math.nan, "test": ""}
        return row | self._tested_against(other, confidence)

    def _tested_against(self, other: Measurement, confidence: float) -> dict[str, Any]:
        """Return the interval of the difference and the test that it is zero."""
        assert self.contributions is not None
        assert other.contributions is not None
        # What an image does to both encoders cancels here.
        changes = other.contributions - self.contributions.to(other.contributions.device)
        change = Measurement(self.measure, other.value - self.value, self.n, changes)
        if self.kind == other.kind == "binary" and not self.grouped:
            low, high = dataclasses.replace(change, kind="change").interval(confidence)
            return {"low": low, "high": high, "p_value": mcnemar(changes), "test": "McNemar, exact"}
        low, high = change.interval(confidence)
        p = p_value(change.value, standard_error(changes), len(changes) - 1)
        return {"low": low, "high": high, "p_value": p, "test": "t, paired"}

    def _effective_samples(self, error: float) -> float:
        """Return how many independent samples would give a share this standard error, at most n."""
        variance = self.value * (1 - self.value)
        if variance > 0 and error > 0:
            return min(self.n, variance / error**2)
        return self.n
