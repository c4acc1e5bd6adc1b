"""What a camera's sensor does (Kar et al. 2022, ImageNet-3DCC): noise of a high ISO value, and few bits for a colour."""

from __future__ import annotations

from torch import Tensor

from repgeom.corruptions import noise
from repgeom.corruptions.exact import truncated
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength


def draw_iso_noise(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Uniform numbers (b, 3, h, w) for the photons and standard normal ones for the electronics."""
    return noise.draw_shot(random, h, w, strength) | noise.draw_normal(random, h, w, strength)


def iso_noise(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Shot noise, cut to [0, 1], and Gaussian noise upon it."""
    rate, sigma = strength
    photons = noise.shot_noise(x, (rate,), params).clamp(0, 1)
    return noise.gaussian_noise(photons, (sigma,), params)


def color_quant(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Each value keeps its first bits; the others become 0."""
    step = 2 ** (8 - strength[0])
    # Whole grey levels come out whole, but for the rounding of floats that are none.
    return truncated((x * 255 + 1e-4) / step) * step / 255
