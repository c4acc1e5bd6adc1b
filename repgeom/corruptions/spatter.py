"""Spatter: drops of water or mud on images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019).

The drops depend on what was drawn, not on the image, so nothing but the last sum needs a gradient. OpenCV's routines, which the
published script calls, are written here with the same rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import filters
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength

_WATER = (175 / 255, 238 / 255, 238 / 255)  # pale turquoise, red to blue
_MUD = (63 / 255, 42 / 255, 20 / 255)  # a dark brown
_TAN_22 = 0.41421356  # tan 22.5°: a gradient below it counts as horizontal
_TAN_67 = 2.41421356  # tan 67.5°: above it as vertical, between them as diagonal
_DISTANCE_LIMIT = 20  # the published script cuts distances from an edge at 20 pixels
_RELIEF = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))  # an emboss filter: light from the upper left


def draw_spatter(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """Standard normal numbers (b, h, w), from which drops are smoothed and thresholded."""
    return {"normal": random.normal(h, w)}


def spatter(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Drops of water, lit along their rims and added to the image, or of mud, which cover it."""
    loc, scale, blur, threshold, amount, kind = strength
    liquid = filters.gaussian_blur(loc + scale * params["normal"], blur).float()
    liquid = torch.where(liquid < threshold, 0, liquid)
    if kind == "water":
        mask = _water_mask(liquid) * amount
        return x + mask[:, None] * x.new_tensor(_WATER)[:, None, None]
    mask = filters.gaussian_blur(liquid > threshold, amount).float()
    mask = torch.where(mask < 0.8, 0, mask)[:, None]
    return x * (1 - mask) + mask * x.new_tensor(_MUD)[:, None, None]


def _water_mask(liquid: Tensor) -> Tensor:
    """How much of the colour of water each pixel gets, (b, h, w) in [0, 1].

    Brighter away from the drops' edges, with a relief, as if light fell from one side.
    """
    grey = (liquid * 255).floor() % 256  # a value above 1 wraps around, as in the published cast to 8 bits
    distance = _distance_to_edge(_canny_edges(grey, 50, 150))
    distance = _equalized(_mean_of_nine(distance).floor())
    relief_filter = distance.new_tensor(_RELIEF)[None, None]
    relief = F.conv2d(F.pad(distance[:, None], (1, 1, 1, 1), mode="reflect"), relief_filter)[:, 0]
    mask = grey * (_mean_of_nine(relief.clamp(0, 255)) + 0.5).floor()
    largest = mask.amax((1, 2), keepdim=True)
    return mask / torch.where(largest > 0, largest, 1)


def _mean_of_nine(x: Tensor) -> Tensor:
    """The mean of each pixel of (b, h, w) and its eight neighbours, mirrored without repeating the border pixel."""
    padded = F.pad(x[:, None], (1, 1, 1, 1), mode="reflect")
    return F.avg_pool2d(padded, 3, stride=1)[:, 0]


def _canny_edges(grey: Tensor, low: float, high: float) -> Tensor:
    """Edges (b, h, w), bool, of 8-bit images (Canny 1986): ridges of the gradient above `low` that touch one above `high`."""
    padded = F.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")
    sobel = grey.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    gx, gy = F.conv2d(padded, torch.stack([sobel, sobel.T])[:, None]).unbind(1)
    size = gx.abs() + gy.abs()  # OpenCV's default in place of the Euclidean norm
    weak = _is_ridge(size, gx, gy) & (size > low)
    edges = weak & (size > high)
    # Grow the strong edges into the weak ones, a pixel at a time, until nothing changes.
    while True:
        touched = F.max_pool2d(edges[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
        grown = weak & touched
        if bool((grown == edges).all()):
            return edges
        edges = grown


def _is_ridge(size: Tensor, gx: Tensor, gy: Tensor) -> Tensor:
    """Where the gradient is larger than at both neighbours along its direction, which is one of four (b, h, w).

    Of two equal neighbours in a row or column the first is kept, as in OpenCV: hence > on one side and ≥ on the other.
    """
    padded = F.pad(size, (1, 1, 1, 1))
    h, w = size.shape[-2:]

    def neighbour(down: int, right: int) -> Tensor:
        return padded[:, 1 + down : 1 + down + h, 1 + right : 1 + right + w]

    across = (size > neighbour(0, -1)) & (size >= neighbour(0, 1))
    upright = (size > neighbour(-1, 0)) & (size >= neighbour(1, 0))
    falling = (size > neighbour(-1, -1)) & (size > neighbour(1, 1))
    rising = (size > neighbour(-1, 1)) & (size > neighbour(1, -1))
    is_horizontal = gy.abs() < gx.abs() * _TAN_22
    is_vertical = gy.abs() > gx.abs() * _TAN_67
    ridge = torch.where(gx * gy >= 0, falling, rising)
    ridge = torch.where(is_vertical, upright, ridge)
    return torch.where(is_horizontal, across, ridge)


def _distance_to_edge(edges: Tensor) -> Tensor:
    """Euclidean distance (b, h, w) to the nearest edge, at most 20 pixels.

    Separable (Felzenszwalb & Huttenlocher 2012): the distance within the row first, then the smallest of its square plus the
    square of the distance between rows, over all rows that are near enough.
    """
    limit = float(_DISTANCE_LIMIT)
    within_row = torch.where(edges, 0.0, limit)
    # Steps that double: the smallest of value + distance within 1 + 2 + 4 + 8 + 16 = 31 pixels either way.
    for step in (1, 2, 4, 8, 16):
        padded = F.pad(within_row, (step, step), value=limit)
        nearer_side = torch.minimum(padded[..., : -2 * step], padded[..., 2 * step :])
        within_row = torch.minimum(within_row, nearer_side + step)
    h = edges.shape[-2]
    squared = within_row.square()
    padded = F.pad(squared, (0, 0, _DISTANCE_LIMIT, _DISTANCE_LIMIT), value=limit**2)
    for down in range(-_DISTANCE_LIMIT, _DISTANCE_LIMIT + 1):
        other_row = padded[:, _DISTANCE_LIMIT + down : _DISTANCE_LIMIT + down + h]
        squared = torch.minimum(squared, other_row + down**2)
    return squared.clamp(max=limit**2).sqrt()


def _equalized(grey: Tensor) -> Tensor:
    """Histogram equalisation of 8-bit images (b, h, w): each grey level goes to its share of darker pixels.

    As in OpenCV, the pixels of the darkest level present do not count; an image of one level is left as it is.
    """
    flat = grey.flatten(1).long()
    ones = torch.ones_like(flat, dtype=torch.float32)
    counts = torch.zeros(len(flat), 256, dtype=torch.float32, device=grey.device).scatter_add_(1, flat, ones)
    darkest = (counts > 0).float().argmax(1, keepdim=True)
    n_darkest = counts.gather(1, darkest)
    n_others = flat.shape[1] - n_darkest
    new_levels = (counts.cumsum(1) - n_darkest) * (255 / n_others.clamp(min=1))
    new_levels = (new_levels + 0.5).floor().clamp(0, 255)
    new_levels = torch.where(n_others > 0, new_levels, darkest.float())
    return new_levels.gather(1, flat).view_as(grey)
