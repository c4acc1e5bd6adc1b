"""Spatter: drops of water or mud. The drops depend on what was drawn, not on the image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import filters
from repgeom.corruptions.noise import Params
from repgeom.corruptions.strengths import Strength

_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
_TAN_22 = 0.41421356
_TAN_67 = 2.41421356
_REACH = 20  # pixels from an edge beyond which the distance no longer grows
_RELIEF = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def spatter(x: Tensor, strength: Strength, params: Params) -> Tensor:
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
    """(b, h, w) in [0, 1]: brighter away from the drops' edges, with a relief, as if light fell from one side."""
    layer = (liquid * 255).floor() % 256  # a value above 1 wraps around, as in the published cast to 8 bits
    away = _distance_to(_canny(layer, 50, 150))
    away = _equalized(_box_mean(away).floor())
    relief = F.conv2d(F.pad(away[:, None], (1, 1, 1, 1), mode="reflect"), away.new_tensor(_RELIEF)[None, None])[:, 0]
    mask = layer * (_box_mean(relief.clamp(0, 255)) + 0.5).floor()
    most = mask.amax((1, 2), keepdim=True)
    return mask / torch.where(most > 0, most, 1)


def _box_mean(x: Tensor) -> Tensor:
    padded = F.pad(x[:, None], (1, 1, 1, 1), mode="reflect")
    return F.avg_pool2d(padded, 3, stride=1)[:, 0]


def _canny(layer: Tensor, low: float, high: float) -> Tensor:
    """Edges (b, h, w) of 8-bit layers (Canny 1986): Sobel, |gx| + |gy|, thinned across the edge, weak ones kept if they
    touch strong ones."""
    padded = F.pad(layer[:, None], (1, 1, 1, 1), mode="replicate")
    sobel = layer.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    gx, gy = F.conv2d(padded, torch.stack([sobel, sobel.T])[:, None]).unbind(1)
    size = gx.abs() + gy.abs()
    around = F.pad(size, (1, 1, 1, 1))
    h, w = size.shape[-2:]

    def beside(down: int, right: int) -> Tensor:
        return around[:, 1 + down : 1 + down + h, 1 + right : 1 + right + w]

    flat, steep = gy.abs() < gx.abs() * _TAN_22, gy.abs() > gx.abs() * _TAN_67
    same_sign = gx * gy >= 0
    largest = torch.where(
        flat,
        (size > beside(0, -1)) & (size >= beside(0, 1)),
        torch.where(
            steep,
            (size > beside(-1, 0)) & (size >= beside(1, 0)),
            torch.where(
                same_sign,
                (size > beside(-1, -1)) & (size > beside(1, 1)),
                (size > beside(-1, 1)) & (size > beside(1, -1)),
            ),
        ),
    )
    weak = largest & (size > low)
    edges = weak & (size > high)
    while True:
        grown = weak & (F.max_pool2d(edges[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0)
        if bool((grown == edges).all()):
            return edges
        edges = grown


def _distance_to(edges: Tensor) -> Tensor:
    """Euclidean distance (b, h, w) to the nearest edge, at most 20: along rows first, then the best over nearby rows."""
    far = float(_REACH)
    row = torch.where(edges, 0.0, far)
    for step in (1, 2, 4, 8, 16):  # the smallest of value + distance within 31 pixels either way
        padded = F.pad(row, (step, step), value=far)
        row = torch.minimum(row, torch.minimum(padded[..., : -2 * step], padded[..., 2 * step :]) + step)
    h = edges.shape[-2]
    padded = F.pad(row.square(), (0, 0, _REACH, _REACH), value=far**2)
    best = row.square()
    for down in range(-_REACH, _REACH + 1):
        best = torch.minimum(best, padded[:, _REACH + down : _REACH + down + h] + down**2)
    return best.clamp(max=far**2).sqrt()


def _equalized(grey: Tensor) -> Tensor:
    """Histogram equalisation of 8-bit images (b, h, w): each grey level goes to its share of darker pixels."""
    flat = grey.flatten(1).long()
    counts = torch.zeros(len(flat), 256, device=grey.device).scatter_add_(
        1, flat, torch.ones_like(flat, dtype=torch.float32)
    )
    darkest = (counts > 0).float().argmax(1, keepdim=True)
    first = counts.gather(1, darkest)
    rest = flat.shape[1] - first
    levels = ((counts.cumsum(1) - first) * (255 / rest.clamp(min=1)) + 0.5).floor().clamp(0, 255)
    levels = torch.where(rest > 0, levels, darkest.float())
    return levels.gather(1, flat).view_as(grey)
