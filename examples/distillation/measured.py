"""A number with what each image adds to it, so that numbers can be combined and still know how sure they are.

A value v with contributions c_i (mean zero) of n images has the standard error sd(c) / √n. Differences and ratios of two
models on the same images add contributions image by image, so what the images share cancels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Measured:
    """A value and, for each set of images by name, the contributions (n,) to first order."""

    value: float
    parts: Mapping[str, Tensor]

    @classmethod
    def of(cls, value: float, images: str, contributions: Tensor) -> Measured:
        """From one set of images; contributions are centred here."""
        c = contributions.double()
        return cls(float(value), {images: c - c.mean()})

    def mapped(self, value: float, slope: float) -> Measured:
        """A function of it, by its value and its slope there."""
        return Measured(value, {name: slope * c for name, c in self.parts.items()})

    def __sub__(self, other: Measured) -> Measured:
        return combined([self, other], [1.0, -1.0])

    def log(self) -> Measured:
        """Natural logarithm."""
        return self.mapped(math.log(self.value), 1 / self.value)

    def exp(self) -> Measured:
        """e to its power."""
        return self.mapped(math.exp(self.value), math.exp(self.value))

    def image_variance(self) -> float:
        """Squared standard error from the images; sets of images are independent."""
        return sum(float(c.var()) / len(c) for c in self.parts.values())


def combined(measured: Sequence[Measured], weights: Sequence[float]) -> Measured:
    """A weighted sum, image by image."""
    parts: dict[str, Tensor] = {}
    for m, weight in zip(measured, weights, strict=True):
        for name, c in m.parts.items():
            parts[name] = weight * c + parts.get(name, torch.zeros_like(c))
    return Measured(sum(w * m.value for m, w in zip(measured, weights, strict=True)), parts)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Mean over seeds with a 95 % interval over seeds and images; no interval (None) from a single seed."""

    value: float
    low: float | None
    high: float | None
    n_seeds: int
    scatter: float  # standard deviation over seeds with ddof = 0, as the paper gives it


def over_seeds(measured: Sequence[Measured], back: Callable[[float], float] = lambda v: v) -> Summary:
    """One measured value per seed to their mean and its interval.

    The seeds were measured on the same images, so their scatter and the images' add up: the half width is
    √(t²_{k−1} s²/k + t²_{n−1} v) with s² the variance of k seeds and v that of the mean contributions of n images. It is
    somewhat wide where both matter; Welch and Satterthwaite's degrees of freedom cover 87 to 93 % with two or three seeds.
    `back` maps the ends back where the values are logarithms.
    """
    k = len(measured)
    mean = combined(measured, [1 / k] * k)
    values = torch.tensor([m.value for m in measured], dtype=torch.float64)
    scatter = float(values.std(correction=0))
    if k < 2:
        return Summary(back(mean.value), None, None, k, scatter)
    from scipy.stats import t

    n = min((len(c) for c in mean.parts.values()), default=2)
    seeds, images = float(values.var()) / k, mean.image_variance()
    half = math.sqrt(float(t.ppf(0.975, k - 1)) ** 2 * seeds + float(t.ppf(0.975, n - 1)) ** 2 * images)
    return Summary(back(mean.value), back(mean.value - half), back(mean.value + half), k, scatter)
