"""What a corruption does to ranks: the ratio that `repgeom.compare(clean, corrupted, paired=True)` gives.

Values, intervals and tests come from `repgeom.inference`; nothing about ranks is worked out a second time here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import centred
from repgeom.data.sources import source_of
from repgeom.inference.compare import combined, paired_variance
from repgeom.inference.correction import FINENESS, Corrected, corrected, mean_variance, n_draws, rests_on_few_rows
from repgeom.inference.estimate import shown
from repgeom.inference.intervals import p_value, quantile
from repgeom.inference.sample import Sample, group_correlation, scored
from repgeom.reading.sample import Drawn
from repgeom.robustness.measurement import UNKNOWN, Measurement
from repgeom.spectral.directions import Directions, directions_of

# Each ratio of a table, and the measure that `estimate` knows it by.
RATIOS = {
    "effective_rank_ratio": "effective_rank",
    "effective_rank_ratio_sigma": "effective_rank_sigma",
    "participation_ratio_ratio": "participation_ratio",
}
_NO_INTERVAL = "no interval: "


def all_rows_equal(rows: Tensor) -> bool:
    """Say whether all rows are equal but for the rounding of their mean."""
    # Centring leaves a few eps of the largest value, even of equal rows.
    return bool(centred(rows).abs().max() <= rows.abs().max() * 8 * torch.finfo(rows.dtype).eps)


@dataclasses.dataclass(frozen=True)
class Ranks:
    """The ranks of one set of features as `estimate` corrects them, and each row's influence on them."""

    sample: Sample
    corrected: Mapping[str, Corrected]

    @classmethod
    def of(cls, rows: Tensor, name: str, groups: np.ndarray | None = None) -> Ranks:
        """Read the ranks of float64 rows that are not all equal; `groups` (n,) are codes of rows that depend on each other."""
        source = source_of(rows, name)
        directions = directions_of(source, center=True, normalize=None, tail=True)
        measures = list(RATIOS.values())
        drawn, correlation = Drawn(np.arange(len(rows)), {"rows": rows, "groups": groups}), 0.0
        if groups is not None:
            correlation = group_correlation(drawn, directions, "rows")
        sample = scored(directions, source, measures, drawn, groups, correlation)
        return cls(sample, {measure: corrected(sample, measure) for measure in measures})

    @property
    def directions(self) -> Directions:
        """The principal directions, with the mean and the unit of their coordinates."""
        return self.sample.directions

    @property
    def variances(self) -> Tensor:
        """Variances (r,) along the directions that vary by more than rounding, leading first."""
        return torch.as_tensor(self.sample.variances, device=self.directions.vectors.device)

    @property
    def vectors(self) -> Tensor:
        """Those directions, (n_features, r)."""
        return self.directions.vectors[:, : self.directions.moving]

    def coordinates(self, rows: Tensor) -> Tensor:
        """Return centred rows along the directions, (n, r), in units of the leading standard deviation."""
        return self.directions.centred(rows) @ self.vectors

    def value(self, measure: str) -> float:
        """Return the measure in the population."""
        return shown(self.corrected[measure], self.sample, measure, 0.95).value

    def effective_rank(self) -> RankMeasurement:
        """Measure the effective rank as `estimate` does."""
        name, c = "effective_rank", self.corrected["effective_rank"]
        note = _note({"": c})
        return RankMeasurement(
            name, self.value(name), self.sample.n, note=note, terms=((1, c),), limits=(1.0, float(self.sample.most))
        )

    def ratios_to(self, clean: Ranks) -> list[RankMeasurement]:
        """Measure each rank over the clean one, as `compare(paired=True)` does."""
        found = []
        for ratio, measure in RATIOS.items():
            before, after = clean.corrected[measure], self.corrected[measure]
            value = self.value(measure) / clean.value(measure)
            note = _note({"clean": before, "corrupted": after})
            found.append(RankMeasurement(ratio, value, self.sample.n, note=note, terms=((-1, before), (1, after))))
        return found


@dataclasses.dataclass(frozen=True)
class RankMeasurement(Measurement):
    """A corrected rank, or a ratio of two, of n rows.

    The logarithm of the value is the sum of sign · ln rank over `terms`. `limits` are what the interval is cut to.
    """

    terms: tuple[tuple[float, Corrected], ...] = ()
    limits: tuple[float, float] = (0.0, math.inf)

    @property
    def known(self) -> bool:
        """Whether `estimate` gives an interval for every rank that the value is made of."""
        return all(c.error is not None for _, c in self.terms) and math.isfinite(self.value)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval that `estimate` or `compare` gives; NaN where it gives none."""
        if not self.known:
            return UNKNOWN
        error, degrees = self._log_error()
        if rests_on_few_rows(degrees, n_draws(self.terms[0][1].influence, _groups(self.terms))):
            return UNKNOWN
        half = quantile(confidence, degrees) * error
        return max(self.limits[0], self.value * math.exp(-half)), min(self.limits[1], self.value * math.exp(half))

    def _log_error(self) -> tuple[float, float]:
        """Return the standard error of the logarithm and its degrees of freedom."""
        if len(self.terms) > 1:
            return _paired_error(self.terms)
        alone = self.terms[0][1]
        assert alone.error is not None
        return alone.error, alone.degrees

    def _tested_against(self, other: Measurement, confidence: float) -> dict[str, Any]:
        """Subtract the influences of all ranks involved row by row: of two ratios there are four."""
        assert isinstance(other, RankMeasurement)
        # d value = value · d ln value, so each logarithm counts by the value that it belongs to.
        terms = [(-self.value * sign, c) for sign, c in self.terms]
        terms += [(other.value * sign, c) for sign, c in other.terms]
        error, degrees = _paired_error(terms)
        if rests_on_few_rows(degrees, n_draws(terms[0][1].influence, _groups(terms))):
            return {"low": math.nan, "high": math.nan, "p_value": math.nan, "test": "t, paired"}
        # The grid of variances moves a corrected rank by up to this share, whatever the number of rows.
        error = math.hypot(error, FINENESS * max(self.value, other.value))
        change, half = other.value - self.value, quantile(confidence, degrees) * error
        p = p_value(change, error, degrees)
        return {"low": change - half, "high": change + half, "p_value": p, "test": "t, paired"}


def _paired_error(terms: Any) -> tuple[float, float]:
    """Return the standard error of Σ scale · ln rank of the same rows, and its degrees of freedom."""
    influence, second_order = combined(terms)
    variance, degrees = mean_variance(influence, len(influence), _groups(terms))
    return paired_variance(variance, second_order) ** 0.5, degrees


def _groups(terms: Any) -> Any:
    """Return the groups of the rows of all terms: copies that one side shows are copies of the same samples on all sides."""
    return next((c.groups for _, c in terms if c.groups is not None), None)


def _note(sides: Mapping[str, Corrected]) -> str:
    """Say what `estimate` warns of; first why there is no interval. What both sides say is said once."""
    told: dict[str, list[str]] = {}
    for side, c in sides.items():
        for warning in c.warnings:
            told.setdefault(warning, []).append(side)
    reasons, notes = [], []
    for warning, warned in told.items():
        prefix = "" if len(warned) == len(sides) else f"{warned[0]}: "
        if warning.startswith(_NO_INTERVAL):
            reasons.append(prefix + warning.removeprefix(_NO_INTERVAL))
        else:
            notes.append(prefix + warning)
    if reasons:
        reasons[0] = _NO_INTERVAL + reasons[0]
    return "; ".join([*reasons, *notes])
