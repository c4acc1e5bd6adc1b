"""The gate for images: what may come in, in which pieces it is worked on, and how results leave."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Values of images that are worked on at once. A corruption needs up to some twenty float32 copies of them: 40 MB on the
# CPU, where small pieces stay in its caches, and 2.5 GB on a GPU, which wants large ones.
CPU_VALUES = 1 << 18
GPU_VALUES = 1 << 25


def as_images(images: Any, name: str = "images") -> Tensor:
    """(b, 3, h, w) as a tensor of uint8 or floats in [0, 1] that shares its memory. Raises ValueError and TypeError."""
    x = images if isinstance(images, Tensor) else _from_array(images, name)
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise TypeError(f"`{name}` must be uint8 or floats in [0, 1], got {x.dtype}.")
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(f"`{name}` must have shape (b, 3, h, w), got {tuple(x.shape)}. {_advice(tuple(x.shape))}")
    if x.is_floating_point() and x.numel():
        low, high = (float(end) for end in x.detach().aminmax())
        if not (low >= 0 and high <= 1):  # also where they are NaN
            raise ValueError(
                f"`{name}` must lie in [0, 1], got values from {low:g} to {high:g}. Divide floats up to 255 by 255; give "
                "images before the model's own normalisation, which belongs into the encoder."
            )
    return x


def _from_array(images: Any, name: str) -> Tensor:
    array = np.asarray(images)
    if array.dtype.kind not in "uif":
        raise TypeError(f"`{name}` must be uint8 or floats in [0, 1], got {array.dtype}.")
    with warnings.catch_warnings():
        # A read-only array (a mapped file) is shared on purpose: nothing here writes to its input.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.ascontiguousarray(array))


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "For one image add a first dimension: `images[None]`."
    if len(shape) == 4 and shape[3] == 3:
        return "Channels come second: `permute(0, 3, 1, 2)` on a tensor, `transpose(0, 3, 1, 2)` on an array."
    if len(shape) == 4 and shape[1] == 1:
        return "Grey images need three equal channels: `repeat(1, 3, 1, 1)` on a tensor."
    return ""


def batches(x: Tensor) -> Iterator[slice]:
    """Pieces of a batch that are worked on at once."""
    step = max(1, (CPU_VALUES if x.device.type == "cpu" else GPU_VALUES) // max(1, x[:1].numel()))
    return (slice(start, min(start + step, len(x))) for start in range(0, len(x), step))


def unit(x: Tensor) -> Tensor:
    """float32 in [0, 1]."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def quantized(x: Tensor, how: str | None) -> Tensor:
    """Values in [0, 1] cut ("floor") or rounded to multiples of 1/255."""
    if how is None:
        return x
    levels = x * 255
    return (levels.floor() if how == "floor" else (levels + 0.5).floor()) / 255


def give_back(images: Any) -> Callable[[Tensor], Any]:
    """Arrays for arrays, tensors for tensors."""
    return (lambda x: x) if isinstance(images, Tensor) else (lambda x: x.numpy())
