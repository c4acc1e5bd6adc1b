"""How sure is a number that was averaged over training seeds and measured on the same test images?

Every model's record keeps, beside each number v, what each test image adds to it: contributions c_i, the influence function
of v at image i (for effective ranks from `rg.influence`), which have mean zero. Two rules follow.

* Images. A number of n images has the variance var(c) / n (the infinitesimal jackknife, Jaeckel 1972; Efron 1982, ch. 6).
  Contributions add image by image, so that in the difference of two models what the images share cancels. A function of a
  number multiplies its contributions by the function's slope (delta method).
* Seeds. k seeds have the variance s² / k, with s² the variance of their values. The seeds were measured on the same images, so the
  two variances add up. The half width of the 95 % interval joins the two intervals' own (Howe 1974, JASA 69, 789-794):

      √( t²_{k−1} s²/k + t²_{n−1} var(mean over seeds of c)/n ),   t the 0.975 quantile of Student's distribution.

  It is somewhat wide where both matter. Welch's and Satterthwaite's degrees of freedom cover 87 to 93 % with two or three
  seeds instead of 95 %.

`rg.compare` answers the same question for two arrays of features. It does not serve here: a claim is about means over seeds, differences
of differences and accuracies, and the features of the models are not kept.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

LEVEL = 0.95
MOST_SEEDS = 1000  # that are thought of


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number and, for each set of images by its name, what each image adds to it, (n,), mean zero."""

    value: float
    parts: Mapping[str, Tensor]

    @classmethod
    def of(cls, value: float, images: str, contributions: Tensor) -> Measured:
        """A number that was measured on one set of images; contributions are centred here."""
        c = contributions.double()
        return cls(float(value), {images: c - c.mean()})

    def mapped(self, value: float, slope: float) -> Measured:
        """A function of this number, given by its value and its slope here."""
        return Measured(value, {name: slope * c for name, c in self.parts.items()})

    def __sub__(self, other: Measured) -> Measured:
        return combined([self, other], [1.0, -1.0])

    def log(self) -> Measured:
        """The natural logarithm of this number."""
        return self.mapped(math.log(self.value), 1 / self.value)

    def exp(self) -> Measured:
        """e to the power of this number."""
        return self.mapped(math.exp(self.value), math.exp(self.value))

    def image_variance(self) -> float:
        """The squared standard error that the draw of images gives; different sets of images are independent."""
        return sum(float(c.var()) / len(c) for c in self.parts.values())


def combined(measured: Sequence[Measured], weights: Sequence[float]) -> Measured:
    """A weighted sum of numbers, whose contributions add up image by image."""
    value = 0.0
    parts: dict[str, Tensor] = {}
    for number, weight in zip(measured, weights, strict=True):
        value += weight * number.value
        for name, c in number.parts.items():
            # A number that was not measured on these images adds nothing here.
            parts[name] = weight * c + parts.get(name, torch.zeros_like(c))
    return Measured(value, parts)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Mean over seeds with its 95 % interval; a single seed has no interval (None)."""

    value: float
    low: float | None
    high: float | None
    n_seeds: int
    scatter: float  # standard deviation over seeds with ddof = 0, as the paper gives it


@dataclasses.dataclass(frozen=True)
class Spread:
    """The mean of one number over seeds, and what makes it unsure."""

    value: float
    n_seeds: int
    seed_variance: float  # of one seed's value; NaN of a single seed
    image_variance: float  # of the mean
    n_images: int  # of several sets the smallest, which gives the wider interval

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> Spread:
        """Of the number as each seed has it."""
        k = len(measured)
        mean = combined(measured, [1 / k] * k)
        seed_variance = math.nan
        if k > 1:
            seed_variance = float(torch.tensor([m.value for m in measured], dtype=torch.float64).var())
        n_images = min((len(c) for c in mean.parts.values()), default=2)
        return cls(mean.value, k, seed_variance, mean.image_variance(), n_images)

    def from_images(self, level: float = LEVEL) -> float:
        """Half width that is left with any number of seeds."""
        return quantile(self.n_images - 1, level) * math.sqrt(self.image_variance)

    def half_width(self, level: float = LEVEL, n_seeds: int | None = None) -> float:
        """Of the interval at this level, with so many seeds as there are or as are asked for."""
        k = n_seeds or self.n_seeds
        from_seeds = quantile(k - 1, level) * math.sqrt(self.seed_variance / k)
        return math.hypot(from_seeds, self.from_images(level))

    def seeds_for(self, distance: float, level: float = LEVEL) -> int | None:
        """The fewest seeds at which the half width is below a distance; None where that takes more than `MOST_SEEDS`."""
        enough = (k for k in range(2, MOST_SEEDS + 1) if self.half_width(level, k) < distance)
        return next(enough, None)


def over_seeds(
    measured: Sequence[Measured], back: Callable[[float], float] = lambda v: v, level: float = LEVEL
) -> Summary:
    """The mean of one number for each seed, with its interval over seeds and images.

    `back` maps the mean and the interval's ends back where the numbers are logarithms.
    """
    spread = Spread.of(measured)
    k, value = spread.n_seeds, spread.value
    if k < 2:
        return Summary(back(value), None, None, k, 0.0)
    scatter = math.sqrt(spread.seed_variance * (k - 1) / k)
    half = spread.half_width(level)
    return Summary(back(value), back(value - half), back(value + half), k, scatter)


def over_images(measured: Measured) -> Summary:
    """A number of a model without seeds, a teacher, with the interval that the images alone give."""
    # A thousand images and more: Student's quantile is the normal one.
    half = 1.96 * math.sqrt(measured.image_variance())
    return Summary(measured.value, measured.value - half, measured.value + half, 1, 0.0)


# scipy takes 0.1 ms for a quantile, and a ledger asks for the same few a thousand times.
@functools.cache
def quantile(degrees: int, level: float = LEVEL) -> float:
    """Of Student's distribution: so many standard errors are half of an interval at this level."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, degrees))
