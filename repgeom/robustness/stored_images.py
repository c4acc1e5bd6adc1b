"""Images that lie in files: they are read when they are asked for, a batch at a time, and never all at once."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, int]  # height, width
IMAGE_ENDINGS = (".jpeg", ".jpg", ".png")
DIGESTED = 8  # images, evenly spread over a set, whose pixels tell it from another one


class StoredImages(abc.ABC):
    """uint8 images (n, 3, h, w) in files. A slice of them reads its own rows only, onto `device`."""

    def __init__(self, n: int, size: Size, device: torch.device) -> None:
        self.shape, self.device = (n, 3, *size), device

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Tensor:
        places = np.arange(len(self))[rows]
        pixels = torch.from_numpy(np.ascontiguousarray(self._read(places)))
        return pixels.permute(0, 3, 1, 2).contiguous().to(self.device)

    @abc.abstractmethod
    def _read(self, places: np.ndarray) -> np.ndarray:
        """Return the images at these places, (b, h, w, 3) uint8."""

    def digest(self) -> str:
        """Return letters that tell these images from others: of their number, their size, and the pixels of a few."""
        few = self[:: max(1, -(-len(self) // DIGESTED))].cpu().numpy()
        return hashlib.sha256(str(self.shape).encode() + few.tobytes()).hexdigest()[:16]


class MappedImages(StoredImages):
    """Rows of an array (n_all, h, w, 3), which may be a mapped file."""

    def __init__(self, array: np.ndarray, rows: np.ndarray, device: torch.device) -> None:
        super().__init__(len(rows), (array.shape[1], array.shape[2]), device)
        self.array, self.rows = array, rows

    def _read(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(self.array[self.rows[places]])


class ImageFiles(StoredImages):
    """Image files below a folder, each brought to one size by `prepare` if there is one."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        size: Size,
        device: torch.device,
        prepare: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(len(names), size, device)
        self.folder, self.names, self.prepare = folder, names, prepare

    def _read(self, places: np.ndarray) -> np.ndarray:
        pixels = np.empty((len(places), *self.shape[2:], 3), np.uint8)
        for row, place in enumerate(places):
            pixels[row] = self._pixels(self.folder / self.names[place])
        return pixels

    def _pixels(self, path: Path) -> np.ndarray:
        image = _opened(path)
        if self.prepare is not None:
            image = self.prepare(image)
        height, width = self.shape[2:]
        if image.size != (width, height):
            raise ValueError(
                f"{path} has {image.size[0]} × {image.size[1]} pixels; the set's images have {width} × {height}."
            )
        return np.asarray(image)


def _opened(path: Path) -> Any:
    """Return a file's image in colour, decoded. Raises ValueError where it cannot be, with its path."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("image files are read with Pillow, which is not installed: pip install pillow") from None
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no image that can be read: {error}.") from None


def shorter_side_and_crop(image: Any, shorter: int = 256, crop: int = 224) -> Any:
    """Return a photograph as ImageNet-C's script prepares it: shorter side 256, the middle 224 × 224; bilinear, by Pillow."""
    width, height = image.size
    if (width, height) == (crop, crop):
        return image
    # The longer side is cut to whole pixels, as torchvision does.
    if width <= height:
        size = (shorter, int(shorter * height / width))
    else:
        size = (int(shorter * width / height), shorter)
    image = image.resize(size, _bilinear())
    left, top = round((size[0] - crop) / 2), round((size[1] - crop) / 2)
    return image.crop((left, top, left + crop, top + crop))


def whole_image(image: Any, side: int = 64) -> Any:
    """Return an image as Tiny-ImageNet-C's script prepares it: the whole of it at 64 × 64; bilinear, by Pillow."""
    if image.size == (side, side):
        return image
    return image.resize((side, side), _bilinear())


def _bilinear() -> Any:
    from PIL import Image

    return Image.Resampling.BILINEAR
