"""Frost on images (b, 3, h, w) in [0, 1]: the user's photographs of it, or a texture with the statistics of photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions.images import over_255
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import Strength
from repgeom.corruptions.weather import diamond_square, draw_fog, noise_by_halving


def draw_photographic_frost(random: Draws, h: int, w: int, strength: Strength, photos: Sequence[Tensor]) -> Params:
    """Which photograph (3, H, W) is laid over each image, (b,), and the upper left corner of the part that is taken."""
    sizes = torch.tensor([photo.shape[1:] for photo in photos], device=photos[0].device)
    image = random.below(len(photos))
    room = sizes[image] - sizes.new_tensor([h, w])
    top = (random.uniform64() * room[:, 0]).long()
    left = (random.uniform64() * room[:, 1]).long()
    return {"image": image, "top": top, "left": left}


def photographic_frost(x: Tensor, strength: Strength, params: Params, photos: Sequence[Tensor]) -> Tensor:
    """A weighted sum of the image and a part of a photograph of frost, as ImageNet-C (Hendrycks & Dietterich 2019).

    In float64 grey levels, as there: the sum is often a whole level, which a rounding would carry below it.
    """
    image_weight, frost_weight, _ = strength
    h, w = x.shape[-2:]
    rows = params["top"].long()[:, None] + torch.arange(h, device=x.device)
    columns = params["left"].long()[:, None] + torch.arange(w, device=x.device)
    image = params["image"].long()[:, None, None]
    parts = _stacked(photos)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    grey = (x * 255).double()
    return over_255(image_weight * grey + frost_weight * parts.double())


def _stacked(photos: Sequence[Tensor]) -> Tensor:
    """Photographs (3, H, W) of any sizes as one (n, H, W, 3), filled up with black."""
    h, w = (max(photo.shape[dim] for photo in photos) for dim in (1, 2))
    filled = [F.pad(photo, (0, w - photo.shape[2], 0, h - photo.shape[1])) for photo in photos]
    return torch.stack(filled).permute(0, 2, 3, 1)


def scaled_photos(photos: Sequence[Tensor], scale: float, h: int, w: int) -> list[Tensor]:
    """Photographs (3, H, W) in [0, 1] at the asset scale, as whole grey levels. Raises ValueError if one is too small."""
    scaled = []
    for photo in photos:
        size = [_scaled_side(n, scale) for n in photo.shape[1:]]
        if size[0] <= h or size[1] <= w:
            raise ValueError(
                f"`frost_images` holds one of {photo.shape[1]} x {photo.shape[2]} pixels, {size[0]} x {size[1]} at this "
                f"table's asset scale of {scale:g}: it must be larger than the images, {h} x {w}."
            )
        grey = (photo * 255 + 0.5).floor().to(torch.int32)
        if scale != 1:
            grey = _resized(grey, scale)
        scaled.append(grey)
    return scaled


def _scaled_side(n: int, scale: float) -> int:
    return round(n * scale)


def _resized(grey: Tensor, scale: float) -> Tensor:
    """Grey levels (3, h, w) int32 scaled bilinearly, as OpenCV scales 8-bit images by a factor: in fixed point.

    Weights have 11 bits; of the sums along rows 4 bits are cut before those along columns, and 16 of each product.
    """
    above, below, above_weights, below_weights = _bilinear(grey.shape[1], scale, grey.device)
    left, right, left_weights, right_weights = _bilinear(grey.shape[2], scale, grey.device)
    along_rows = grey[:, :, left] * left_weights + grey[:, :, right] * right_weights
    upper = along_rows[:, above] // 16 * above_weights[:, None] // 65536
    lower = along_rows[:, below] // 16 * below_weights[:, None] // 65536
    return (upper + lower + 2) // 4


def _bilinear(n: int, scale: float, device: torch.device) -> tuple[Tensor, ...]:
    """For each value of a row of n that is scaled: its two neighbours in the row, and their weights in units of 2^-11.

    Places follow from the factor itself, not from the ratio of the rounded sizes.
    """
    place = ((np.arange(_scaled_side(n, scale)) + 0.5) * (1 / scale) - 0.5).astype(np.float32)
    below = np.floor(place)
    share = place - below
    share[(below < 0) | (below >= n - 1)] = 0
    first = below.clip(0, n - 1).astype(np.int64)
    second = np.minimum(first + 1, n - 1)
    weights = [np.rint(part * np.float32(2048)).astype(np.int32) for part in (np.float32(1) - share, share)]
    return tuple(torch.from_numpy(values).to(device) for values in (first, second, *weights))


# Of each kind of frost, in grey levels: mean of red, green and blue; their standard deviations; the 5th, 50th and 95th
# percentile of luminance. Measured on the photographs behind ImageNet-C. The second comes up twice as often there.
_FROST_KINDS = (
    ((78, 149, 166), (27, 16, 15), (104, 129, 163)),
    ((201, 205, 214), (21, 22, 23), (166, 210, 236)),
    ((201, 205, 214), (21, 22, 23), (166, 210, 236)),
    ((138, 153, 165), (28, 28, 30), (104, 152, 199)),
    ((112, 123, 135), (44, 43, 42), (60, 119, 203)),
)
# With it the power of a diamond-square field falls as frequency^-1.6, as that of the photographs does.
_FROST_DECAY = 0.93
# The 95th percentile of a normal distribution in standard deviations.
_NORMAL_95 = 1.645


def draw_procedural_frost(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """A kind of frost (b,), and the fractal noise of `draw_fog`."""
    return {"kind": random.below(len(_FROST_KINDS)), **draw_fog(random, h, w, strength)}


def procedural_frost(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A bluish cloud texture in place of a photograph of frost: like ImageNet-C in kind, not the same corruption."""
    image_weight, frost_weight, _ = strength
    means, deviations, percentiles = x.new_tensor(_FROST_KINDS).div(255)[params["kind"]].unbind(1)
    z = _standardised(diamond_square(noise_by_halving(params), _FROST_DECAY)[:, : x.shape[2], : x.shape[3]])[:, None]
    low, median, high = percentiles[:, :, None, None, None].unbind(1)
    # The texture has the photographs' percentiles of luminance on either side of the median; each channel then has its own
    # mean, and its deviation in proportion to the channels' average.
    luminance = z * torch.where(z < 0, median - low, high - median) / _NORMAL_95
    mean_deviation = deviations.mean(1)[:, None, None, None]
    texture = means[:, :, None, None] + luminance * (deviations[:, :, None, None] / mean_deviation)
    return image_weight * x + frost_weight * texture.clamp(0, 1)


def _standardised(field: Tensor) -> Tensor:
    """Fields (b, h, w) with mean 0 and variance 1, float32; sums are float64, so that a batch's size does not change them."""
    field = field.double()
    field = field - field.mean((1, 2), keepdim=True)
    deviation = field.square().mean((1, 2), keepdim=True).sqrt()
    return (field / deviation.clamp(min=1e-12)).float()
