"""Frost on images (b, 3, h, w) in [0, 1]: the user's photographs of it, or a texture with the statistics of photographs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

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
    """A weighted sum of the image and a part of a photograph of frost, as ImageNet-C (Hendrycks & Dietterich 2019)."""
    image_weight, frost_weight, _ = strength
    h, w = x.shape[-2:]
    parts = []
    for image, top, left in zip(*(params[name].tolist() for name in ("image", "top", "left")), strict=True):
        parts.append(photos[image][:, top : top + h, left : left + w])
    return image_weight * x + frost_weight * torch.stack(parts)


def scaled_photos(photos: Sequence[Tensor], scale: float, h: int, w: int) -> list[Tensor]:
    """Photographs (3, H, W) in [0, 1] at the asset scale, rounded to 8 bits. Raises ValueError if one is too small."""
    scaled = []
    for photo in photos:
        size = [round(n * scale) for n in photo.shape[1:]]
        if size[0] <= h or size[1] <= w:
            raise ValueError(
                f"`frost_images` holds one of {photo.shape[1]} x {photo.shape[2]} pixels, {size[0]} x {size[1]} at this "
                f"table's asset scale of {scale:g}: it must be larger than the images, {h} x {w}."
            )
        if scale != 1:
            photo = F.interpolate(photo[None], size, mode="bilinear", align_corners=False)[0]
        scaled.append((photo * 255 + 0.5).floor() / 255)
    return scaled


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
