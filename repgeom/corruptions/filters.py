"""What several corruptions share: smoothing, shifting and resampling with the borders of the published scripts.

On the CPU one image alone and the same image in a batch must agree bit for bit, although a matrix product may add in
another order. So products are made exact: values are rounded to 24 bits and weights to multiples of 2⁻²⁸, each sum then fits the
53 bits of a float64, and any order gives the same sum. Everything else here is elementwise.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_VALUE_BITS, _WEIGHT_BITS = 24, 28


class _Round(torch.autograd.Function):
    """Rounds half up forwards, lets the gradient through unchanged backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x + 0.5).floor_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Floor(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.floor()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _through(function: type[torch.autograd.Function], x: Tensor) -> Tensor:
    result: Tensor = function.apply(x)
    return result


def rounded(x: Tensor) -> Tensor:
    """To the nearest whole number; differentiable as if it did nothing."""
    return _through(_Round, x)


def truncated(x: Tensor) -> Tensor:
    """Down to a whole number; differentiable as if it did nothing."""
    return _through(_Floor, x)


def along_rows(x: Tensor, matrix: Tensor, *, whole_bits: int = 0) -> Tensor:
    """x @ matrixᵀ in float64, without rounding in the sums; x (..., h, w) with |x| at most about 2^whole_bits."""
    return _on_grid(x, _VALUE_BITS - whole_bits) @ matrix.to(x.device).mT


def down_columns(x: Tensor, matrix: Tensor, *, whole_bits: int = 0) -> Tensor:
    """matrix @ x, as `along_rows`."""
    return matrix.to(x.device) @ _on_grid(x, _VALUE_BITS - whole_bits)


def _on_grid(x: Tensor, bits: int) -> Tensor:
    wide = x.double()
    return wide if wide.requires_grad else (wide * 2.0**bits).round_().mul_(2.0**-bits)


def on_weight_grid(weights: np.ndarray) -> Tensor:
    """Rows of weights as multiples of 2⁻²⁸."""
    return torch.from_numpy(np.round(weights * 2.0**_WEIGHT_BITS) * 2.0**-_WEIGHT_BITS)


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of (..., h, w) to 4 sigma, edges repeated, in float64.

    Adds in SciPy's order: where a scan cuts to 8 bits next, the last bit decides in flat parts of an image.
    """
    radius = int(4 * sigma + 0.5)
    x = x.double()
    if radius == 0:
        return x
    taps = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    centre, *outward = (taps / taps.sum())[radius:].tolist()
    for dim, border in ((-2, (0, 0, radius, radius)), (-1, (radius, radius, 0, 0))):
        n = x.shape[dim]
        padded = F.pad(x, border, mode="replicate")
        total, both = x * centre, torch.empty_like(x)  # one buffer for all: new memory costs more than the sums
        for j in range(radius, 0, -1):
            both.copy_(padded.narrow(dim, radius - j, n)).add_(padded.narrow(dim, radius + j, n))
            total.add_(both.mul_(outward[j - 1]))
        x = total
    return x


def smooth_field(x: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of fields (..., h, w) in [−1, 1] to 3 sigma, mirrored at the border however far it reaches."""
    if int(3 * sigma + 0.5) == 0:
        return x
    h, w = x.shape[-2:]
    return down_columns(along_rows(x, _mirrored_gaussian(w, sigma)), _mirrored_gaussian(h, sigma)).float()


@functools.lru_cache(maxsize=64)
def _mirrored_gaussian(n: int, sigma: float) -> Tensor:
    """(n, n) weights; row i makes result i."""
    radius = int(3 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    reached = (np.arange(n)[:, None] + offsets) % (2 * n)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, None], np.minimum(reached, 2 * n - 1 - reached)), weights / weights.sum())
    return on_weight_grid(matrix)


def disk_blur(x: Tensor, radius: float, alias_blur: float) -> Tensor:
    """Correlation with a smoothed disk, border reflect-101. The kernel is symmetric, so mirrored pixels are added first."""
    quarter = _disk_quarter(radius, alias_blur)
    reach = len(quarter) - 1
    h, w = x.shape[-2:]
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    total = torch.zeros_like(x)
    for i, row in enumerate(quarter.tolist()):
        up, down = padded[..., reach - i : reach - i + h, :], padded[..., reach + i : reach + i + h, :]
        both = up + down if i else down
        for j, weight in enumerate(row):
            if weight:
                left, right = both[..., reach - j : reach - j + w], both[..., reach + j : reach + j + w]
                total.add_((left + right).mul_(weight) if j else right * weight)
    return total


@functools.lru_cache(maxsize=64)
def _disk_quarter(radius: float, alias_blur: float) -> np.ndarray:
    """Rows and columns 0, 1, ... from the centre of the kernel, without the zeros around it."""
    reach, smoothing = (8, 3) if radius <= 8 else (math.floor(radius), 5)
    at = np.arange(-reach, reach + 1)
    disk = (at[:, None] ** 2 + at**2 <= radius**2).astype(float)
    disk /= disk.sum()
    if alias_blur:
        taps = np.exp(-0.5 * (np.arange(-(smoothing // 2), smoothing // 2 + 1) / alias_blur) ** 2)
        disk = _smoothed(_smoothed(disk, taps / taps.sum()).T, taps / taps.sum()).T
    quarter = disk[len(disk) // 2 :, len(disk) // 2 :]
    used = np.flatnonzero(quarter.max(0) > 1e-12)
    return quarter[: used[-1] + 1, : used[-1] + 1]


def _smoothed(rows: np.ndarray, taps: np.ndarray) -> np.ndarray:
    reach = len(taps) // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="reflect")
    return sum(tap * padded[:, i : i + rows.shape[1]] for i, tap in enumerate(taps))


def disk_reach(radius: float, alias_blur: float) -> int:
    return len(_disk_quarter(radius, alias_blur)) - 1


def motion_blur(x: Tensor, radius: int, sigma: float, angle: Tensor) -> Tensor:
    """One-sided Gaussian streak of 2 radius + 1 pixels, as ImageMagick's; (b, c, h, w), one angle (b,) in degrees each.

    Edges repeat. The result is rounded to 8 bits, as there.
    """
    steps = torch.arange(2 * radius + 1, dtype=torch.float64, device=x.device)
    fading = torch.exp(-(steps**2) / (2 * sigma**2))
    weights = (fading / fading.sum()).tolist()
    turn = torch.deg2rad(angle.double())[:, None]
    right, down = ((steps * part(turn) - 0.5).ceil().long() for part in (torch.cos, torch.sin))
    h, w = x.shape[-2:]
    reach = 2 * radius
    windows = F.pad(x, (reach,) * 4, mode="replicate").unfold(2, h, 1).unfold(3, w, 1)
    images = torch.arange(len(x), device=x.device)
    total = torch.zeros_like(x)
    for i, weight in enumerate(weights):
        total.add_(windows[images, :, reach + down[:, i], reach + right[:, i]].mul_(weight))
    return rounded(total * 255) / 255


def clipped_zoom(x: Tensor, factor: float) -> Tensor:
    """The centre of (b, c, h, w), enlarged bilinearly (corner pixels stay corners) and cut back to h × w."""
    h, w = x.shape[-2:]
    inner = [math.ceil(n / factor) for n in (h, w)]
    top, left = ((n - m) // 2 for n, m in zip((h, w), inner, strict=True))
    size = [round(m * factor) for m in inner]
    centre = x[..., top : top + inner[0], left : left + inner[1]]
    large = F.interpolate(centre, size, mode="bilinear", align_corners=True)
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    return large[..., top : top + h, left : left + w]


def sampled(x: Tensor, across: Tensor, down: Tensor, *, repeat_edge: bool) -> Tensor:
    """Bilinear samples of (b, c, h, w) at pixel positions (b, h, w); mirrored at the border, with its pixel or without."""
    h, w = x.shape[-2:]
    if repeat_edge:
        grid = torch.stack([(2 * across + 1) / w - 1, (2 * down + 1) / h - 1], -1)
    else:
        grid = torch.stack([2 * across / (w - 1) - 1, 2 * down / (h - 1) - 1], -1)
    return F.grid_sample(x, grid.to(x.dtype), padding_mode="reflection", align_corners=not repeat_edge)


def plasma(levels: list[Tensor], decay: float) -> Tensor:
    """Diamond-square field (b, n, n) in [0, 1], n = 2^len(levels), periodic; level l is (b, 3, 2^l, 2^l) in [−1, 1]."""
    corners = levels[0].new_zeros(len(levels[0]), 1, 1)
    wibble = 100.0
    for noise in levels:
        centres, above, beside = (noise * wibble**2).unbind(1)
        pairs = corners + corners.roll(-1, 1)
        squares = (pairs + pairs.roll(-1, 2)) / 4 + centres
        tops = (squares + squares.roll(1, 1) + corners + corners.roll(-1, 2)) / 4 + above
        lefts = (squares + squares.roll(1, 2) + corners + corners.roll(-1, 1)) / 4 + beside
        even, odd = torch.stack([corners, tops], -1).flatten(2), torch.stack([lefts, squares], -1).flatten(2)
        corners = torch.stack([even, odd], 2).flatten(1, 2)
        wibble /= decay
    low, high = corners.amin((1, 2), keepdim=True), corners.amax((1, 2), keepdim=True)
    return (corners - low) / (high - low)
