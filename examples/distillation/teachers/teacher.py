"""What a teacher is: an encoder that knows how it wants its images. Any encoder joins by making one of these."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..data.images import center_cropped, resized


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How uint8 images become what a model sees: shorter side to `resize`, the middle `crop`, then (x − mean) / std."""

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def sized(self, images: Tensor) -> Tensor:
        """(b, 3, h, w) uint8 to (b, 3, crop, crop) uint8."""
        return center_cropped(resized(images, self.resize), self.crop)

    def normalized(self, images: Tensor) -> Tensor:
        """uint8, or floats in units of [0, 1], of any size."""
        unit = images.float() / 255 if images.dtype == torch.uint8 else images
        return (unit - unit.new_tensor(self.mean)[:, None, None]) / unit.new_tensor(self.std)[:, None, None]

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images as the model sees them."""
        return self.normalized(self.sized(images))


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen encoder.

    Attributes:
        name: short, for tables and file names.
        encode: normalised images (b, 3, crop, crop) to features (b, width), on its own device.
        width: of its features.
        preprocessing: as above.
        pretrained: whether it is a published checkpoint, or was trained here.
        recipe: whatever its features depend on, as plain values; a digest of its weights says most of it.
    """

    name: str
    encode: Callable[[Tensor], Tensor]
    width: int
    preprocessing: Preprocessing
    pretrained: bool
    recipe: Mapping[str, Any]


def frozen(model: nn.Module, device: torch.device | str) -> nn.Module:
    """In evaluation mode, on the device, without gradients."""
    return model.eval().requires_grad_(False).to(device)


def weights_digest(model: nn.Module) -> str:
    """A checksum of all weights by name."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        # As bytes, because NumPy has no bfloat16.
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
