"""What a report holds: the measures, each record of the registry applied to the evidence, and the reference."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from repgeom.auditing.evidence import EVIDENCE, Evidence
from repgeom.data.arrays import TooLargeError
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.settings import own_settings
from repgeom.inference.compare import Comparison
from repgeom.inference.estimate import Estimate
from repgeom.inference.intervals import quantile
from repgeom.inference.sample import FEWEST_ROWS
from repgeom.measures.measure import LABELS, REFERENCE, Measure, measures
from repgeom.spectral.spectrum import Spectrum


@own_settings
@dataclasses.dataclass(frozen=True)
class Value(ShownInNotebook):
    """One measure as it was read.

    Attributes:
        name, label, group, formula, unit, aliases: as in the measure's record (`python -m repgeom.measures` prints them).
        value: what one quotes: of the population where that is estimated, else of these rows; None where it could not be read.
        low, high: 95 % interval of `value`; None where none is known.
        in_these_rows: what these rows alone read.
        range: the smallest and largest that `value` can be: of so many rows, or of a population where that is estimated.
        baseline: what isotropic (or, between two, unrelated) features of the same size read; None without meaning.
        note: why there is no value or no interval, and how many rows were used where not all were.
        estimate: how `value` and its interval came about (see `repgeom.estimate`); None where the population's is not known.
    """

    name: str
    label: str
    group: str
    formula: str
    unit: str
    in_these_rows: float | None
    range: tuple[float, float]
    baseline: float | None
    aliases: tuple[str, ...] = ()
    note: str = ""
    estimate: Estimate | None = None

    @property
    def value(self) -> float | None:
        if self.estimate is None:
            return self.in_these_rows
        return self.estimate.value

    @property
    def low(self) -> float | None:
        return None if self.estimate is None else self.estimate.low

    @property
    def high(self) -> float | None:
        return None if self.estimate is None else self.estimate.high


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a report keeps of the reference.

    Attributes:
        name: of the reference.
        spectrum: in the audit's convention.
        captured: (r,), the features' share of variance in the reference's leading directions; None where the widths differ.
        own_curve: (r,), the reference's own share in them.
        angles: (10,), between the leading directions of both, in radians; None where there are too few.
    """

    name: str
    spectrum: Spectrum
    captured: np.ndarray | None
    own_curve: np.ndarray | None
    angles: np.ndarray | None


def values_of(e: Evidence) -> tuple[Value, ...]:
    """Every measure that this evidence has something to say of, in the order of the table."""
    return tuple(_value(m, e) for m in measures() if _applies(m, e))


def ratio_estimate(c: Comparison) -> Estimate:
    """The ratio of a comparison as an estimate."""
    of_rows = c.second.in_these_rows / c.first.in_these_rows
    error = None
    if c.ratio_high is not None and c.degrees is not None:
        # The interval is symmetric in the logarithm, whose error is that of the ratio as a share of it.
        error = c.ratio * math.log(c.ratio_high / c.ratio) / quantile(0.95, c.degrees)
    return Estimate(c.ratio, of_rows, c.ratio_low, c.ratio_high, error, c.first.n, "paired", c.warnings, c.degrees)


def _applies(m: Measure, e: Evidence) -> bool:
    if m.group == LABELS:
        return e.labels is not None
    if m.group == REFERENCE:
        return e.reference is not None
    return True


def _value(m: Measure, e: Evidence) -> Value:
    value, missing = reading_of(m, e)
    estimate, baseline = e.estimates.get(m.name), m.isotropic(e.size)
    notes = [missing]
    if value is not None:
        notes = [_why_no_interval(m, estimate, e)]
    n_read = e.near.n if "near_rows" in m.needs else len(e.sample)
    if m.sampled and n_read < e.n_samples:
        notes.append(f"from {n_read:,} rows")
    note = "; ".join(note for note in notes if note)
    # Thirty rows read no rank above 29; that of the population they were drawn from can be any up to the width.
    size = dataclasses.replace(e.size, population=estimate is not None)
    low, high = (float(end) for end in m.range(size))
    if baseline is not None:
        baseline = float(baseline)
    return Value(
        m.name, m.label, m.group, m.formula, m.unit, value, (low, high), baseline, m.aliases, note, estimate
    )  # fmt: skip


def reading_of(m: Measure, e: Evidence) -> tuple[float | None, str]:
    """The number of these rows, or None and the reason."""
    try:
        value = m.value(*(EVIDENCE[need](e) for need in m.needs))
    except TooLargeError as error:
        return None, str(error)
    except ValueError as error:
        # A measure refuses what it is not defined on; the report shows the reason in the number's place.
        return None, m.missing or str(error)
    if value is None:
        return None, m.missing
    return value, ""


def _why_no_interval(m: Measure, estimate: Estimate | None, e: Evidence) -> str:
    """Why a number stands without an interval; '' where it has one."""
    if estimate is None:
        if e.population is None:
            return f"no interval: fewer than {FEWEST_ROWS} rows"
        return f"no interval: {m.no_interval}"
    if estimate.low is not None:
        return ""
    reasons = [warning for warning in estimate.warnings if "no interval" in warning]
    return reasons[-1]
