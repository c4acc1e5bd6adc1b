"""What a teacher is: an encoder that knows how it wants its images. Any encoder joins by making one of these."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from repgeom.models import Preprocessing

__all__ = ["Preprocessing", "Teacher", "frozen", "weights_digest"]


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
