"""Weather and colour on images (b, 3, h, w) in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from repgeom.corruptions import filters
from repgeom.corruptions.noise import Params
from repgeom.corruptions.seeds import Draws
from repgeom.corruptions.strengths import Strength


def draw_snow(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"normal": random.normal(h, w), "angle": 45 * random.symmetric() - 90}


def snow(x: Tensor, strength: Strength, params: Params) -> Tensor:
    loc, scale, zoom, threshold, radius, sigma, mix = strength
    flakes = filters.clipped_zoom((loc + scale * params["normal"])[:, None], zoom)
    flakes = torch.where(flakes < threshold, 0, flakes).clamp(0, 1)
    flakes = filters.motion_blur((flakes * 255).floor() / 255, radius, sigma, params["angle"])
    grey = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    pale = mix * x + (1 - mix) * torch.maximum(x, 1.5 * grey + 0.5)
    return pale + flakes + flakes.flip(2, 3)


def draw_fog(random: Draws, h: int, w: int, strength: Strength) -> Params:
    levels = max(h - 1, w - 1).bit_length()
    return {f"level_{level}": random.symmetric(3, 2**level, 2**level) for level in range(levels)}


def fog(x: Tensor, strength: Strength, params: Params) -> Tensor:
    amount, decay = strength
    haze = filters.plasma([params[f"level_{i}"] for i in range(len(params))], decay)
    most = x.amax((1, 2, 3), keepdim=True)
    return (x + amount * haze[:, None, : x.shape[2], : x.shape[3]]) * most / (most + amount)


def draw_frost(random: Draws, h: int, w: int, strength: Strength, photos: Sequence[Tensor]) -> Params:
    """Which of the user's frost photographs (3, H, W), and the corner of the part that is laid over."""
    sizes = torch.tensor([photo.shape[1:] for photo in photos], device=photos[0].device)
    image = random.below(len(photos))
    room = sizes[image] - sizes.new_tensor([h, w])
    top, left = ((random.uniform64() * room[:, i]).long() for i in (0, 1))
    return {"image": image, "top": top, "left": left}


def frost(x: Tensor, strength: Strength, params: Params, photos: Sequence[Tensor]) -> Tensor:
    h, w = x.shape[-2:]
    corners = zip(*(params[name].tolist() for name in ("image", "top", "left")), strict=True)
    parts = torch.stack([photos[i][:, top : top + h, left : left + w] for i, top, left in corners])
    return strength[0] * x + strength[1] * parts


# Mean and spread of red, green, blue, and the 5th, 50th and 95th percentile of luminance, in grey levels, of four kinds
# of frost: measured on the photographs behind ImageNet-C, the second of which comes up twice as often.
_FROST_KINDS = (
    ((78, 149, 166), (27, 16, 15), (104, 129, 163)),
    ((201, 205, 214), (21, 22, 23), (166, 210, 236)),
    ((201, 205, 214), (21, 22, 23), (166, 210, 236)),
    ((138, 153, 165), (28, 28, 30), (104, 152, 199)),
    ((112, 123, 135), (44, 43, 42), (60, 119, 203)),
)
_FROST_DECAY = 0.93  # of a diamond-square field whose power falls as frequency^-1.6, as the photographs' does


def draw_frost_procedural(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"kind": random.below(len(_FROST_KINDS)), **draw_fog(random, h, w, strength)}


def frost_procedural(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """A bluish cloud texture in place of a photograph of frost: like ImageNet-C in kind, not the same corruption."""
    means, spreads, percentiles = x.new_tensor(_FROST_KINDS).div(255)[params["kind"]].unbind(1)
    field = filters.plasma([params[f"level_{i}"] for i in range(len(params) - 1)], _FROST_DECAY)
    field = field[:, : x.shape[2], : x.shape[3]].double()
    field = field - field.mean((1, 2), keepdim=True)
    z = (field / field.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-12)).float()[:, None]
    low, middle, high = ((percentiles[:, i])[:, None, None, None] for i in range(3))
    # Luminance with the photographs' percentiles, then scaled to each channel's own mean and spread.
    light = z * torch.where(z < 0, middle - low, high - middle) / 1.645
    spread = spreads.mean(1)[:, None, None, None]
    texture = means[:, :, None, None] + light * (spreads[:, :, None, None] / spread)
    return strength[0] * x + strength[1] * texture.clamp(0, 1)


def frost_photos(photos: Sequence[Tensor], scale: float, h: int, w: int) -> list[Tensor]:
    """Photographs (3, H, W) in [0, 1] at the asset scale, rounded to 8 bits. Raises ValueError if one is too small."""
    scaled = []
    for photo in photos:
        size = [round(n * scale) for n in photo.shape[1:]]
        if size[0] <= h or size[1] <= w:
            raise ValueError(
                f"`frost_images` holds one of {photo.shape[1]} x {photo.shape[2]} pixels, {size[0]} x {size[1]} at this "
                f"table's asset scale of {scale:g}: it must be larger than the images, {h} x {w}."
            )
        small = F.interpolate(photo[None], size, mode="bilinear", align_corners=False)[0] if scale != 1 else photo
        scaled.append((small * 255 + 0.5).floor() / 255)
    return scaled


def draw_spatter(random: Draws, h: int, w: int, strength: Strength) -> Params:
    return {"normal": random.normal(h, w)}


def brightness(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """HSV value raised: all channels grow by the same factor; black becomes grey."""
    value = x.amax(1, keepdim=True)
    raised = (value + strength[0]).clamp(0, 1)
    return torch.where(value > 0, x * (raised / torch.where(value > 0, value, 1)), raised)


def contrast(x: Tensor, strength: Strength, params: Params) -> Tensor:
    mean = x.double().mean((2, 3), keepdim=True).float()
    return (x - mean) * strength[0] + mean


def saturate(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """HSV saturation clip(gain · S + offset). Grey has hue 0 there, so an offset tints it red."""
    gain, offset = strength
    value, least = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    depth = value - least
    coloured = (depth > 0) & (value > 0)
    old = depth / torch.where(value > 0, value, 1)
    new = (gain * old + offset).clamp(0, 1)
    scaled = value - (value - x) * (new / torch.where(coloured, old, 1))
    red = torch.cat([value, value * (1 - new), value * (1 - new)], 1)
    return torch.where(coloured, scaled, red)
