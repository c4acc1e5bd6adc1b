"""Elastic warping and large pixels of images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019)."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import filters
from repgeom.corruptions.exact import rounded
from repgeom.corruptions.images import over_255
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength


def draw_elastic(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Uniform numbers in [−1, 1): shifts of three points (b, 3, 2), and of every pixel (b, h, w) across and down."""
    return {"points": random.symmetric(3, 2), "dx": random.symmetric(h, w), "dy": random.symmetric(h, w)}


def elastic_transform(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A small affine warp, then every pixel moved by a smooth random field (Simard, Steinkraus & Platt 2003)."""
    alpha, sigma, affine = strength
    h, w = x.shape[-2:]
    rows = torch.arange(h, dtype=torch.float64, device=x.device)
    columns = torch.arange(w, dtype=torch.float64, device=x.device)
    down, right = torch.meshgrid(rows, columns, indexing="ij")
    # float64: a rounding of the six numbers is multiplied by the pixel's position.
    inverse = _inverse_affine(params["points"].double() * affine, h, w)[..., None, None]
    source_x = inverse[:, 0, 0] * right + inverse[:, 1, 0] * down + inverse[:, 2, 0]
    source_y = inverse[:, 0, 1] * right + inverse[:, 1, 1] * down + inverse[:, 2, 1]
    x = filters.sampled(x, source_x.float(), source_y.float(), repeat_edge=False)
    dx = alpha * filters.smooth_field(params["dx"].float(), sigma)
    dy = alpha * filters.smooth_field(params["dy"].float(), sigma)
    return filters.sampled(x, right.float() + dx, down.float() + dy, repeat_edge=True)


def _inverse_affine(shift: Tensor, h: int, w: int) -> Tensor:
    """Matrices (b, 3, 2): (x, y, 1) of a warped pixel times its matrix is the place (x, y) where its value comes from.

    The warp moves three points around the centre by `shift` (b, 3, 2), in pixels. The published script writes the centre
    as (h / 2, w / 2) where OpenCV expects (x, y); for images that are not square the points follow it.
    """
    centre = np.array([h // 2, w // 2])
    reach = min(h, w) // 3
    corners = np.array([centre + reach, [centre[0] + reach, centre[1] - reach], centre - reach])
    points = torch.tensor(corners, dtype=torch.float64, device=shift.device).expand(len(shift), 3, 2)
    homogeneous = torch.cat([points + shift, torch.ones_like(points[..., :1])], -1)
    return torch.linalg.solve(homogeneous, points)


def pixelate(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Pillow's BOX filter down and up again, rounded to 8 bits after each pass, with its fixed-point weights."""
    (scale,) = strength
    h, w = x.shape[-2:]
    grey = _box_reduced(x * 255, max(1, int(w * scale)), -1)
    grey = _box_reduced(grey, max(1, int(h * scale)), -2)
    # Enlarging takes one pixel for each. Whole rows are copied last, as that is the fastest.
    grey = over_255(grey.index_select(-1, _nearest(grey.shape[-1], w).to(x.device)))
    return grey.index_select(-2, _nearest(grey.shape[-2], h).to(x.device))


def _box_reduced(grey: Tensor, size: int, dim: int) -> Tensor:
    """Grey levels averaged to a smaller size along one dimension, in Pillow's fixed point, and rounded."""
    n = grey.shape[dim]
    if n == size:
        return rounded(grey)
    windows, weights = _box_windows(n, size)
    # One more value, a zero, is what shorter windows take in place of a pixel that they do not have.
    border = {-1: (0, 1, 0, 0), -2: (0, 0, 0, 1)}[dim]
    padded = F.pad(grey, border)
    total = padded.index_select(dim, windows[0].to(grey.device))
    for pixels in windows[1:]:
        total = total + padded.index_select(dim, pixels.to(grey.device))
    if dim == -2:
        weights = weights[:, None]
    # float64: a sum has up to 13 bits and a weight 22.
    return rounded(total.double() * weights.to(grey.device)).to(grey.dtype)


@functools.lru_cache(maxsize=64)
def _box_windows(n: int, size: int) -> tuple[list[Tensor], Tensor]:
    """The first, second, ... pixel of each result's window, n where it has none, and the weight of its pixels.

    A result is the mean of the whole pixels whose centre is in its window. Pillow works in fixed point: weights are multiples of
    2^-22 (32 bits less 8 of the pixel and 2 of headroom).
    """
    inside = _inside(n, size)
    counts = inside.sum(1)
    first = inside.argmax(1)
    windows = [np.where(k < counts, first + k, n) for k in range(counts.max())]
    weights = np.floor(2.0**22 / counts + 0.5) / 2**22
    return [torch.from_numpy(window) for window in windows], torch.from_numpy(weights)


@functools.lru_cache(maxsize=64)
def _nearest(n: int, size: int) -> Tensor:
    """Which of n pixels each of more results shows."""
    return torch.from_numpy(_inside(n, size).argmax(1))


def _inside(n: int, size: int) -> np.ndarray:
    """Which of n pixels lie in the window of each result, (size, n); a window is at least one pixel wide."""
    width = max(n / size, 1.0)
    pixels, centres = np.arange(n), (np.arange(size)[:, None] + 0.5) * (n / size)
    first, stop = np.floor(centres - width / 2 + 0.5), np.floor(centres + width / 2 + 0.5)
    offset = (pixels - centres + 0.5) / width
    return (pixels >= first) & (pixels < stop) & (offset > -0.5) & (offset <= 0.5)
