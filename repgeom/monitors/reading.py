"""What do the rows of one step say? Measures of the population behind them, and whether they are all alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.settings import own_settings
from repgeom.data.sources import source_of
from repgeom.inference.correction import value_alone
from repgeom.inference.estimate import estimate_of
from repgeom.inference.influence import score
from repgeom.inference.sample import Sample, group_correlation, sample_of
from repgeom.inference.second_order import SHIFT_KNOWN
from repgeom.measures.cloud import mean_cosine
from repgeom.measures.measure import estimable, functional
from repgeom.monitors.collecting import Rows
from repgeom.reading.sample import Drawn
from repgeom.spectral.directions import directions_of

MEAN_COSINE = "mean_cosine"
RANK = "effective_rank"
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Reading:
    """One measure of one layer at one step; `low` and `high` are NaN where no interval is known."""

    step: int
    layer: str
    measure: str
    value: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether `low` and `high` are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclasses.dataclass(frozen=True)
class LayerReading:
    """What the rows of one layer say: readings, and the variances of these rows, descending (empty where none is known)."""

    readings: tuple[Reading, ...]
    width: int
    variances: np.ndarray

    def of(self, measure: str) -> Reading:
        """The reading of one measure."""
        return next(one for one in self.readings if one.measure == measure)


def check_measures(measures: Any) -> tuple[str, ...]:
    """Names of measures that a monitor can read. Raises ValueError for another."""
    if isinstance(measures, str):
        measures = (measures,)
    names = []
    for measure in measures:
        if measure in (MEAN_COSINE, mean_cosine):
            names.append(MEAN_COSINE)
            continue
        try:
            names.append(estimable(measure).name)
        except ValueError as error:
            raise ValueError(f'{error} A monitor also reads "{MEAN_COSINE}".') from None
    if not names:
        raise ValueError("`measures` is empty.")
    return tuple(dict.fromkeys(names))


@own_settings
def layer_reading(step: int, layer: str, rows: Rows, measures: Sequence[str], interval: bool) -> LayerReading:
    """Read these measures of one layer's rows.

    Rows that are all equal, but for rounding, are a collapse: every rank is 1, and so is the mean cosine. Values that are not
    finite give NaN. There are at least `FEWEST_ROWS` rows.
    """
    x, n = rows.rows, len(rows.rows)
    if not bool(torch.isfinite(x).all()):
        return _constant(step, layer, x, measures, math.nan)
    if _all_alike(x, rows.rounding):
        return _constant(step, layer, x, measures, 1.0)
    found, variances = _values(x, rows.groups, measures, interval)
    readings = tuple(Reading(step, layer, name, *found[name], n) for name in measures)
    return LayerReading(readings, x.shape[1], variances)


def _constant(step: int, layer: str, x: Tensor, measures: Sequence[str], value: float) -> LayerReading:
    readings = tuple(Reading(step, layer, name, value, math.nan, math.nan, len(x)) for name in measures)
    return LayerReading(readings, x.shape[1], np.empty(0))


def _all_alike(x: Tensor, rounding: float) -> bool:
    """Whether no feature varies by more than what rounding to its type does."""
    wide = x.double()
    largest = wide.abs().amax(0)
    return bool((wide.amax(0) - wide.amin(0) <= 2 * rounding * largest).all())


def _values(
    x: Tensor, groups: np.ndarray | None, measures: Sequence[str], interval: bool
) -> tuple[dict[str, tuple[float, float, float]], np.ndarray]:
    found: dict[str, tuple[float, float, float]] = {}
    if MEAN_COSINE in measures:
        # A mean over pairs of different rows: the number of rows does not bias it.
        found[MEAN_COSINE] = float(mean_cosine(x)), math.nan, math.nan
    ranks = [name for name in measures if name != MEAN_COSINE]
    quick = [name for name in ranks if not interval and name in SHIFT_KNOWN]
    sample = _quick_sample(x, groups, any(functional(name).tail for name in quick))
    for name in quick:
        found[name] = value_alone(sample, name), math.nan, math.nan
    if whole := [name for name in ranks if name not in quick]:
        full = sample_of(source_of(x, "rows"), whole, center=True, normalize=None, groups=groups)
        for name in whole:
            one = estimate_of(full, name, CONFIDENCE)
            if interval and one.low is not None and one.high is not None:
                found[name] = one.value, one.low, one.high
            else:
                found[name] = one.value, math.nan, math.nan
    variances = torch.as_tensor(sample.directions.spectrum.variances).cpu().numpy()
    return found, variances


def _quick_sample(x: Tensor, groups: np.ndarray | None, tail: bool) -> Sample:
    """Directions and squares of the rows alone: what values need that come without an interval."""
    source = source_of(x, "rows")
    directions = directions_of(source, center=True, normalize=None, tail=tail)
    correlation = 0.0
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
        correlation = group_correlation(Drawn(np.arange(len(x)), {"rows": x, "groups": groups}), directions)
    scores = score(directions, source, ())
    return Sample(directions, scores, groups, correlation, None, np.arange(len(x)), told=groups is not None)
