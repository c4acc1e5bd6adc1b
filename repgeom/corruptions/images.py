"""The gate for images: what may come in, in which pieces it is worked on, and how results leave."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Values of images that are worked on at once. A corruption needs up to some twenty float32 copies of them: 20 MB for each thread
# of a CPU, where small pieces stay in its caches, and 2.5 GB on a GPU, which wants large ones.
CPU_VALUES = 1 << 18
MOST_THREADS = 4  # that count
GPU_VALUES = 1 << 25


def as_images(images: Any, name: str = "images") -> Tensor:
    """(b, 3, h, w) as a tensor of uint8 or floats in [0, 1] that shares its memory. Raises ValueError and TypeError."""
    x = images
    if not isinstance(images, Tensor):
        x = _from_array(images, name)
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise TypeError(f"`{name}` must be uint8 or floats in [0, 1], got {x.dtype}.")
    if x.ndim != 4 or x.shape[1] != 3:
        raise ValueError(
            f"`{name}` must have shape (b, 3, h, w), got {tuple(x.shape)}. {_advice_on_shape(tuple(x.shape))}"
        )
    if x.is_floating_point() and x.numel():
        smallest, largest = x.detach().aminmax()
        low, high = float(smallest), float(largest)
        if not (low >= 0 and high <= 1):  # also where they are NaN
            raise ValueError(
                f"`{name}` must lie in [0, 1], got values from {low:g} to {high:g}. Divide floats up to 255 by 255; give "
                "images before the model's own normalisation, which belongs into the encoder."
            )
    return x


def _from_array(images: Any, name: str) -> Tensor:
    """An array, or what NumPy makes one of, as a tensor that shares its memory. Raises TypeError if it is no number."""
    array = np.asarray(images)
    if array.dtype.kind not in "uif":
        raise TypeError(f"`{name}` must be uint8 or floats in [0, 1], got {array.dtype}.")
    with warnings.catch_warnings():
        # A read-only array (a mapped file) is shared on purpose: nothing here writes to its input.
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(np.ascontiguousarray(array))


def _advice_on_shape(shape: tuple[int, ...]) -> str:
    """What most likely mends images of a wrong shape, as a sentence; empty where nothing is likely."""
    if len(shape) == 3:
        return "For one image add a first dimension: `images[None]`."
    if len(shape) == 4 and shape[3] == 3:
        return "Channels come second: `permute(0, 3, 1, 2)` on a tensor, `transpose(0, 3, 1, 2)` on an array."
    if len(shape) == 4 and shape[1] == 1:
        return "Grey images need three equal channels: `repeat(1, 3, 1, 1)` on a tensor."
    return ""


def as_indices(indices: Any, n: int, device: torch.device) -> Tensor:
    """Which image of the data set each of the n images is, (n,) int64; 0 to n − 1 where `indices` is None.

    Raises ValueError unless they are n whole numbers.
    """
    if indices is None:
        return torch.arange(n, device=device)
    if not isinstance(indices, Tensor):
        indices = torch.as_tensor(np.asarray(indices))
    if indices.shape != (n,) or indices.is_floating_point() or indices.dtype == torch.bool:
        raise ValueError(
            f"`indices` must be {n} whole numbers, one for each image, got shape {tuple(indices.shape)}, {indices.dtype}."
        )
    numbers: Tensor = indices.to(device, torch.int64)
    return numbers


def batches(x: Tensor) -> Iterator[slice]:
    """Rows of a batch that are worked on at once, as slices: all rows in order, at least one at a time."""
    values_at_once = CPU_VALUES * min(torch.get_num_threads(), MOST_THREADS)
    if x.device.type != "cpu":
        values_at_once = GPU_VALUES
    step = max(1, values_at_once // max(1, x[:1].numel()))
    for start in range(0, len(x), step):
        yield slice(start, min(start + step, len(x)))


def in_batches(x: Tensor, transform: Callable[[slice], Tensor]) -> Tensor:
    """`transform` of the rows of `x`, a few at a time, joined. It is not called for an empty batch: that is returned."""
    parts = [transform(rows) for rows in batches(x)]
    if not parts:
        return x.clone()
    return torch.cat(parts)


def plus_noise(images: Any, x: Tensor, noise_for: Callable[[slice], Tensor], *, clip: bool) -> Any:
    """The images plus float noise, made a few rows at a time, as floats of the kind of `images`: float32 for uint8.

    Args:
        images: as the user gave them. x: the same as a tensor, from `as_images`.
        noise_for: rows -> float noise for these rows, in units of [0, 1].
        clip: whether the sum is cut to [0, 1].
    """

    def noisy_batch(rows: slice) -> Tensor:
        noisy = unit(x[rows]) + noise_for(rows)
        if clip:
            noisy = noisy.clamp(0, 1)
        return noisy

    dtype = torch.float32
    if x.is_floating_point():
        dtype = x.dtype
    return give_back(images)(in_batches(x, noisy_batch).to(dtype))


def unit(x: Tensor) -> Tensor:
    """uint8 grey levels or floats in [0, 1], as float32 in [0, 1]."""
    if x.dtype == torch.uint8:
        return over_255(x.float())
    return x.float()


def over_255(grey_levels: Tensor) -> Tensor:
    """Grey levels in units of [0, 1], rounded alike on every device.

    By a tensor: a GPU multiplies by the reciprocal of a plain number, after which every eighth grey level times 255 lies
    below itself and is cut to the next one.
    """
    return grey_levels / torch.full((), 255.0, dtype=grey_levels.dtype, device=grey_levels.device)


def quantized(x: Tensor, how: str | None) -> Tensor:
    """Values in [0, 1] cut ("floor") or rounded ("round") to multiples of 1/255, or as they are (None)."""
    if how is None:
        return x
    return over_255(_scaled(x, how).floor())


def in_dtype(x: Tensor, how: str | None, dtype: torch.dtype) -> Tensor:
    """Values in [0, 1], quantised, in the dtype of the images: grey levels where it is uint8."""
    if dtype == torch.uint8 and how is not None:
        return _scaled(x, how).to(torch.uint8)  # which cuts
    return quantized(x, how).to(dtype)


def _scaled(x: Tensor, how: str) -> Tensor:
    """Values in [0, 1] in grey levels, of which the fraction is then to be cut."""
    if how == "round":
        return x * 255 + 0.5  # halves go up, whereas torch.round would send them to the even neighbour
    return x * 255


def give_back(images: Any) -> Callable[[Tensor], Any]:
    """How results return to the user: a tensor where `images` was one, else a NumPy array."""
    if isinstance(images, Tensor):
        return lambda result: result
    return lambda result: result.numpy()
