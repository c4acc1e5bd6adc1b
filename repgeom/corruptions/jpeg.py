"""What libjpeg makes of images (b, 3, h, w) in [0, 1], without a codec: the same values, bit for bit.

The entropy coding of JPEG loses nothing and is left out. What remains is arithmetic on whole numbers with a rounding after
each pass. Here it is done in floats: every sum of products is a whole number that they hold exactly, below 2^24 in
float32 and below 2^53 in float64, so that no device and no order of addition changes a bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

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
# constants that round, and back: what both chromas add to red, green and blue.
_TO_LUMA_AND_CHROMAS = ((19595, 38470, 7471), (-11059, -21709, 32768), (32768, -27439, -5329))
_ROUNDING = (32768, 32767 + 128 * 65536, 32767 + 128 * 65536)
_FROM_CHROMAS = ((0, 91881), (-22554, -46802), (116130, 0))
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


def jpeg_compression(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """What libjpeg makes of the image at this quality: baseline, 4:2:0, decoded with smooth chroma upsampling.

    Its derivative is that of an image whose colours are halved in size and enlarged again, as if nothing were rounded.
    """
    (quality,) = strength
    decoded = _through_libjpeg((x.detach() * 255 + 0.5).floor(), quality) / 255
    if not x.requires_grad:
        return decoded
    unrounded = _with_smooth_colours(x)
    return decoded + (unrounded - unrounded.detach())


def _through_libjpeg(rgb: Tensor, quality: float) -> Tensor:
    """Grey levels (b, 3, h, w) encoded and decoded, float32."""
    h, w = rgb.shape[-2:]
    # Chroma has half the size and blocks of 8, so widths are filled up to a multiple of 16; heights to one of 2, and then
    # each plane to whole blocks on its own.
    rgb = F.pad(rgb, (0, -w % 16, 0, h % 2), mode="replicate")
    planes = _weighted_channels(rgb, _TO_LUMA_AND_CHROMAS, _ROUNDING)
    luma = _coded(planes[:, :1], _LUMINANCE_STEPS, quality)[..., :h, :w]
    chromas = _coded(_half_size(planes[:, 1:]), _CHROMINANCE_STEPS, quality)
    chromas = chromas[..., : math.ceil(h / 2), : math.ceil(w / 2)]
    chromas = _double_size(chromas)[..., :h, :w] - 128
    return _weighted_channels(chromas, _FROM_CHROMAS, (32768,) * 3).add_(luma).clamp_(0, 255)


def _weighted_channels(x: Tensor, weights: tuple[tuple[int, ...], ...], rounding: tuple[int, ...]) -> Tensor:
    """Channels (b, n, h, w) summed with each row of weights and a constant, in units of 2^-16, and rounded down."""
    total = x.new_tensor(weights) @ x.flatten(2)
    total.mul_(2.0**-16).add_(x.new_tensor(rounding).mul_(2.0**-16)[:, None]).floor_()
    return total.unflatten(2, x.shape[2:])


def _half_size(x: Tensor) -> Tensor:
    """Means of 2 × 2; halves round down and up in turn along a row, as in libjpeg."""
    means = F.avg_pool2d(x, 2)
    bias = torch.arange(means.shape[-1], device=x.device).remainder_(2).add_(1).to(x.dtype) / 4
    return means.add_(bias).floor_()


def _double_size(x: Tensor) -> Tensor:
    """Triangle-filtered to twice the size; results in odd columns round down a little more, as in libjpeg."""
    above, here, below = _with_neighbours(x, -2)
    x = torch.stack([here + above, here + below], -2).flatten(-3, -2)
    left, here, right = _with_neighbours(x, -1)
    even, odd = (here + left).add_(8), (here + right).add_(7)
    return torch.stack([even, odd], -1).flatten(-2).mul_(1 / 16).floor_()


def _with_neighbours(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """The values before, three times those at, and the values after each place along a dimension, whose ends repeat."""
    n = x.shape[dim]
    border = {-1: (1, 1, 0, 0), -2: (0, 0, 1, 1)}[dim]
    padded = F.pad(x, border, mode="replicate")
    return padded.narrow(dim, 0, n), 3 * x, padded.narrow(dim, 2, n)


def _coded(planes: Tensor, steps_at_50: tuple[tuple[int, ...], ...], quality: float) -> Tensor:
    """Planes (b, c, h, w) transformed in 8 × 8 blocks, rounded to multiples of the steps, and back to grey levels.

    libjpeg keeps two bits more between the passes, and eighths before quantising, where halves are rounded away from zero.
    """
    h, w = planes.shape[-2:]
    planes = F.pad(planes, (0, -w % 8, 0, -h % 8), mode="replicate")
    cosines = planes.new_tensor(_COSINES, dtype=torch.float64)
    steps = _quantisation_steps(planes.new_tensor(steps_at_50, dtype=torch.float64), quality)[:, None]
    shape = planes.shape
    x = _shifted((planes.double() - 128).view(-1, 8) @ cosines.mT, 11)
    x = _shifted(cosines @ x.view(-1, 8, shape[-1]), 15).view(-1, 8, shape[-1] // 8, 8)
    multiples = (x.abs() + 4 * steps).div_(8 * steps).floor_()
    x = multiples.mul_(steps).copysign_(x)
    x = _shifted(cosines.mT @ x.view(-1, 8, shape[-1]), 11)
    x = _shifted(x.view(-1, 8) @ cosines, 18)
    return x.view(shape)[..., :h, :w].float().add_(128).clamp_(0, 255)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Whole numbers divided by 2^bits and rounded, halves up, in place."""
    return x.mul_(2.0**-bits).add_(0.5).floor_()


def _quantisation_steps(steps_at_50: Tensor, quality: float) -> Tensor:
    """libjpeg's steps at a quality in [1, 100]: the standard's at 50, in per cent of them elsewhere, whole, in [1, 255]."""
    per_cent = 200 - 2 * quality
    if quality < 50:
        per_cent = math.floor(5000 / quality)
    return ((steps_at_50 * per_cent + 50) / 100).floor().clamp(1, 255)


def _with_smooth_colours(x: Tensor) -> Tensor:
    """The image with its chroma halved in size and enlarged again: what compression does before it rounds."""
    h, w = x.shape[-2:]
    luma = (x * (x.new_tensor(_TO_LUMA_AND_CHROMAS[0]) / 65536)[:, None, None]).sum(1, keepdim=True)
    small = F.avg_pool2d(F.pad(x - luma, (0, w % 2, 0, h % 2), mode="replicate"), 2)
    large = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
    return luma + large[..., :h, :w]
