"""Where a number stands along an axis, and which numbers are written beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def at(self, values: np.ndarray) -> np.ndarray:
        """Where these stand: 0 at `low`, 1 at `high`; NaN where a logarithmic axis has no place for them."""
        values = np.asarray(values, dtype=float)
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        logs = np.log(np.where(values > 0, values, np.nan))
        return (logs - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def ticks(self, *, whole: bool = False, most: int = 7) -> list[tuple[float, str]]:
        """At most about so many round numbers of this axis: their places in percent, and their text."""
        numbers = self._round_numbers(whole, most)
        return [(round(100 * float(self.at(np.array(number))), 2), tick_text(number)) for number in numbers]

    def _round_numbers(self, whole: bool, most: int) -> list[float]:
        if self.log:
            numbers = _powers_of_ten(self.low, self.high, most)
            # Numbers within a factor of five or so are nearly as far apart on both kinds of axes.
            if len(numbers) > 2:
                return numbers
        step = _round_step((self.high - self.low) / (most - 1))
        if whole:
            step = max(1.0, float(math.ceil(step)))
        # A rounding error must not drop the last number.
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale_of(arrays: Iterable[np.ndarray], limits: tuple[float, float] | None, log: bool) -> Scale:
    """The axis on which all these numbers have a place."""
    if limits is not None:
        return Scale(*limits, log)
    parts = [np.asarray(a, dtype=float).reshape(-1) for a in arrays]
    values = np.concatenate([*parts, np.zeros(0)])
    values = values[np.isfinite(values)]
    if log:
        values = values[values > 0]
    if not len(values):
        return Scale(0.1, 1.0, log)
    low, high = float(values.min()), float(values.max())
    if log:
        # A little room on both sides. The smallest and the largest numbers there are have none.
        room = max(math.exp(0.04 * (math.log(high) - math.log(low))), 1.1)
        ends = np.finfo(float)
        return Scale(max(low / room, float(ends.tiny)), float(min(high, ends.max / room)) * room, True)
    # Lengths, shares and ranks are read from 0.
    low = min(low, 0.0)
    return Scale(low, max(high + 0.05 * (high - low), low + 1e-9), False)


def tick_text(number: float) -> str:
    """A round number as an axis shows it."""
    if number == 0:
        return "0"
    size = abs(number)
    if size >= 1e6 or size < 1e-3:
        exponent = math.floor(math.log10(size) + 1e-9)
        mantissa = round(number / 10**exponent, 6)
        power = f"10{str(exponent).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        if mantissa == 1:
            return power
        return f"{mantissa:g}·{power}".replace("-", "−")
    return f"{round(number, 9):,.10g}".replace("-", "−")


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(least))
    for factor in (1, 2, 5):
        if factor * power >= least * (1 - 1e-9):
            return factor * power
    return 10 * power


def _powers_of_ten(low: float, high: float, most: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / most))
    powers = [10.0**exponent for exponent in range(first, last + 1, every)]
    if len(powers) > 2:
        return powers
    # Less than three powers: 2 and 5 times them say more.
    numbers = [factor * 10.0**e for e in range(first - 1, last + 1) for factor in (1, 2, 5)]
    return [number for number in numbers if low <= number * (1 + 1e-9) and number <= high * (1 + 1e-9)]
