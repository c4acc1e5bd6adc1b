"""Digital corruptions of images (b, 3, h, w) in [0, 1]: warping, large pixels, and JPEG without a codec."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import filters
from repgeom.corruptions.filters import along_rows, down_columns, rounded
from repgeom.corruptions.noise import Params
from repgeom.corruptions.seeds import Draws
from repgeom.corruptions.strengths import Strength


def draw_elastic(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"points": random.symmetric(3, 2), "dx": random.symmetric(h, w), "dy": random.symmetric(h, w)}


def elastic_transform(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A small affine warp, then every pixel moved by a smooth random field."""
    alpha, sigma, affine = strength
    h, w = x.shape[-2:]
    down, right = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64, device=x.device) for n in (h, w)), indexing="ij"
    )
    back = _inverse_affine(params["points"].double() * affine, h, w)[..., None, None]
    across, along = (back[:, 0, i] * right + back[:, 1, i] * down + back[:, 2, i] for i in (0, 1))
    x = filters.sampled(x, across.float(), along.float(), repeat_edge=False)
    dx, dy = (alpha * _field(params[name], sigma) for name in ("dx", "dy"))
    return filters.sampled(x, right.float() + dx, down.float() + dy, repeat_edge=True)


def _field(noise: Tensor, sigma: float) -> Tensor:
    return filters.smooth_field(noise.float(), sigma)


def _inverse_affine(shift: Tensor, h: int, w: int) -> Tensor:
    """(b, 3, 2): (x, y, 1) of a warped pixel times this is where it came from. Three points are moved by `shift`."""
    centre, size = np.array([h // 2, w // 2]), min(h, w) // 3
    places = [centre + size, [centre[0] + size, centre[1] - size], centre - size]
    points = torch.tensor(np.array(places), dtype=torch.float64, device=shift.device).expand(len(shift), 3, 2)
    return torch.linalg.solve(torch.cat([points + shift, torch.ones_like(points[..., :1])], -1), points)


def pixelate(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Pillow's BOX filter down and up again, rounded to 8 bits after each pass, with its fixed-point weights."""
    sizes = tuple(x.shape[-2:])
    small = [max(1, int(n * strength[0])) for n in sizes]
    return (_resized(_resized(x * 255, small), sizes) / 255).float()


def _resized(x: Tensor, size: tuple[int, ...] | list[int]) -> Tensor:
    (h, w), (tall, wide) = x.shape[-2:], size
    if w != wide:
        x = rounded(along_rows(x, _box_matrix(w, wide), whole_bits=8))
    if h != tall:
        x = rounded(down_columns(x, _box_matrix(h, tall), whole_bits=8))
    return x


@functools.lru_cache(maxsize=64)
def _box_matrix(n: int, size: int) -> Tensor:
    """(size, n): means of the whole pixels whose centre lies in the window of each result."""
    scale = n / size
    wide = max(scale, 1.0)
    weights = np.zeros((size, n))
    for i in range(size):
        centre = (i + 0.5) * scale
        first, last = max(0, int(centre - wide / 2 + 0.5)), min(n, int(centre + wide / 2 + 0.5))
        offset = (np.arange(first, last) - centre + 0.5) / wide
        weights[i, first:last] = (offset > -0.5) & (offset <= 0.5)
    weights /= weights.sum(1, keepdims=True)
    return torch.from_numpy(np.floor(weights * 2**22 + 0.5) / 2**22)


# JPEG, Annex K: the example quantisation tables of the standard, which every common encoder scales.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *(((99,) * 8,) * 4),
)  # fmt: skip
# Colour conversion in libjpeg's fixed point, over 2^16: red, green, blue to luma and both chromas, and the way back.
_LUMA = (19595, 38470, 7471, 32768)
_BLUE, _RED = (-11059, -21709, 32768, 32767), (32768, -27439, -5329, 32767)
_FROM_BLUE, _FROM_RED = (0, -22554, 116130), (91881, -46802, 0)


def jpeg_compression(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """What libjpeg makes of the image at this quality: baseline, 4:2:0, decoded with smooth chroma upsampling.

    Entropy coding loses nothing and is left out. Rounding lets the gradient through.
    """
    h, w = x.shape[-2:]
    padded = _repeated(_repeated(rounded(x.double() * 255), -1, 16), -2, 2)
    luma, *chroma = (_mixed(padded, row) for row in (_LUMA, _BLUE, _RED))
    luma = (_coded(_repeated(luma - 128, -2, 8), _LUMINANCE, strength[0])[:, :h, :w] + 128).clamp(0, 255)
    half = _coded(_repeated(_halved(torch.stack(chroma, 1)), -2, 8), _CHROMINANCE, strength[0])
    half = half[..., : math.ceil(h / 2), : math.ceil(w / 2)].clamp(-128, 127)
    blue, red = _doubled(half)[..., :h, :w].unbind(1)
    tints = zip(_FROM_BLUE, _FROM_RED, strict=True)
    channels = [luma + rounded((from_blue * blue + from_red * red) / 65536) for from_blue, from_red in tints]
    return (torch.stack(channels, 1).clamp(0, 255) / 255).float()


def _repeated(x: Tensor, dim: int, multiple: int) -> Tensor:
    """The last row or column repeated until their number is a multiple."""
    missing = -x.shape[dim] % multiple
    return torch.cat([x, x.narrow(dim, -1, 1).repeat_interleave(missing, dim)], dim) if missing else x


def _mixed(rgb: Tensor, weights: tuple[int, ...]) -> Tensor:
    red, green, blue = rgb.unbind(1)
    return filters.truncated((weights[0] * red + weights[1] * green + weights[2] * blue + weights[3]) / 65536)


def _halved(x: Tensor) -> Tensor:
    """Means of 2 × 2; halves round down and up in turn along a row, as in libjpeg."""
    total = x[..., ::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, ::2] + x[..., 1::2, 1::2]
    bias = 1 + torch.arange(total.shape[-1], device=x.device) % 2
    return filters.truncated((total + bias) / 4)


def _doubled(x: Tensor) -> Tensor:
    """Triangle-filtered to twice the size; results in odd columns round down a little more, as in libjpeg."""
    large = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    bias = 0.5 - (torch.arange(large.shape[-1], device=x.device) % 2) / 16
    return filters.truncated(large + bias)


def _coded(plane: Tensor, table: tuple[tuple[int, ...], ...], quality: float) -> Tensor:
    """Cosine transform of 8 × 8 blocks, rounded to multiples of the scaled table, and back to whole grey levels.

    Rounds where libjpeg's integer transform does: it keeps two bits between the passes and eighths before quantising,
    where halves, which it rounds away from zero, are then common.
    """
    h, w = plane.shape[-2:]
    down, across = _block_cosines(h), _block_cosines(w)
    scale = math.floor(5000 / quality) if quality < 50 else 200 - 2 * quality
    steps = ((plane.new_tensor(table) * scale + 50) / 100).floor().clamp(1, 255).repeat(h // 8, w // 8)
    x = rounded(along_rows(plane, across, whole_bits=10) * 4)
    x = rounded(down_columns(x, down, whole_bits=20) / 4) / 8
    x = rounded(x.abs() / steps) * steps * x.sign()
    x = rounded(down_columns(x, down.mT, whole_bits=20) * 4)
    return rounded(along_rows(x, across.mT, whole_bits=20) / 32)


@functools.lru_cache(maxsize=64)
def _block_cosines(n: int) -> Tensor:
    """(n, n): √8 times the orthonormal discrete cosine transform of each block of 8, as in libjpeg."""
    at = np.arange(8)
    cosines = np.cos((2 * at + 1) * at[:, None] * np.pi / 16) * math.sqrt(2)
    cosines[0] = 1
    return filters.on_weight_grid(np.kron(np.eye(n // 8), cosines))
