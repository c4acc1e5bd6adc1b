"""Brightness, contrast and saturation of images (b, 3, h, w) in [0, 1] (Hendrycks & Dietterich 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.corruptions.seeds import Params
from repgeom.corruptions.strengths import Strength


def brightness(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """The value of HSV plus a constant: all channels grow by the same factor; black, which has no hue, becomes grey."""
    value = x.amax(1, keepdim=True)
    raised = (value + strength[0]).clamp(0, 1)
    return torch.where(value > 0, x * (raised / torch.where(value > 0, value, 1)), raised)


def contrast(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """Each channel drawn towards its own mean over the image by a gain below 1."""
    # In float64, so that the mean does not depend on how a device or a batch orders the sum.
    mean = x.double().mean((2, 3), keepdim=True).float()
    return (x - mean) * strength[0] + mean


def saturate(x: Tensor, strength: Strength, params: Params) -> Tensor:
    """The saturation of HSV becomes clip(gain · S + offset). Grey has hue 0 there, so an offset tints it red."""
    gain, offset = strength
    value = x.amax(1, keepdim=True)
    chroma = value - x.amin(1, keepdim=True)
    has_hue = (chroma > 0) & (value > 0)
    # `where` inside the divisions keeps NaN out of the gradient too, not only out of the result.
    saturation = chroma / torch.where(value > 0, value, 1)
    new_saturation = (gain * saturation + offset).clamp(0, 1)
    scaled = value - (value - x) * (new_saturation / torch.where(has_hue, saturation, 1))
    other_channels = value * (1 - new_saturation)
    red = torch.cat([value, other_channels, other_channels], 1)
    return torch.where(has_hue, scaled, red)
