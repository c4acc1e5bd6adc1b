"""Noise on images (b, 3, h, w) in [0, 1]: `draw_*` makes the random numbers, the function of the corruption's name uses them.

Strengths and formulas are those of Hendrycks & Dietterich 2019. Results may leave [0, 1]; the caller clips them.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength

# At severities close to 0 the rate grows without limit, and the table of Poisson probabilities with it. Beyond this rate
# the noise of this rate is scaled down, which has the same mean and variance.
_LARGEST_RATE = 2000.0


def draw_normal(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Standard normal numbers (b, 3, h, w), one for each value."""
    return {"normal": random.normal(3, h, w)}


def gaussian_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """x + sigma · z, the same noise at every grey level."""
    return x + strength[0] * params["normal"]


def speckle_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """x + x · sigma · z, noise that grows with the grey level."""
    return x + x * (strength[0] * params["normal"])


def draw_shot(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Uniform numbers (b, 3, h, w) in [0, 1); float64, as each picks a quantile from a table of large sums."""
    return {"uniform": random.uniform64(3, h, w)}


def shot_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Poisson(rate · x) / rate, the count being the Poisson quantile of a uniform number; its mean is x."""
    rate = min(strength[0], _LARGEST_RATE)
    grey = (x.detach() * 255).clamp(0, 255)
    whole_grey = grey.floor()
    counts = _table_quantile(whole_grey.long(), params["uniform"], rate)
    # The table knows whole grey levels only. Poisson counts add up, so a value between two levels has the count of the lower
    # level plus an independent one at the small rate that is left.
    remaining_rate = (grey - whole_grey) * (rate / 255)
    if bool((remaining_rate > 0).any()):
        counts = counts + _summed_quantile(remaining_rate.double(), _second_uniform(params["uniform"]))
    noisy = counts.float() / rate
    if rate < strength[0] or x.requires_grad:
        # Counting has no derivative; the noise is taken as a constant that is added, so the gradient passes through x.
        return x + (noisy - x).detach() * math.sqrt(rate / strength[0])
    return noisy


@functools.lru_cache(maxsize=16)
def _cumulative_probabilities(rate: float) -> tuple[Tensor, int]:
    """A flat table of the 256 distribution functions of counts, and the number of counts in each.

    Entry (g, k) is g + P(count ≤ k) at grey level g. Adding g makes the whole table ascend from row to row, so that one
    binary search for g + uniform finds the quantile at every pixel, whatever its grey level.
    """
    from scipy.stats import poisson

    # Twelve standard deviations above the mean, and 30 more for small rates: beyond the 53 bits of a uniform number.
    n_counts = math.ceil(rate + 12 * math.sqrt(rate) + 30)
    grey = np.arange(256)[:, None]
    probabilities = poisson.cdf(np.arange(n_counts), rate * grey / 255)
    probabilities[:, -1] = 1  # a search never leaves its row
    return torch.from_numpy((probabilities + grey).ravel()), n_counts


def _table_quantile(grey: Tensor, uniform: Tensor, rate: float) -> Tensor:
    """Smallest k with P(count ≤ k) ≥ uniform, for the mean rate · grey / 255 of each whole grey level."""
    table, n_counts = _cumulative_probabilities(rate)
    return torch.searchsorted(table.to(grey.device), (grey + uniform).contiguous()) - grey * n_counts


def _second_uniform(uniform: Tensor) -> Tensor:
    """A second uniform number from the lower 27 of the first one's 53 bits, which the first quantile hardly reads."""
    return (uniform * 2**26).frac()


def _summed_quantile(rate: Tensor, uniform: Tensor) -> Tensor:
    """Poisson quantiles by summing up the probabilities of 0, 1, ..., for rates of at most _LARGEST_RATE / 255, about 8."""
    probability = (-rate).exp()
    cumulative = probability.clone()
    count = torch.zeros_like(rate)
    for k in range(1, 40):  # at a rate of 8 larger counts have a probability below 1e-15
        count += cumulative < uniform
        probability = probability * rate / k
        cumulative += probability
    return count.long()


def draw_impulse(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Uniform numbers (b, 3, h, w) in [0, 1): which values are replaced, and which of these become white."""
    return {"replace": random.uniform(3, h, w), "white": random.uniform(3, h, w)}


def impulse_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A share of the values, each channel on its own, becomes black or white with equal chance."""
    white = (params["white"] <= 0.5).to(x.dtype)
    return torch.where(params["replace"] <= strength[0], white, x)
