"""What libjpeg makes of images (b, 3, h, w) in [0, 1], without a codec: the same values, bit for bit.

The entropy coding of JPEG loses nothing and is left out. What remains is arithmetic on whole numbers with a rounding after
each pass. Here it is done in floats: every sum of products is a whole number that they hold exactly, below 2^24 in
float32 and below 2^53 in float64, so that no device and no order of addition changes a bit.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions.images import over_255
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
# Colour conversion (JFIF) in libjpeg's fixed point, in units of 2^-16: red, green and blue to luma and both chromas, with what is
# added before rounding down, and back: what both chromas add to red, green and blue. Planes are signed: 0 stands for level 128.
_TO_LUMA_AND_CHROMAS = ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
_ADDED_TO_PLANES = (32768 - 128 * 65536, 32767, 32767)
_FROM_CHROMAS = ((0, 91881), (-22554, -46802), (116130, 0))
_ADDED_TO_COLOURS = (32768 + 128 * 65536,) * 3
# libjpeg's cosine transform ("islow": Loeffler, Ligtenberg & Moschytz 1989) of 8 values, in units of 2^-13, as one matrix.
# Numbers that stand for one cosine differ by 1 where its flow graph sums different rounded constants.
_COSINES = (
    (8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363),
    (10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703),
    (9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633),
    (8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437),
    (4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433),
    (2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260),
)
# The same for two blocks side by side, transposed: rows of 16 values are multiplied faster than rows of 8.
_COSINES_OF_TWO = tuple(tuple(_COSINES[j % 8][i % 8] * (i // 8 == j // 8) for j in range(16)) for i in range(16))


def jpeg_compression(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """What libjpeg makes of the image at this quality: baseline, 4:2:0, decoded with smooth chroma upsampling.

    Its derivative is that of an image whose colours are halved in size and enlarged again, as if nothing were rounded.
    """
    (quality,) = strength
    decoded = over_255(_through_libjpeg((x.detach() * 255).add_(0.5).floor_().float(), quality))
    if not x.requires_grad:
        return decoded
    unrounded = _with_smooth_colours(x)
    return decoded + (unrounded - unrounded.detach())


def _through_libjpeg(rgb: Tensor, quality: float) -> Tensor:
    """Grey levels (b, 3, h, w) encoded and decoded, float32."""
    h, w = rgb.shape[-2:]
    # Chroma has half the size and blocks of 8, so widths are filled up to a multiple of 16; heights to one of 2, and then
    # each plane to whole blocks on its own.
    planes = _weighted_channels(_filled_up(rgb, 2, 16), _TO_LUMA_AND_CHROMAS, _ADDED_TO_PLANES)
    luma = _coded(planes[:, :1], _LUMINANCE_STEPS, quality)[..., :h, :w]
    chromas = _coded(_half_size(planes[:, 1:]), _CHROMINANCE_STEPS, quality)
    chromas = _double_size(chromas[..., : math.ceil(h / 2), : math.ceil(w / 2)])[..., :h, :w]
    return _weighted_channels(chromas, _FROM_CHROMAS, _ADDED_TO_COLOURS).add_(luma).clamp_(0, 255)


def _filled_up(x: Tensor, height_multiple: int, width_multiple: int) -> Tensor:
    """The last row and column repeated until their numbers are multiples."""
    missing = -x.shape[-2] % height_multiple, -x.shape[-1] % width_multiple
    if missing == (0, 0):
        return x
    return F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate")


def _weighted_channels(x: Tensor, weights: tuple[tuple[int, ...], ...], added: tuple[int, ...]) -> Tensor:
    """Channels (b, n, h, w) summed with each row of weights, plus a constant, in units of 2^-16, rounded down."""
    total = _constant(weights, 2.0**-16, x.dtype, x.device) @ x.flatten(2)
    total.add_(_constant(added, 2.0**-16, x.dtype, x.device)[:, None]).floor_()
    return total.unflatten(2, x.shape[2:])


def _half_size(x: Tensor) -> Tensor:
    """Means of 2 × 2; halves round down and up in turn along a row, as in libjpeg."""
    x = x[..., ::2, :] + x[..., 1::2, :]
    x = x[..., ::2] + x[..., 1::2]
    bias = 1 + torch.arange(x.shape[-1], device=x.device) % 2
    return x.add_(bias).mul_(1 / 4).floor_()


def _double_size(x: Tensor) -> Tensor:
    """Triangle-filtered to twice the size; results in odd columns round down a little more, as in libjpeg."""
    wide = x.new_empty(*x.shape, 2)  # of each column the two that it becomes
    _near_and_far(x, -1, wide[..., 0], wide[..., 1])
    x = wide.flatten(-2)
    large = x.new_empty(*x.shape[:-1], 2, x.shape[-1])
    _near_and_far(x, -2, large[..., 0, :], large[..., 1, :])
    bias = 8 - torch.arange(x.shape[-1], device=x.device) % 2
    return large.add_(bias).mul_(1 / 16).floor_().flatten(-3, -2)


def _near_and_far(x: Tensor, dim: int, first: Tensor, second: Tensor) -> None:
    """Put into `first` three times each value plus the one before it, and into `second` plus the one behind it; ends repeat."""
    n = x.shape[dim] - 1
    front, back = x.narrow(dim, 0, n), x.narrow(dim, 1, n)
    torch.add(front, back, alpha=3, out=first.narrow(dim, 1, n))
    torch.add(back, front, alpha=3, out=second.narrow(dim, 0, n))
    torch.mul(x.narrow(dim, 0, 1), 4, out=first.narrow(dim, 0, 1))
    torch.mul(x.narrow(dim, n, 1), 4, out=second.narrow(dim, n, 1))


def _coded(planes: Tensor, steps_at_50: tuple[tuple[int, ...], ...], quality: float) -> Tensor:
    """Planes (b, c, h, w) transformed in 8 × 8 blocks, rounded to multiples of the steps, and back to grey levels.

    libjpeg keeps two bits more between the passes, and eighths before quantising.
    """
    h, w = planes.shape[-2:]
    planes = _filled_up(planes, 8, 8)
    shape, exact = planes.shape, (torch.float64, planes.device)
    steps = _constant(_quantisation_steps(steps_at_50, quality), 1.0, *exact)[:, None]
    # Halves are rounded away from zero. A factor of 1 + 2^-40 carries them over, and nothing else: the next smaller
    # multiple of an eighth is 2^-11 below a half.
    per_step = (1 + 2.0**-40) / (8 * steps)
    # Sums of the first pass stay below 2^24, so that float32 holds them.
    x = _rounded(planes.reshape(-1, 16) @ _constant(_COSINES_OF_TWO, 2.0**-11, planes.dtype, planes.device))
    x = _rounded(_constant(_COSINES, 2.0**-15, *exact) @ x.double().view(-1, 8, shape[-1]))
    x = x.view(-1, 8, shape[-1] // 8, 8).mul_(per_step).round_().mul_(steps)
    x = _rounded(_constant(_COSINES, 2.0**-11, *exact).mT @ x.view(-1, 8, shape[-1]))
    x = _rounded(x.view(-1, 8) @ _constant(_COSINES, 2.0**-18, *exact))
    return x.view(shape)[..., :h, :w].float().clamp_(-128, 127)


def _rounded(x: Tensor) -> Tensor:
    """The nearest whole numbers, halves up, in place."""
    return x.add_(0.5).floor_()


@functools.lru_cache(maxsize=256)
def _constant(numbers: tuple[Any, ...], unit: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Whole numbers in a unit that is a power of two, as a tensor that is made once for each device."""
    return torch.tensor(numbers, dtype=dtype, device=device) * unit


@functools.lru_cache(maxsize=256)
def _quantisation_steps(steps_at_50: tuple[tuple[int, ...], ...], quality: float) -> tuple[tuple[int, ...], ...]:
    """libjpeg's steps at a quality in [1, 100]: the standard's at 50, in per cent of them elsewhere, whole, in [1, 255]."""
    per_cent = 200 - 2 * quality
    if quality < 50:
        per_cent = math.floor(5000 / quality)
    return tuple(
        tuple(min(max(math.floor((step * per_cent + 50) / 100), 1), 255) for step in row) for row in steps_at_50
    )


def _with_smooth_colours(x: Tensor) -> Tensor:
    """The image with its chroma halved in size and enlarged again: what compression does before it rounds."""
    h, w = x.shape[-2:]
    luma = (x * (x.new_tensor(_TO_LUMA_AND_CHROMAS[0]) / 65536)[:, None, None]).sum(1, keepdim=True)
    small = F.avg_pool2d(F.pad(x - luma, (0, w % 2, 0, h % 2), mode="replicate"), 2)
    large = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    return luma + large[..., :h, :w]
