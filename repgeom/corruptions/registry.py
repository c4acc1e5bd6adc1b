"""Which corruptions are there, what is the name of each, and which strength does a severity mean for it?"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repgeom.corruptions import (
    blur,
    colour,
    digital,
    frost,
    jpeg,
    noise,
    patterns,
    refraction,
    sensor,
    spatter,
    weather,
)
from repgeom.corruptions.filters import disk_reach
from repgeom.corruptions.images import as_images, unit
from repgeom.corruptions.seeds import Draws, Params
from repgeom.corruptions.strengths import TABLES, Strength, interpolated, table_for
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings

# Smaller images lose more in the borders of the kernels than they keep: 8 pixels is also one block of JPEG.
SMALLEST_SIDE = 8
IMAGENET_C, IMAGENET_C_BAR, IMAGENET_3DCC = "imagenet-c", "imagenet-c-bar", "imagenet-3dcc"
FAMILIES = (IMAGENET_C, IMAGENET_C_BAR, IMAGENET_3DCC)


def _draw_nothing(random: Draws, h: int, w: int, strength: Strength) -> Params:
    """The random parameters of a corruption that has none."""
    return {}


def _reaches_nowhere(strength: Strength) -> int:
    return 0


@dataclass(frozen=True)
class Corruption:
    """How one corruption draws its random parameters and how it is applied to images.

    Attributes:
        apply: (images (b, 3, h, w) in [0, 1], strength, random parameters) -> images of the same shape, not yet clipped.
        draw: (random numbers, h, w, strength) -> random parameters, one row per image.
        reach: number of pixels that each side of an image must exceed, because its kernel mirrors so many.
        in_mce: whether it is one of the 15 that the mean corruption error averages.
        family: the benchmark that it belongs to.
    """

    apply: Callable[[Tensor, Strength, Params], Tensor]
    draw: Callable[[Draws, int, int, Strength], Params] = _draw_nothing
    reach: Callable[[Strength], int] = _reaches_nowhere
    in_mce: bool = True
    family: str = IMAGENET_C


# In the order of the papers: the 15 that mCE averages, the 4 that were meant for validation, then the families beside them.
CORRUPTIONS = {
    "gaussian_noise": Corruption(noise.gaussian_noise, noise.draw_normal),
    "shot_noise": Corruption(noise.shot_noise, noise.draw_shot),
    "impulse_noise": Corruption(noise.impulse_noise, noise.draw_impulse),
    "defocus_blur": Corruption(blur.defocus_blur, reach=lambda strength: disk_reach(*strength)),
    "glass_blur": Corruption(blur.glass_blur, blur.draw_glass, reach=blur.glass_reach),
    "motion_blur": Corruption(blur.motion_blur, blur.draw_motion),
    "zoom_blur": Corruption(blur.zoom_blur),
    "snow": Corruption(weather.snow, weather.draw_snow),
    "frost": Corruption(frost.procedural_frost, frost.draw_procedural_frost),
    "fog": Corruption(weather.fog, weather.draw_fog),
    "brightness": Corruption(colour.brightness),
    "contrast": Corruption(colour.contrast),
    "elastic_transform": Corruption(digital.elastic_transform, digital.draw_elastic),
    "pixelate": Corruption(digital.pixelate),
    "jpeg_compression": Corruption(jpeg.jpeg_compression),
    "speckle_noise": Corruption(noise.speckle_noise, noise.draw_normal, in_mce=False),
    "gaussian_blur": Corruption(blur.gaussian_blur, in_mce=False),
    "spatter": Corruption(spatter.spatter, spatter.draw_spatter, in_mce=False),
    "saturate": Corruption(colour.saturate, in_mce=False),
    **{
        name: Corruption(apply, draw, in_mce=False, family=IMAGENET_C_BAR)
        for name, apply, draw in (
            ("blue_noise_sample", patterns.blue_noise_sample, patterns.draw_blue_noise_sample),
            ("brownish_noise", patterns.brownish_noise, patterns.draw_brownish_noise),
            ("caustic_refraction", refraction.caustic_refraction, refraction.draw_caustic_refraction),
            ("checkerboard_cutout", refraction.checkerboard_cutout, refraction.draw_checkerboard_cutout),
            ("cocentric_sine_waves", patterns.cocentric_sine_waves, patterns.draw_cocentric_sine_waves),
            ("inverse_sparkles", patterns.inverse_sparkles, patterns.draw_inverse_sparkles),
            ("perlin_noise", patterns.perlin_noise, patterns.draw_perlin_noise),
            ("plasma_noise", patterns.plasma_noise, patterns.draw_plasma_noise),
            ("single_frequency_greyscale", patterns.single_frequency_greyscale, patterns.draw_single_frequency),
            ("sparkles", patterns.sparkles, patterns.draw_sparkles),
        )
    },
    "iso_noise": Corruption(sensor.iso_noise, sensor.draw_iso_noise, in_mce=False, family=IMAGENET_3DCC),
    "color_quant": Corruption(sensor.color_quant, in_mce=False, family=IMAGENET_3DCC),
}


@own_settings
def names(family: str = IMAGENET_C) -> dict[str, str]:
    """The corruptions of a benchmark, each with "mCE" (one of the 15 that the mean corruption error averages) or "extra".

    Args:
        family: "imagenet-c" (the 19 of CIFAR-10-C and ImageNet-C); "imagenet-c-bar" (ten that are unlike these, Mintun et al. 2021,
            for square images); "imagenet-3dcc" (the two that need neither depth nor video, Kar et al. 2022).

    Raises:
        ValueError: another family.

    >>> list(names())[:3], names()["spatter"], sum(kind == "mCE" for kind in names().values())
    (['gaussian_noise', 'shot_noise', 'impulse_noise'], 'extra', 15)
    >>> len(names("imagenet-c-bar")), list(names("imagenet-3dcc"))
    (10, ['iso_noise', 'color_quant'])
    """
    if family not in FAMILIES:
        raise ValueError(f"`family` must be one of {', '.join(FAMILIES)}, got {family!r}.")
    kinds = {True: "mCE", False: "extra"}
    return {name: kinds[c.in_mce] for name, c in CORRUPTIONS.items() if c.family == family}


@own_settings
def strength(name: str, severity: float, strengths: str) -> dict[str, Any]:
    """The numbers behind a severity, by name: sigmas and radii in pixels, noise in units of the range [0, 1].

    Args:
        name: one of `names()`, or of another family that `names` knows.
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
    values = interpolated(name, check_severity(severity), table_for(strengths, 0, 0))
    return dict(zip(TABLES[name].parameters, values, strict=True))


def name_in_tables(name: str, frost_images: Sequence[Any] | None) -> str:
    """What a table of results calls a corruption: frost without photographs is not ImageNet-C's frost."""
    if name == "frost" and frost_images is None:
        return "frost_procedural"
    return name


def check_name(name: str) -> str:
    """The name itself. Raises ValueError, with the nearest name, if no corruption has it."""
    if name in CORRUPTIONS:
        return name
    message = f"there is no corruption {name!r}."
    # A cutoff below difflib's 0.6 finds "jpeg" and "elastic" too.
    for nearest in difflib.get_close_matches(str(name), CORRUPTIONS, n=1, cutoff=0.4):
        message += f" Did you mean {nearest!r}?"
    raise ValueError(f"{message} There are: {', '.join(CORRUPTIONS)}.")


def check_severity(severity: float) -> float:
    """The severity as a float. Raises ValueError unless it is a number in [0, 5]."""
    number = real_number(severity)
    if number is None or not 0 <= number <= 5:
        raise ValueError(f"`severity` must be a number from 0 (unchanged) to 5 (strongest), got {severity!r}.")
    return number


def corruption_for(
    name: str,
    severity: float,
    strengths: str,
    size: tuple[int, int],
    frost_images: Sequence[Any] | None,
    device: torch.device,
) -> tuple[Corruption, Strength]:
    """The corruption of this name, with the user's photographs where it is frost, and its strength for this image size.

    Raises ValueError if the images are too small for its kernel, or the photographs too small for the images.
    """
    table = table_for(strengths, *size)
    strength = interpolated(name, severity, table)
    corruption = CORRUPTIONS[name]
    smallest_side = max(SMALLEST_SIDE, corruption.reach(strength) + 1)
    if min(size) < smallest_side:
        message = (
            f"`images` of {size[0]} x {size[1]} pixels are too small for {name} at severity {severity:g} of the {table!r} "
            f"table, which needs {smallest_side} a side."
        )
        if table != "cifar":
            message += ' A table for smaller images may do: `strengths="cifar"`.'
        raise ValueError(message)
    if corruption.family == IMAGENET_C_BAR and size[0] != size[1]:
        raise ValueError(f"{name} is defined for square images, got {size[0]} x {size[1]} pixels; crop them first.")
    if name == "frost" and frost_images is not None:
        corruption = _photographic_frost(frost_images, strength, size, device)
    return corruption, strength


def _photographic_frost(
    frost_images: Sequence[Any], strength: Strength, size: tuple[int, int], device: torch.device
) -> Corruption:
    """Frost that lays the user's photographs over the images, as ImageNet-C does with its own."""
    if len(frost_images) == 0:
        raise ValueError("`frost_images` is empty; give photographs, or None for a procedural texture.")
    photos = []
    for image in frost_images:
        batch_of_one = as_images(torch.as_tensor(image)[None], "frost_images")
        photos.append(unit(batch_of_one[0].to(device)))
    _, _, asset_scale = strength
    photos = frost.scaled_photos(photos, asset_scale, *size)
    return Corruption(
        functools.partial(frost.photographic_frost, photos=photos),
        functools.partial(frost.draw_photographic_frost, photos=photos),
    )
