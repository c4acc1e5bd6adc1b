"""Images with labels as they lie in memory, and how they are brought to another size."""

from __future__ import annotations

import dataclasses
import hashlib

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True)
class Images:
    """pixels: (n, 3, h, w), uint8; labels: (n,), int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device | str) -> Images:
        """On another device."""
        return Images(self.pixels.to(device), self.labels.to(device))

    def part(self, n: int | None, seed: int = 0) -> Images:
        """n of them, drawn at random with `seed`, in their old order; all of them if n is None or not fewer."""
        if n is None or n >= len(self):
            return self
        rows = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:n].sort().values
        rows = rows.to(self.pixels.device)
        return Images(self.pixels[rows], self.labels[rows])

    def digest(self) -> str:
        """A checksum of pixels and labels."""
        # The shape too: the same bytes in another shape are other images.
        found = hashlib.sha256(str(tuple(self.pixels.shape)).encode())
        for values in (self.pixels, self.labels):
            found.update(values.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images to train on and to test on; `real` says that a camera or scanner made them."""

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    real: bool


def resized(images: Tensor, size: int) -> Tensor:
    """(b, 3, h, w) uint8, the shorter side brought to `size`, bicubic and antialiased: within 1 of 255 of Pillow."""
    h, w = images.shape[-2:]
    if min(h, w) == size:
        return images
    height, width = (size, round(w * size / h)) if h <= w else (round(h * size / w), size)
    # Sideways, then upright, with whole levels in between, as Pillow does; in floats, since a GPU has no kernel for uint8.
    sideways = _levels(F.interpolate(images.float(), size=(h, width), mode="bicubic", antialias=True))
    return _levels(F.interpolate(sideways, size=(height, width), mode="bicubic", antialias=True)).to(torch.uint8)


def _levels(values: Tensor) -> Tensor:
    """Rounded, halves upwards, and cut to 0 ... 255, in place."""
    return values.add_(0.5).floor_().clamp_(0, 255)


def center_cropped(images: Tensor, size: int) -> Tensor:
    """The square in the middle; a half pixel goes to the upper left, as in torchvision.

    Raises:
        ValueError: the images are smaller than that.
    """
    h, w = images.shape[-2:]
    if min(h, w) < size:
        raise ValueError(f"a square of {size} pixels cannot be cut from images of {h} × {w}.")
    top, left = round((h - size) / 2), round((w - size) / 2)
    return images[..., top : top + size, left : left + size]
