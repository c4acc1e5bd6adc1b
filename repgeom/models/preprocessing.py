"""How images become what a model sees: brought to a size, cropped, scaled by the model's own means."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Preprocessing", "center_cropped", "preprocessing_of", "resized"]

# Files of settings, and the key within: transformers 5 and 4 have each their own.
SETTINGS = {"processor_config.json": "image_processor", "preprocessor_config.json": None}


def resized(images: Tensor, size: int) -> Tensor:
    """Images with the shorter side brought to a size, bicubic and antialiased: within 1 of 255 of Pillow.

    Args:
        images: (b, 3, h, w), uint8.
        size: of the shorter side, in pixels.

    >>> resized(torch.zeros(1, 3, 20, 40, dtype=torch.uint8), 10).shape[2:]
    torch.Size([10, 20])
    """
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

    Args:
        images: (..., h, w).
        size: of the square, in pixels.

    Raises:
        ValueError: the images are smaller than that.

    >>> center_cropped(torch.arange(16).view(4, 4), 2).tolist()
    [[5, 6], [9, 10]]
    """
    h, w = images.shape[-2:]
    if min(h, w) < size:
        raise ValueError(f"a square of {size} pixels cannot be cut from images of {h} × {w}.")
    top, left = round((h - size) / 2), round((w - size) / 2)
    return images[..., top : top + size, left : left + size]


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


def preprocessing_of(folder: str | Path, usual: Preprocessing | None) -> Preprocessing | None:
    """How a checkpoint wants its images, as its own file says.

    Args:
        folder: of the checkpoint, with `preprocessor_config.json` or `processor_config.json`.
        usual: what is taken where there is neither, or where it leaves something open.

    Raises:
        ValueError: a file that is not the settings of an image processor.

    >>> usual = Preprocessing(256, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    >>> preprocessing_of("no-such-folder", usual) == usual
    True
    """
    for file_name, key in SETTINGS.items():
        file = Path(folder).expanduser() / file_name
        if not file.is_file():
            continue
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            found = found[key] if key else found
            resize = _side(found.get("size"), usual.resize if usual else None)
            crop = resize
            if found.get("do_center_crop", True):
                crop = _side(found.get("crop_size"), usual.crop if usual else resize)
            mean = found.get("image_mean") or (usual.mean if usual else None)
            std = found.get("image_std") or (usual.std if usual else None)
            if resize is None or crop is None or mean is None or std is None:
                raise KeyError("size, image_mean or image_std")
            return Preprocessing(resize, crop, tuple(mean), tuple(std))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} is not the settings of an image processor ({error}).") from None
    return usual


def _side(value: Any, usual: int | None) -> int | None:
    # Some files give one number, others the sides by name.
    if isinstance(value, dict):
        value = value.get("shortest_edge", value.get("height"))
    return usual if value is None else int(value)
