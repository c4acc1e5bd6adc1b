"""Blurs of images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019).

`draw_*` makes the random numbers of a corruption, the function of the corruption's name uses them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions import filters
from repgeom.corruptions.exact import truncated
from repgeom.corruptions.images import over_255
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength


def gaussian_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Gaussian smoothing to 4 sigma, edges repeated; sigma in pixels."""
    return filters.gaussian_blur(_float64_grey_levels(x), strength[0])


def defocus_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Correlation with a disk of a radius in pixels, its edge smoothed."""
    return filters.disk_blur(x, *strength)


def draw_glass(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Offsets across and down (b, iterations, h, w), whole pixels in {−max_delta, ..., max_delta − 1}."""
    _, max_delta, iterations = strength
    offset_x = random.below(2 * max_delta, iterations, h, w) - max_delta
    offset_y = random.below(2 * max_delta, iterations, h, w) - max_delta
    return {"offset_x": offset_x, "offset_y": offset_y}


def glass_reach(strength: Strength) -> int:
    """A scan leaves out `max_delta` pixels at each border; a larger image has at least one pixel to scan."""
    _, max_delta, _ = strength
    return int(2 * max_delta + 1)


def glass_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Smoothed, cut to 8 bits, its pixels replaced by neighbours in a scan, and smoothed again."""
    sigma, max_delta, _ = strength
    h, w = x.shape[-2:]
    smooth = filters.gaussian_blur(_float64_grey_levels(x), sigma)
    x = over_255(truncated(smooth.clamp(0, 1) * 255))
    # Scans are composed as indices first, so that values are moved only once.
    source = torch.arange(h * w, device=x.device).expand(len(x), -1)
    for across, down in zip(params["offset_x"].unbind(1), params["offset_y"].unbind(1), strict=True):
        source = source.gather(1, _sources_of_scan(across, down, max_delta))
    scrambled = x.flatten(2).gather(2, source[:, None].expand(-1, 3, -1)).unflatten(2, (h, w))
    return filters.gaussian_blur(scrambled, sigma)


def _float64_grey_levels(x: Tensor) -> Tensor:
    """float64 with exact multiples of 1/255 where `x` holds 8-bit grey levels.

    In float32 such a multiple is off by a rounding; after the blur is cut to 8 bits that would be a whole grey level.
    """
    return over_255((x * 255).double())


def _sources_of_scan(across: Tensor, down: Tensor, max_delta: int) -> Tensor:
    """Where the value of each pixel comes from in one scan of the glass blur, as flat indices (b, h w).

    The published scan runs from the last pixel to the first and overwrites: pixel p takes the value that its neighbour
    p + offset holds at that moment. A neighbour behind p in reading order has been overwritten already, so p points to the
    source of that neighbour, and so on. Following pointers of pointers resolves chains of any length in a few rounds
    (pointer jumping: each round doubles the length that is resolved).
    """
    h, w = across.shape[-2:]
    device = across.device
    pixel = torch.arange(h * w, device=device).view(h, w)
    in_scan = torch.zeros(h, w, dtype=torch.bool, device=device)
    in_scan[max_delta + 1 : h - max_delta + 1, max_delta + 1 : w - max_delta + 1] = True
    neighbour = torch.where(in_scan, pixel + down.long() * w + across.long(), pixel).flatten(1)
    is_overwritten = in_scan.flatten()[neighbour] & (neighbour > pixel.flatten())
    # Node p stands for the new value of pixel p, node h w + p for its old value, which points at itself.
    old_values = (pixel.flatten() + h * w).expand_as(neighbour)
    pointer = torch.where(is_overwritten, neighbour, neighbour + h * w)
    while bool((pointer < h * w).any()):
        pointer = torch.cat([pointer, old_values], 1).gather(1, pointer)
    return pointer - h * w


def draw_motion(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Angles (b,) in degrees, uniform in [−45, 45)."""
    return {"angle": 45 * random.symmetric()}


def motion_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A one-sided streak along a random angle, as a moving camera makes it."""
    radius, sigma = strength
    return filters.motion_blur(x, radius, sigma, params["angle"])


def zoom_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """The mean of the image and its enlargements by 1, 1 + step, ..., last_factor."""
    last_factor, step = strength
    # NumPy's factors to the last bit, as the published scripts': 50 · 1.01 is a tie that rounds to another size.
    factors = np.arange(1, last_factor + step / 2, step)
    total = x.clone()
    for factor in factors.tolist():
        total.add_(filters.clipped_zoom(x, factor))
    return total.div_(len(factors) + 1)
