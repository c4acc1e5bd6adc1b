"""What libjpeg makes of images (b, 3, h, w) in [0, 1], without a codec.

The entropy coding of JPEG loses nothing and is left out. What remains is arithmetic on whole numbers, and it is rounded where
libjpeg's integer routines round, so that results agree with files that libjpeg wrote.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions.exact import along_rows, down_columns, on_weight_grid, rounded, truncated
from repgeom.corruptions.seeds import Params
from repgeom.corruptions.strengths import Strength

# The example quantisation tables of the standard (ITU-T T.81, Annex K), which every common encoder scales.
_LUMINANCE_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMINANCE_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *(((99,) * 8,) * 4),
)  # fmt: skip
# Colour conversion (JFIF) in libjpeg's fixed point, in units of 2^-16: red, green and blue to luma and both chromas, with the
# constant that rounds, and back: what both chromas add to red, green and blue.
_LUMA = (19595, 38470, 7471, 32768)
_BLUE_CHROMA = (-11059, -21709, 32768, 32767)
_RED_CHROMA = (32768, -27439, -5329, 32767)
_FROM_BLUE_CHROMA = (0, -22554, 116130)
_FROM_RED_CHROMA = (91881, -46802, 0)


def jpeg_compression(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """What libjpeg makes of the image at this quality: baseline, 4:2:0, decoded with smooth chroma upsampling.

    Rounding lets the gradient through.
    """
    (quality,) = strength
    h, w = x.shape[-2:]
    # Chroma has half the size and blocks of 8, so widths are filled up to a multiple of 16; heights to one of 2, and then
    # each plane to whole blocks on its own.
    rgb = _filled_up(_filled_up(rounded(x.double() * 255), -1, 16), -2, 2)
    luma = _weighted_channels(rgb, _LUMA)
    chromas = torch.stack([_weighted_channels(rgb, _BLUE_CHROMA), _weighted_channels(rgb, _RED_CHROMA)], 1)
    luma = _coded(_filled_up(luma - 128, -2, 8), _LUMINANCE_STEPS, quality)[:, :h, :w]
    luma = (luma + 128).clamp(0, 255)
    chromas = _coded(_filled_up(_half_size(chromas), -2, 8), _CHROMINANCE_STEPS, quality)
    chromas = chromas[..., : math.ceil(h / 2), : math.ceil(w / 2)].clamp(-128, 127)
    blue_chroma, red_chroma = _double_size(chromas)[..., :h, :w].unbind(1)
    channels = []
    for from_blue, from_red in zip(_FROM_BLUE_CHROMA, _FROM_RED_CHROMA, strict=True):
        channels.append(luma + rounded((from_blue * blue_chroma + from_red * red_chroma) / 65536))
    return (torch.stack(channels, 1).clamp(0, 255) / 255).float()


def _filled_up(x: Tensor, dim: int, multiple: int) -> Tensor:
    """The last row (dim −2) or column (−1) repeated until their number is a multiple."""
    missing = -x.shape[dim] % multiple
    if missing == 0:
        return x
    last = x.narrow(dim, -1, 1)
    return torch.cat([x, last.repeat_interleave(missing, dim)], dim)


def _weighted_channels(rgb: Tensor, weights: tuple[int, ...]) -> Tensor:
    """A plane (b, h, w): three weights of red, green and blue and a constant, in units of 2^-16, rounded down."""
    red, green, blue = rgb.unbind(1)
    return truncated((weights[0] * red + weights[1] * green + weights[2] * blue + weights[3]) / 65536)


def _half_size(x: Tensor) -> Tensor:
    """Means of 2 × 2; halves round down and up in turn along a row, as in libjpeg."""
    total = x[..., ::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, ::2] + x[..., 1::2, 1::2]
    bias = 1 + torch.arange(total.shape[-1], device=x.device) % 2
    return truncated((total + bias) / 4)


def _double_size(x: Tensor) -> Tensor:
    """Triangle-filtered to twice the size; results in odd columns round down a little more, as in libjpeg."""
    large = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    bias = 0.5 - (torch.arange(large.shape[-1], device=x.device) % 2) / 16
    return truncated(large + bias)


def _coded(plane: Tensor, steps_at_50: tuple[tuple[int, ...], ...], quality: float) -> Tensor:
    """Planes (..., h, w) transformed in 8 × 8 blocks, rounded to multiples of the steps, and back to whole grey levels.

    Rounds where libjpeg's integer transform does: it keeps two bits between the passes and eighths before quantising,
    where halves, which it rounds away from zero, are then common.
    """
    h, w = plane.shape[-2:]
    down, across = _block_cosines(h), _block_cosines(w)
    steps = _quantisation_steps(plane.new_tensor(steps_at_50), quality).repeat(h // 8, w // 8)
    x = rounded(along_rows(plane, across, whole_bits=10) * 4)
    x = rounded(down_columns(x, down, whole_bits=20) / 4) / 8
    x = rounded(x.abs() / steps) * steps * x.sign()
    x = rounded(down_columns(x, down.mT, whole_bits=20) * 4)
    return rounded(along_rows(x, across.mT, whole_bits=20) / 32)


def _quantisation_steps(steps_at_50: Tensor, quality: float) -> Tensor:
    """libjpeg's steps at a quality in [1, 100]: the standard's at 50, in per cent of them elsewhere, whole, in [1, 255]."""
    per_cent = 200 - 2 * quality
    if quality < 50:
        per_cent = math.floor(5000 / quality)
    return ((steps_at_50 * per_cent + 50) / 100).floor().clamp(1, 255)


@functools.lru_cache(maxsize=64)
def _block_cosines(n: int) -> Tensor:
    """(n, n): √8 times the orthonormal discrete cosine transform of each block of 8, as libjpeg scales it."""
    place = np.arange(8)
    cosines = np.cos((2 * place + 1) * place[:, None] * np.pi / 16) * math.sqrt(2)
    cosines[0] = 1
    return on_weight_grid(np.kron(np.eye(n // 8), cosines))
