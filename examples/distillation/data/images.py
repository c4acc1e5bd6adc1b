"""Images with labels as they lie in memory, and how they are brought to another size."""

from __future__ import annotations

import dataclasses
import hashlib

import torch
from torch import Tensor


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
    """Images to train on and to test on.

    `real` says that a camera or scanner made them, `mirrored` that the mirror image of each has the label of the image.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    real: bool
    mirrored: bool = False
