"""The family by name: draw an image's random parameters, apply them, or both in one call."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.corruptions import blur, digital, noise, spatter, weather
from repgeom.corruptions.filters import disk_reach
from repgeom.corruptions.images import as_images, batches, give_back, quantized, unit
from repgeom.corruptions.noise import Params
from repgeom.corruptions.seeds import Draws
from repgeom.corruptions.strengths import TABLES, Strength, between, table_for

SMALLEST = 8  # pixels a side


@dataclass(frozen=True)
class Corruption:
    """How one corruption draws and applies; `reach` is the number of pixels that an image must exceed."""

    draw: Callable[[Draws, int, int, Strength], Params]
    apply: Callable[[Tensor, Strength, Params], Tensor]
    reach: Callable[[Strength], int] = lambda strength: 0
    extra: bool = False  # not among the 15 of mCE


# In the order of the papers: the 15 that mCE averages, then the 4 that were meant for validation.
FAMILY = {
    "gaussian_noise": Corruption(noise.draw_normal, noise.gaussian_noise),
    "shot_noise": Corruption(noise.draw_shot, noise.shot_noise),
    "impulse_noise": Corruption(noise.draw_impulse, noise.impulse_noise),
    "defocus_blur": Corruption(blur.draw_nothing, blur.defocus_blur, lambda s: disk_reach(*s)),
    "glass_blur": Corruption(blur.draw_glass, blur.glass_blur, lambda s: 2 * s[1] + 1),
    "motion_blur": Corruption(blur.draw_motion, blur.motion_blur),
    "zoom_blur": Corruption(blur.draw_nothing, blur.zoom_blur),
    "snow": Corruption(weather.draw_snow, weather.snow),
    "frost": Corruption(weather.draw_frost_procedural, weather.frost_procedural),
    "fog": Corruption(weather.draw_fog, weather.fog),
    "brightness": Corruption(blur.draw_nothing, weather.brightness),
    "contrast": Corruption(blur.draw_nothing, weather.contrast),
    "elastic_transform": Corruption(digital.draw_elastic, digital.elastic_transform),
    "pixelate": Corruption(blur.draw_nothing, digital.pixelate),
    "jpeg_compression": Corruption(blur.draw_nothing, digital.jpeg_compression),
    "speckle_noise": Corruption(noise.draw_normal, noise.speckle_noise, extra=True),
    "gaussian_blur": Corruption(blur.draw_nothing, blur.gaussian_blur, extra=True),
    "spatter": Corruption(weather.draw_spatter, spatter.spatter, extra=True),
    "saturate": Corruption(blur.draw_nothing, weather.saturate, extra=True),
}


def names() -> dict[str, str]:
    """The 19 corruptions, each with "mCE" (one of the 15 that the mean corruption error averages) or "extra".

    >>> list(names())[:3], names()["spatter"], sum(kind == "mCE" for kind in names().values())
    (['gaussian_noise', 'shot_noise', 'impulse_noise'], 'extra', 15)
    """
    return {name: "extra" if c.extra else "mCE" for name, c in FAMILY.items()}


def strength(name: str, severity: float, strengths: str) -> dict[str, Any]:
    """The numbers behind a severity, by name: sigmas and radii in pixels, noise in units of the range [0, 1].

    Args:
        name: one of `names()`.
        severity: in [0, 5]; between the published whole ones each number is interpolated (whole ones are rounded, a
            Poisson rate in its inverse), 0 leaves an image as it is.
        strengths: "cifar" (made for 32 px), "tiny" (64), "imagenet" (224) or "inception" (299).

    Raises:
        ValueError: an unknown name, table or severity.

    >>> strength("fog", 3, "cifar")
    {'amount': 0.75, 'wibble_decay': 2.5}
    """
    check_name(name)
    if strengths == "auto":
        raise ValueError('`strengths="auto"` needs the size of an image; name a table here.')
    values = between(name, check_severity(severity), table_for(strengths, 0, 0))
    return dict(zip(TABLES[name][0], values, strict=True))


def corrupt(
    images: Any,
    name: str,
    severity: float = 3,
    *,
    seed: int = 0,
    indices: Any = None,
    strengths: str = "auto",
    quantize: str | None = "floor",
    storage_jpeg: float | None = None,
    frost_images: Sequence[Any] | None = None,
) -> Any:
    """Images with one corruption of CIFAR-10-C / ImageNet-C (Hendrycks & Dietterich 2019).

    Args:
        images: (b, 3, h, w), uint8 or floats in [0, 1], at least 8 × 8; a tensor on any device, or an array.
        name: one of `names()`.
        severity: a number in [0, 5]: 0 is the identity, 1 to 5 are published, numbers between interpolate.
        seed: of the random parameters. They depend on it, on `name` and on an image's index, and on nothing else: not
            on the batch, its order or the device; an image keeps its draws at every severity.
        indices: (b,) whole numbers, which image of the data set each one is; 0 to b − 1 by default. Give it when a data
            set is corrupted batch by batch, or every batch gets the draws of the first.
        strengths: "cifar", "tiny", "imagenet", "inception", or "auto": by the larger side (up to 45, 120, 259 pixels).
        quantize: "floor" cuts to 8 bits as the published sets do; "round"; None keeps floats and lets gradients through.
        storage_jpeg: quality at which the result is compressed afterwards (ImageNet-C is stored at 85).
        frost_images: photographs (3, H, W) for "frost", uint8 or in [0, 1], larger than the images at the table's scale
            (1 for ImageNet sizes, 0.2 for 32 px). Without them frost is a procedural texture, which is not ImageNet-C's
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
    numbers = as_indices(indices, len(x), x.device)
    if severity == 0:
        return give_back(images)(x.clone())
    h, w = x.shape[-2:]
    bound, numeric = bind(name, severity, strengths, (h, w), frost_images, x.device)

    def one(part: Tensor, rows: slice) -> Tensor:
        random = Draws(seed, numbers[rows], name)
        return bound.apply(part, numeric, bound.draw(random, h, w, numeric))

    return give_back(images)(_each_batch(x, one, quantize, storage_jpeg))


def draw(
    name: str,
    size: tuple[int, int],
    severity: float = 3,
    *,
    indices: Any = (0,),
    seed: int = 0,
    strengths: str = "auto",
    frost_images: Sequence[Any] | None = None,
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
    bound, numeric = bind(name, check_severity(severity), strengths, size, frost_images, torch.device(device))
    numbers = torch.as_tensor(np.asarray(indices), device=device)
    return bound.draw(Draws(seed, as_indices(numbers, len(numbers), numbers.device), name), *size, numeric)


def apply(
    images: Any,
    name: str,
    params: dict[str, Tensor],
    severity: float = 3,
    *,
    strengths: str = "auto",
    quantize: str | None = "floor",
    frost_images: Sequence[Any] | None = None,
) -> Any:
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
    bound, numeric = bind(name, severity, strengths, (h, w), frost_images, x.device)
    params = {key: torch.as_tensor(value, device=x.device) for key, value in params.items()}
    needed = bound.draw(Draws(0, torch.zeros(1, device=x.device), name), h, w, numeric)
    for key, example in needed.items():
        if key not in params or tuple(params[key].shape) != (len(x), *example.shape[1:]):
            seen = tuple(params[key].shape) if key in params else "nothing"
            raise ValueError(
                f"`params[{key!r}]` must have shape {(len(x), *example.shape[1:])} for {name} at this size and severity, "
                f"got {seen}. Draw them with the same name, size, severity and table."
            )

    def one(part: Tensor, rows: slice) -> Tensor:
        return bound.apply(part, numeric, {key: params[key][rows] for key in needed})

    return give_back(images)(_each_batch(x, one, quantize, None))


def label(name: str, frost_images: Sequence[Any] | None) -> str:
    """What a table calls a corruption: frost without photographs is not ImageNet-C's."""
    return "frost_procedural" if name == "frost" and frost_images is None else name


def check_name(name: str) -> str:
    if name in FAMILY:
        return name
    near = difflib.get_close_matches(str(name), FAMILY, n=1, cutoff=0.4)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no corruption {name!r}.{meant} There are: {', '.join(FAMILY)}.")


def check_severity(severity: float) -> float:
    if isinstance(severity, bool) or not isinstance(severity, (int, float, np.number)) or not 0 <= severity <= 5:
        raise ValueError(f"`severity` must be a number from 0 (unchanged) to 5 (strongest), got {severity!r}.")
    return float(severity)


def as_indices(indices: Any, n: int, device: torch.device) -> Tensor:
    if indices is None:
        return torch.arange(n, device=device)
    numbers = indices if isinstance(indices, Tensor) else torch.as_tensor(np.asarray(indices))
    if numbers.shape != (n,) or numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise ValueError(
            f"`indices` must be {n} whole numbers, one for each image, got shape {tuple(numbers.shape)}, {numbers.dtype}."
        )
    return numbers.to(device, torch.int64)


def bind(
    name: str,
    severity: float,
    strengths: str,
    size: tuple[int, int],
    frost_images: Sequence[Any] | None,
    device: torch.device,
) -> tuple[Corruption, Strength]:
    """The corruption, with the user's photographs where it is frost, and its numbers for images of this size.

    Raises ValueError where it does not fit them.
    """
    table = table_for(strengths, *size)
    numeric = between(name, severity, table)
    found = FAMILY[name]
    least = max(SMALLEST, found.reach(numeric) + 1)
    if min(size) < least:
        advice = ' A table for smaller images may do: `strengths="cifar"`.' if table != "cifar" else ""
        raise ValueError(
            f"`images` of {size[0]} x {size[1]} pixels are too small for {name} at severity {severity:g} of the {table!r} "
            f"table, which needs {least} a side.{advice}"
        )
    if name == "frost" and frost_images is not None:
        if len(frost_images) == 0:
            raise ValueError("`frost_images` is empty; give photographs, or None for a procedural texture.")
        given = [as_images(torch.as_tensor(photo)[None], "frost_images")[0].to(device) for photo in frost_images]
        photos = weather.frost_photos([unit(photo) for photo in given], numeric[2], *size)
        found = Corruption(
            functools.partial(weather.draw_frost, photos=photos), functools.partial(weather.frost, photos=photos)
        )
    return found, numeric


def _each_batch(
    x: Tensor, one: Callable[[Tensor, slice], Tensor], quantize: str | None, storage_jpeg: float | None
) -> Tensor:
    check_quantize(quantize, x.dtype)
    if storage_jpeg is not None and not 1 <= storage_jpeg <= 100:
        raise ValueError(f"`storage_jpeg` must be a quality from 1 to 100, got {storage_jpeg!r}.")
    done = [_finished(one(unit(x[rows]), rows), x.dtype, quantize, storage_jpeg) for rows in batches(x)]
    return torch.cat(done) if done else x.clone()


def _finished(y: Tensor, dtype: torch.dtype, quantize: str | None, storage_jpeg: float | None) -> Tensor:
    y = quantized(y.clamp(0, 1), quantize)
    if storage_jpeg is not None:
        y = digital.jpeg_compression(y, (storage_jpeg,), {})
    return (y * 255).round().to(torch.uint8) if dtype == torch.uint8 else y.to(dtype)


def check_quantize(quantize: str | None, dtype: torch.dtype) -> None:
    if quantize not in ("floor", "round", None):
        raise ValueError(f'`quantize` must be "floor", "round" or None, got {quantize!r}.')
    if quantize is None and dtype == torch.uint8:
        raise ValueError("`quantize=None` keeps floats, so `images` must be floats in [0, 1], got uint8.")
