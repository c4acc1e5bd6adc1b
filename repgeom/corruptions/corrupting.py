"""Corrupt images by the name of a corruption: draw the random parameters, apply them, or do both in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions.images import as_images, as_indices, give_back, in_batches, in_dtype, quantized, unit
from repgeom.corruptions.jpeg import jpeg_compression
from repgeom.corruptions.registry import check_name, check_severity, corruption_for
from repgeom.corruptions.seeds import Draws
from repgeom.data.kinds import Images, Indices
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings


@own_settings
def corrupt(
    images: Images,
    name: str,
    severity: float = 3,
    *,
    seed: int = 0,
    indices: Indices = None,
    strengths: str = "auto",
    quantize: str | None = "floor",
    storage_jpeg: float | None = None,
    frost_images: Sequence[Images] | None = None,
) -> Images:
    """Images with one corruption of CIFAR-10-C / ImageNet-C (Hendrycks & Dietterich 2019), or of a family beside them.

    Args:
        images: (b, 3, h, w), uint8 or floats in [0, 1], at least 8 × 8; a tensor on any device, or an array.
        name: one of `names()`, or of another family that `names` knows.
        severity: a number in [0, 5]: 0 is the identity, 1 to 5 are published, numbers between interpolate.
        seed: of the random parameters. They depend on it, on `name` and on an image's index, and on nothing else: not
            on the batch, its order or the device; an image keeps its draws at every severity.
        indices: (b,) whole numbers, which image of the data set each one is; 0 to b − 1 by default. Give it when a data
            set is corrupted batch by batch, or every batch gets the draws of the first.
        strengths: "cifar", "tiny", "imagenet", "inception", or "auto": by the larger side (up to 45, 120, 259 pixels).
        quantize: "floor" cuts to 8 bits as the published sets do; "round"; None keeps floats and lets gradients through.
        storage_jpeg: quality at which the result is compressed afterwards (ImageNet-C is stored at 85).
        frost_images: photographs (3, H, W) for "frost", uint8 or in [0, 1], larger than the images at the table's scale
            (1 for ImageNet sizes, 0.2 for 32 px). All that are given are drawn; the published sets drew from the first
            five of their six. Without them frost is a procedural texture, which is not ImageNet-C's
            frost; tables of this package then call it "frost_procedural".

    Returns:
        The same kind, shape, dtype and device.

    Raises:
        ValueError: values outside [0, 1], NaN, a wrong shape, an unknown name (the nearest is named) or severity, images
            too small for the kernel. TypeError: another dtype.

    >>> import torch
    >>> x = torch.full((1, 3, 32, 32), 0.5)
    >>> corrupt(x, "contrast", 5).unique(), corrupt(x, "gaussian_noise", 1).std().round(decimals=2)
    (tensor([0.4980]), tensor(0.0400))
    """
    check_name(name)
    severity = check_severity(severity)
    x = as_images(images)
    image_numbers = as_indices(indices, len(x), x.device)
    if severity == 0:
        return give_back(images)(x.clone())
    h, w = x.shape[-2:]
    corruption, strength = corruption_for(name, severity, strengths, (h, w), frost_images, x.device)

    def corrupt_batch(batch: Tensor, rows: slice) -> Tensor:
        params = corruption.draw(Draws(seed, image_numbers[rows], name), h, w, strength)
        return corruption.apply(batch, strength, params)

    return give_back(images)(_in_batches(x, corrupt_batch, quantize, storage_jpeg))


@own_settings
def draw(
    name: str,
    size: tuple[int, int],
    severity: float = 3,
    *,
    indices: Indices = (0,),
    seed: int = 0,
    strengths: str = "auto",
    frost_images: Sequence[Images] | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor]:
    """The random parameters that `corrupt` would draw, to be stored, looked at, or handed to `apply`.

    Args:
        name, severity, seed, indices, strengths, frost_images: as in `corrupt`.
        size: (h, w) of the images.
        device: where to draw.

    Returns:
        {parameter: tensor (b, ...)}; empty for the eight corruptions without randomness. Angles are in degrees, glass
        offsets in pixels, uniform and normal fields unscaled.

    Raises:
        ValueError: as `corrupt`.

    >>> angle = draw("motion_blur", (32, 32), indices=[0, 1])["angle"]
    >>> angle.shape, bool((angle.abs() <= 45).all())
    (torch.Size([2]), True)
    """
    check_name(name)
    severity = check_severity(severity)
    corruption, strength = corruption_for(name, severity, strengths, size, frost_images, torch.device(device))
    image_numbers = torch.as_tensor(np.asarray(indices), device=device)
    image_numbers = as_indices(image_numbers, len(image_numbers), image_numbers.device)
    return corruption.draw(Draws(seed, image_numbers, name), *size, strength)


@own_settings
def apply(
    images: Images,
    name: str,
    params: dict[str, Tensor],
    severity: float = 3,
    *,
    strengths: str = "auto",
    quantize: str | None = "floor",
    frost_images: Sequence[Images] | None = None,
) -> Images:
    """Images with a corruption whose random parameters are given: a replay of stored or of another program's draws.

    Args:
        images, name, severity, strengths, quantize, frost_images: as in `corrupt`.
        params: as `draw` returns them, one row per image.

    Returns:
        The same kind, shape, dtype and device.

    Raises:
        ValueError: as `corrupt`, or parameters that are missing or belong to another number of images.

    >>> import torch
    >>> x = torch.rand(2, 3, 32, 32)
    >>> torch.equal(apply(x, "snow", draw("snow", (32, 32), indices=[0, 1])), corrupt(x, "snow"))
    True
    """
    check_name(name)
    severity = check_severity(severity)
    x = as_images(images)
    if severity == 0:
        return give_back(images)(x.clone())
    h, w = x.shape[-2:]
    corruption, strength = corruption_for(name, severity, strengths, (h, w), frost_images, x.device)
    params = {key: torch.as_tensor(value, device=x.device) for key, value in params.items()}
    # One image's worth of draws says which parameters are needed, and of what shape.
    examples = corruption.draw(Draws(0, torch.zeros(1, device=x.device), name), h, w, strength)
    for key, example in examples.items():
        _check_param(params.get(key), key, (len(x), *example.shape[1:]), name)

    def corrupt_batch(batch: Tensor, rows: slice) -> Tensor:
        return corruption.apply(batch, strength, {key: params[key][rows] for key in examples})

    return give_back(images)(_in_batches(x, corrupt_batch, quantize, storage_jpeg=None))


def _check_param(value: Tensor | None, key: str, shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError unless the random parameter `key` of the corruption `name` is there and has this shape."""
    if value is not None and tuple(value.shape) == shape:
        return
    seen = "nothing"
    if value is not None:
        seen = str(tuple(value.shape))
    raise ValueError(
        f"`params[{key!r}]` must have shape {shape} for {name} at this size and severity, "
        f"got {seen}. Draw them with the same name, size, severity and table."
    )


def _in_batches(
    x: Tensor, corrupt_batch: Callable[[Tensor, slice], Tensor], quantize: str | None, storage_jpeg: float | None
) -> Tensor:
    """Corrupt (b, 3, h, w) a few images at a time, and clip, quantise and store each result as the published sets do."""
    _check_quantize(quantize, x.dtype)
    if storage_jpeg is not None:
        quality = real_number(storage_jpeg)
        if quality is None or not 1 <= quality <= 100:
            raise ValueError(f"`storage_jpeg` must be a quality from 1 to 100, got {storage_jpeg!r}.")
        storage_jpeg = quality

    def finished_batch(rows: slice) -> Tensor:
        y = corrupt_batch(unit(x[rows]), rows).clamp(0, 1)
        if storage_jpeg is not None:
            y = jpeg_compression(quantized(y, quantize), (storage_jpeg,), {})
        return in_dtype(y, quantize, x.dtype)

    return in_batches(x, finished_batch)


def _check_quantize(quantize: str | None, dtype: torch.dtype) -> None:
    """Raise ValueError unless `quantize` is one of its three values and images of this dtype can hold the result."""
    if quantize not in ("floor", "round", None):
        raise ValueError(f'`quantize` must be "floor", "round" or None, got {quantize!r}.')
    if quantize is None and dtype == torch.uint8:
        raise ValueError("`quantize=None` keeps floats, so `images` must be floats in [0, 1], got uint8.")
