"""What a teacher is: an encoder that knows how it wants its images. Any encoder joins by making one of these."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repgeom.models import Preprocessing

from ..data.images import Images

__all__ = ["Preprocessing", "Teacher", "frozen", "native_preprocessing", "weights_digest"]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen encoder.

    Attributes:
        name: short, for tables and file names.
        encode: normalised images (b, 3, crop, crop) to features (b, width), on its own device; None where all that is
            known of the teacher is its `features`.
        width: of its features.
        preprocessing: as above.
        pretrained: whether it is a published checkpoint, or was trained here.
        recipe: whatever its features depend on, as plain values; a digest of its weights says most of it.
        features: of the images to train on and to test on, (n, width) each, where they were read from files.
    """

    name: str
    encode: Callable[[Tensor], Tensor] | None
    width: int
    preprocessing: Preprocessing
    pretrained: bool
    recipe: Mapping[str, Any]
    features: tuple[Tensor, Tensor] | None = None


def frozen(model: nn.Module, device: torch.device | str) -> nn.Module:
    """In evaluation mode, on the device, without gradients."""
    return model.eval().requires_grad_(False).to(device)


def native_preprocessing(images: Images) -> Preprocessing:
    """Images at their own size, normalised by the mean and deviation of each channel over all of them."""
    mean, std = [], []
    levels = torch.arange(256, dtype=torch.float64) / 255
    for channel in images.pixels.cpu().unbind(1):
        # From how often each level occurs: exact, and without a copy of all images as floats.
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean.append(float(share @ levels))
        std.append(math.sqrt(float(share @ (levels - mean[-1]).square())))
    side = min(images.pixels.shape[2:])
    # A channel that never varies is only shifted.
    return Preprocessing(side, side, _three(mean), _three([s or 1.0 for s in std]))


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def weights_digest(model: nn.Module) -> str:
    """A checksum of all weights by name."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        # As bytes, because NumPy has no bfloat16.
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
