"""Noise: each corruption is a pair, what is drawn for an image and how it is applied to images (b, 3, h, w) in [0, 1]."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions.seeds import Draws
from repgeom.corruptions.strengths import Strength

Params = dict[str, Tensor]

# Beyond it (severities close to 0) noise of this rate is scaled down: same mean and variance, and a table of fair size.
_LARGEST_RATE = 2000.0


def draw_normal(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"normal": random.normal(3, h, w)}


def gaussian_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    return x + strength[0] * params["normal"]


def speckle_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    return x + x * (strength[0] * params["normal"])


def draw_shot(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"uniform": random.uniform64(3, h, w)}


def shot_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Poisson(rate · x) / rate, the count being the Poisson quantile of a uniform number; its mean is x."""
    rate = min(strength[0], _LARGEST_RATE)
    level = (x.detach() * 255).clamp(0, 255)
    lower = level.floor()
    counts = _quantile(lower.long(), params["uniform"], rate)
    # A count at a value between two grey levels is one at the lower level plus one of the small rest.
    rest = (level - lower) * (rate / 255)
    if bool((rest > 0).any()):
        counts = counts + _small_quantile(rest.double(), _again(params["uniform"]))
    noise = (counts / rate).float()
    if rate < strength[0] or x.requires_grad:
        return x + (noise - x).detach() * math.sqrt(rate / strength[0])
    return noise


@functools.lru_cache(maxsize=16)
def _cumulative(rate: float) -> tuple[Tensor, int]:
    """Row g holds g + P(count ≤ k) for grey level g, k = 0, 1, ...; the rows follow one another in ascending order."""
    from scipy.stats import poisson

    most = math.ceil(rate + 12 * math.sqrt(rate) + 30)
    table = poisson.cdf(np.arange(most), rate * np.arange(256)[:, None] / 255)
    table[:, -1] = 1
    return torch.from_numpy((table + np.arange(256)[:, None]).ravel()), most


def _quantile(grey: Tensor, uniform: Tensor, rate: float) -> Tensor:
    """Smallest k with P(count ≤ k) ≥ uniform, at the rate of each grey level."""
    table, most = _cumulative(rate)
    return torch.searchsorted(table.to(grey.device), grey + uniform) - grey * most


def _again(uniform: Tensor) -> Tensor:
    """A second uniform number from the lower bits of the first."""
    return (uniform * 2**26).frac()


def _small_quantile(rate: Tensor, uniform: Tensor) -> Tensor:
    """Poisson quantiles by summing up probabilities, for rates of at most a few."""
    term = (-rate).exp()
    total, count = term.clone(), torch.zeros_like(rate)
    for k in range(1, 40):
        below = total < uniform
        count += below
        term = term * rate / k
        total += term
    return count.long()


def draw_impulse(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"replace": random.uniform(3, h, w), "white": random.uniform(3, h, w)}


def impulse_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    white = (params["white"] <= 0.5).to(x.dtype)
    return torch.where(params["replace"] <= strength[0], white, x)
