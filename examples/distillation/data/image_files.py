"""Image files of any common kind, read as colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"}


def images_in(folder: Path) -> list[Path]:
    """All image files in a folder and in those within it, in the order of their names."""
    # Systems leave hidden files beside images, with the same endings.
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and not p.name.startswith("."))


def read_image(file: Path) -> Tensor:
    """An image (3, h, w), uint8.

    Raises:
        ValueError: the file, by name, is no image that can be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            array = _levels(image)
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{file} cannot be read as an image ({error}); mend or remove it.") from None
    return torch.from_numpy(array).permute(2, 0, 1)


def _levels(image: Any) -> np.ndarray:
    """(h, w, 3), uint8. Pillow would cut 16-bit grey to white instead of scaling it."""
    if image.mode.startswith("I"):
        grey = (np.array(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))
