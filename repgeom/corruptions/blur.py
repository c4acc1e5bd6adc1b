"""Blurs of images (b, 3, h, w) in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions import filters
from repgeom.corruptions.noise import Params
from repgeom.corruptions.seeds import Draws
from repgeom.corruptions.strengths import Strength


def draw_nothing(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {}


def _wide(x: Tensor) -> Tensor:
    """float64, with grey levels that are whole in float32 divided by 255 anew."""
    return (x * 255).double() / 255


def gaussian_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    return filters.gaussian_blur(_wide(x), strength[0])


def defocus_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    return filters.disk_blur(x, *strength)


def draw_glass(random: Draws, h: int, w: int, strength: Strength) -> Params:
    _, delta, iterations = strength
    size = (iterations, h, w)
    return {name: random.below(2 * delta, *size) - delta for name in ("offset_x", "offset_y")}


def glass_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Smoothed, cut to 8 bits, scrambled by copying neighbours in a scan, smoothed again."""
    sigma, delta, _ = strength
    h, w = x.shape[-2:]
    x = filters.truncated(filters.gaussian_blur(_wide(x), sigma).clamp(0, 1) * 255) / 255
    source = torch.arange(h * w, device=x.device).expand(len(x), -1)
    for across, down in zip(params["offset_x"].unbind(1), params["offset_y"].unbind(1), strict=True):
        source = source.gather(1, _scanned(across, down, delta))
    moved = x.flatten(2).gather(2, source[:, None].expand(-1, 3, -1)).unflatten(2, (h, w))
    return filters.gaussian_blur(moved, sigma)


def _scanned(across: Tensor, down: Tensor, delta: int) -> Tensor:
    """Where each pixel's value comes from after one scan, (b, h w).

    The scan runs backwards and overwrites, so a pixel that points at one visited before it takes that one's new value.
    Following such pointers two at a time resolves chains of any length in a few rounds.
    """
    h, w = across.shape[-2:]
    device = across.device
    place = torch.arange(h * w, device=device).view(h, w)
    scanned = torch.zeros(h, w, dtype=torch.bool, device=device)
    scanned[delta + 1 : h - delta + 1, delta + 1 : w - delta + 1] = True
    target = torch.where(scanned, place + down.long() * w + across.long(), place).flatten(1)
    visited = scanned.flatten()[target] & (target > place.flatten())
    # Node p stands for the new value of pixel p, node h w + p for its old one, which points at itself.
    old = (place.flatten() + h * w).expand_as(target)
    pointer = torch.where(visited, target, target + h * w)
    while bool((pointer < h * w).any()):
        pointer = torch.cat([pointer, old], 1).gather(1, pointer)
    return pointer - h * w


def draw_motion(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"angle": 45 * random.symmetric()}


def motion_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    radius, sigma = strength
    return filters.motion_blur(x, radius, sigma, params["angle"])


def zoom_blur(x: Tensor, strength: Strength, params: Params) -> Tensor:
    last, step = strength
    factors = np.arange(1, last + step / 2, step)  # to the last bit: a size may hang on it
    total = x.clone()
    for factor in factors.tolist():
        total.add_(filters.clipped_zoom(x, factor))
    return total.div_(len(factors) + 1)
