"""What does a corruption add to images, in numbers that do not depend on single draws? Mean, variance, power by frequency."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from repgeom.robustness.measurement import Measurement

# Differences that are too small to matter, of grey levels, of the variance and of the power of an octave. Half a level is what cutting
# instead of rounding makes; neighbouring severities differ by a quarter of the variance and more.
MEAN_TOLERANCE = 0.5
VARIANCE_TOLERANCE = 1.05
POWER_TOLERANCE = 1.10
# An octave that holds less of the power says more about rounding to 8 bits than about the corruption.
LEAST_POWER = 1e-3


@dataclasses.dataclass(frozen=True)
class Bands:
    """Octaves of spatial frequency, in cycles per image: which one each frequency of a real transform is in, and its weight."""

    names: tuple[str, ...]
    of_frequency: Tensor  # (h, w // 2 + 1), −1 for frequency 0
    weight: Tensor  # frequencies whose mirror image the transform leaves out count twice

    @classmethod
    def of(cls, size: tuple[int, int], device: torch.device) -> Bands:
        """Return the octaves of images of this size: 1 to 2 cycles, 2 to 4, and so on; the last one takes the corners in."""
        h, w = size
        down = torch.fft.fftfreq(h, 1 / h, device=device, dtype=torch.float64)
        across = torch.fft.rfftfreq(w, 1 / w, device=device, dtype=torch.float64)
        cycles = (down[:, None].square() + across.square()).sqrt()
        last = int(math.log2(min(h, w) / 2)) - 1
        octave = cycles.clamp(min=1).log2().floor().clamp(max=last).long()
        octave[0, 0] = -1
        weight = torch.full_like(cycles, 2.0)
        weight[:, 0] = 1.0
        if w % 2 == 0:
            weight[:, -1] = 1.0
        names = [f"{2**i}–{2 ** (i + 1)}" for i in range(last)]
        return cls((*names, f"{2**last} and more"), octave, weight)

    def power(self, x: Tensor) -> Tensor:
        """Return the power of images (b, 3, h, w) in each octave, (b, octaves), the mean over colours."""
        squares = torch.fft.rfft2(x, norm="forward").abs().square().mean(1) * self.weight
        sums = [squares[:, self.of_frequency == octave].sum(1) for octave in range(len(self.names))]
        return torch.stack(sums, 1)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Numbers of each image, (n,) but where said: of theirs against ours, and of what each adds to the clean image."""

    equal: Tensor
    within_1: Tensor
    largest: Tensor
    squared_error: Tensor
    mean_theirs: Tensor  # (n, 3)
    mean_ours: Tensor
    variance_theirs: Tensor
    variance_ours: Tensor
    power_theirs: Tensor  # (n, octaves)
    power_ours: Tensor

    @classmethod
    def of(cls, clean: Tensor, theirs: Tensor, ours: Tensor, bands: Bands) -> Statistics:
        """Read them off uint8 images (b, 3, h, w)."""
        clean, theirs, ours = clean.double(), theirs.double(), ours.double()
        apart = (theirs - ours).abs().flatten(1)
        pixels = [
            (apart == 0).double().mean(1),
            (apart <= 1).double().mean(1),
            apart.amax(1),
            apart.square().mean(1),
        ]
        added = [theirs - clean, ours - clean]
        means = [x.mean((2, 3)) for x in added]
        variances = [x.flatten(1).var(1, correction=0) for x in added]
        return cls(*pixels, *means, *variances, *[bands.power(x) for x in added])

    @classmethod
    def joined(cls, parts: Sequence[Statistics]) -> Statistics:
        """Return those of all batches."""
        return cls(*[torch.cat([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(cls)])


def compared(found: Statistics, bands: Bands, confidence: float) -> tuple[dict[str, Any], bool | None]:
    """Return the differences with intervals, and whether they are small: True, False, or None where it cannot be told.

    `confidence` is that of all intervals together.
    """
    means = [Measurement.mean("mean", (found.mean_theirs - found.mean_ours)[:, i]) for i in range(3)]
    variance = _ratio(found.variance_theirs, found.variance_ours)
    counted = _counted(found)
    powers = {bands.names[i]: _ratio(found.power_theirs[:, i], found.power_ours[:, i]) for i in counted}
    each = 1 - (1 - confidence) / (len(means) + 1 + len(powers))
    mean = max(means, key=lambda m: abs(m.value))
    row: dict[str, Any] = _shown("mean", mean, each) | _shown("variance", variance, each)
    if powers:
        band = max(powers, key=lambda name: abs(_log(powers[name].value)))
        row |= _shown("power", powers[band], each) | {"band": band}
    verdicts = [_is_small(m.value, m.interval(each), -MEAN_TOLERANCE, MEAN_TOLERANCE) for m in means]
    verdicts.append(_is_small_ratio(variance, each, VARIANCE_TOLERANCE))
    verdicts += [_is_small_ratio(m, each, POWER_TOLERANCE) for m in powers.values()]
    if False in verdicts:
        return row, False
    if None in verdicts:
        return row, None
    return row, True


def _counted(found: Statistics) -> list[int]:
    """Return the octaves that hold enough of the power on either side."""
    theirs, ours = found.power_theirs.mean(0), found.power_ours.mean(0)
    shares = torch.maximum(theirs / theirs.sum(), ours / ours.sum()).nan_to_num(0.0)
    return [i for i, share in enumerate(shares.tolist()) if share >= LEAST_POWER]


def _ratio(theirs: Tensor, ours: Tensor) -> Measurement:
    """Measure the mean of theirs over the mean of ours; 1 where both are nothing, infinite where only ours is."""
    if bool((theirs == ours).all()):
        return Measurement("ratio", 1.0, len(ours), torch.ones_like(ours), "positive")
    if float(ours.mean()) == 0:
        return Measurement("ratio", math.inf, len(ours))
    return Measurement.ratio("ratio", theirs, ours)


def _shown(name: str, m: Measurement, confidence: float) -> dict[str, float]:
    low, high = m.interval(confidence)
    return {name: m.value, f"{name}_low": low, f"{name}_high": high}


def _is_small_ratio(m: Measurement, confidence: float, tolerance: float) -> bool | None:
    return _is_small(m.value, m.interval(confidence), 1 / tolerance, tolerance)


def _is_small(value: float, interval: tuple[float, float], least: float, most: float) -> bool | None:
    """Whether an interval lies within the tolerance (True), beside it (False), or across its edge (None)."""
    low, high = interval
    if math.isinf(value):
        return False
    if least <= low and high <= most:
        return True
    if high < least or low > most:
        return False
    return None


def _log(ratio: float) -> float:
    """Return the logarithm of a ratio that may be 0."""
    if ratio == 0:
        return -math.inf
    return math.log(ratio)
