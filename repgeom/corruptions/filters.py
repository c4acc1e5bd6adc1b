"""What several corruptions share: smoothing, shifting and resampling with the borders of the published scripts.

Sums over pixels are either exact (`exact.py`) or elementwise in a fixed order: an image alone and the same image in a batch
agree bit for bit.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions.exact import along_rows, down_columns, on_weight_grid, rounded, truncated
from repgeom.corruptions.images import over_255


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
        total = x * centre
        both_sides = torch.empty_like(x)  # one buffer for all taps: new memory costs more than the sums
        # The kernel is symmetric, so the two pixels at one distance are added before they are multiplied; from far to near.
        for distance in range(radius, 0, -1):
            both_sides.copy_(padded.narrow(dim, radius - distance, n)).add_(padded.narrow(dim, radius + distance, n))
            total.add_(both_sides.mul_(outward[distance - 1]))
        x = total
    return x


def smooth_field(x: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of fields (..., h, w) in [−1, 1] to 3 sigma, mirrored at the border however far it reaches."""
    if int(3 * sigma + 0.5) == 0:
        return x
    h, w = x.shape[-2:]
    # The kernel may be wider than the image (sigma up to 0.7 of the side), so both axes are matrix products.
    rows_smoothed = along_rows(x, _mirrored_gaussian(w, sigma))
    return down_columns(rows_smoothed, _mirrored_gaussian(h, sigma)).float()


@functools.lru_cache(maxsize=64)
def _mirrored_gaussian(n: int, sigma: float) -> Tensor:
    """The matrix (n, n) that smooths n values; row i holds the weights of result i."""
    radius = int(3 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    # Mirrored with its border value repeated, a row has the period 2 n: values 0 to n - 1, then the same backwards.
    phase = (np.arange(n)[:, None] + offsets) % (2 * n)
    reached = np.minimum(phase, 2 * n - 1 - phase)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, None], reached), weights / weights.sum())
    return on_weight_grid(matrix)


def disk_blur(x: Tensor, radius: float, alias_blur: float) -> Tensor:
    """Correlation of (b, c, h, w) with a smoothed disk, mirrored at the border without repeating the border pixel.

    The kernel is symmetric along both axes, so the pixels that share a weight, up to four, are added first.
    """
    quarter = _disk_quarter(radius, alias_blur)
    reach = len(quarter) - 1
    h, w = x.shape[-2:]
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    total = torch.zeros_like(x)
    for down, row in enumerate(quarter.tolist()):
        lines = padded[..., reach + down : reach + down + h, :]
        if down > 0:
            lines = padded[..., reach - down : reach - down + h, :] + lines
        for across, weight in enumerate(row):
            if weight == 0:
                continue
            right = lines[..., reach + across : reach + across + w]
            if across > 0:
                left = lines[..., reach - across : reach - across + w]
                total.add_((left + right).mul_(weight))
            else:
                total.add_(right * weight)
    return total


@functools.lru_cache(maxsize=64)
def _disk_quarter(radius: float, alias_blur: float) -> np.ndarray:
    """The quarter of the kernel from its centre down and to the right, without the zeros around it."""
    # The published script's sizes: a kernel of 17 x 17 and a smoothing of 3 up to radius 8, else of 5.
    reach, smoothing_reach = 8, 1
    if radius > 8:
        reach, smoothing_reach = math.floor(radius), 2
    offsets = np.arange(-reach, reach + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(float)
    disk /= disk.sum()
    if alias_blur:
        taps = np.exp(-0.5 * (np.arange(-smoothing_reach, smoothing_reach + 1) / alias_blur) ** 2)
        taps /= taps.sum()
        disk = _smoothed_along_rows(disk, taps)
        disk = _smoothed_along_rows(disk.T, taps).T
    quarter = disk[reach:, reach:]
    last_used = np.flatnonzero(quarter.max(0) > 1e-12)[-1]
    return quarter[: last_used + 1, : last_used + 1]


def _smoothed_along_rows(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Correlation of each row with an odd number of taps, mirrored at the border without repeating the border value."""
    reach = len(taps) // 2
    padded = np.pad(x, ((0, 0), (reach, reach)), mode="reflect")
    total = np.zeros(x.shape)
    for i, tap in enumerate(taps):
        total += tap * padded[:, i : i + x.shape[1]]
    return total


def disk_reach(radius: float, alias_blur: float) -> int:
    """Number of pixels from the centre of the disk to its furthest weight."""
    return len(_disk_quarter(radius, alias_blur)) - 1


def motion_blur(x: Tensor, radius: int, sigma: float, angle: Tensor) -> Tensor:
    """One-sided Gaussian streak of 2 radius + 1 pixels, as ImageMagick's; (b, c, h, w), one angle (b,) in degrees each.

    Edges repeat. As there, sums are of 16-bit values and rounded to 16 bits, and the result is cut to 8 bits.
    """
    steps = torch.arange(2 * radius + 1, dtype=torch.float64, device=x.device)
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    # float64, as ImageMagick: which pixel a step falls on may hang on the last bits of the angle.
    radians = torch.deg2rad(angle.double())[:, None]
    right = (steps * radians.cos() - 0.5).ceil().long()
    down = (steps * radians.sin() - 0.5).ceil().long()
    h, w = x.shape[-2:]
    reach = 2 * radius
    # A view of every h x w window of the padded image: each image takes the windows of its own angle.
    grey = (x * 255).double().mul_(257)
    windows = F.pad(grey, (reach,) * 4, mode="replicate").unfold(2, h, 1).unfold(3, w, 1)
    images = torch.arange(len(x), device=x.device)
    total = torch.zeros_like(grey)
    for i, weight in enumerate((weights / weights.sum()).tolist()):
        total.add_(windows[images, :, reach + down[:, i], reach + right[:, i]], alpha=weight)
    # The half keeps multiples of 257 above themselves where a device multiplies by 1 / 257.
    return over_255(truncated((rounded(total) + 0.5) / 257)).to(x.dtype)


def clipped_zoom(x: Tensor, factor: float) -> Tensor:
    """The centre of (b, c, h, w), enlarged bilinearly (corner pixels stay corners) and cut back to h × w."""
    h, w = x.shape[-2:]
    centre_h, centre_w = math.ceil(h / factor), math.ceil(w / factor)
    top, left = (h - centre_h) // 2, (w - centre_w) // 2
    centre = x[..., top : top + centre_h, left : left + centre_w]
    # round() sends halves to the even neighbour, as the published script does.
    large_h, large_w = round(centre_h * factor), round(centre_w * factor)
    large = F.interpolate(centre, [large_h, large_w], mode="bilinear", align_corners=True)
    top, left = (large_h - h) // 2, (large_w - w) // 2
    return large[..., top : top + h, left : left + w]


def sampled(x: Tensor, across: Tensor, down: Tensor, *, repeat_edge: bool) -> Tensor:
    """Bilinear samples of (b, c, h, w) at pixel positions (b, h, w), mirrored at the border with its pixel or without."""
    h, w = x.shape[-2:]
    # grid_sample counts from -1 to 1: from the outer edges of the border pixels, or from their centres. It mirrors at the
    # same place, so this choice is the choice between repeating the border pixel and not.
    if repeat_edge:
        grid = torch.stack([(2 * across + 1) / w - 1, (2 * down + 1) / h - 1], -1)
    else:
        grid = torch.stack([2 * across / (w - 1) - 1, 2 * down / (h - 1) - 1], -1)
    return F.grid_sample(x, grid.to(x.dtype), padding_mode="reflection", align_corners=not repeat_edge)
