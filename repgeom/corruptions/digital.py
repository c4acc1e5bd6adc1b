"""Elastic warping and large pixels of images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019)."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions import filters
from repgeom.corruptions.exact import along_rows, down_columns, rounded
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
    small = _box_resized(x * 255, max(1, int(h * scale)), max(1, int(w * scale)))
    return (_box_resized(small, h, w) / 255).float()


def _box_resized(grey: Tensor, height: int, width: int) -> Tensor:
    """Grey levels in [0, 255] resized, along rows first, and rounded after each pass, as Pillow's 8-bit images are."""
    h, w = grey.shape[-2:]
    if w != width:
        grey = rounded(along_rows(grey, _box_matrix(w, width), whole_bits=8))
    if h != height:
        grey = rounded(down_columns(grey, _box_matrix(h, height), whole_bits=8))
    return grey


@functools.lru_cache(maxsize=64)
def _box_matrix(n: int, size: int) -> Tensor:
    """Weights (size, n) of Pillow's BOX filter: each result is the mean of the whole pixels whose centre is in its window."""
    scale = n / size
    window = max(scale, 1.0)
    weights = np.zeros((size, n))
    for i in range(size):
        centre = (i + 0.5) * scale
        first = max(0, int(centre - window / 2 + 0.5))
        stop = min(n, int(centre + window / 2 + 0.5))
        offset = (np.arange(first, stop) - centre + 0.5) / window
        weights[i, first:stop] = (offset > -0.5) & (offset <= 0.5)
    weights /= weights.sum(1, keepdims=True)
    # Pillow works in fixed point: weights are multiples of 2^-22 (32 bits less 8 of the pixel and 2 of headroom).
    return torch.from_numpy(np.floor(weights * 2**22 + 0.5) / 2**22)
