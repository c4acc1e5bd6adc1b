"""How strong is each severity? The published tables by image size, and what lies between two severities.

Hendrycks & Dietterich 2019 (CIFAR-10-C, ImageNet-C, Tiny ImageNet-C) and their scripts for 299 px; and the families beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

Strength = tuple[Any, ...]  # the numbers behind one severity of one corruption

# The tables, and the larger side up to which "auto" takes a table; the geometric means of neighbouring sizes.
SIZES = {"cifar": 45, "tiny": 120, "imagenet": 259, "inception": math.inf}

_SNOW_32 = ((.1, .2, 1, .6, 8, 3), (.1, .2, 1, .5, 10, 4), (.15, .3, 1.75, .55, 10, 4), (.25, .3, 2.25, .6, 12, 6),
            (.3, .3, 1.25, .65, 14, 12))  # fmt: skip
_SNOW_224 = ((.1, .3, 3, .5, 10, 4, .8), (.2, .3, 2, .5, 12, 4, .7), (.55, .3, 4, .9, 12, 8, .7),
             (.55, .3, 4.5, .85, 12, 8, .65), (.55, .3, 2.5, .85, 12, 12, .55))  # fmt: skip
_ZOOM_32 = ((1.06, .01), (1.11, .01), (1.15, .01), (1.20, .01), (1.25, .01))  # fmt: skip
_ZOOM_224 = ((1.11, .01), (1.15, .01), (1.20, .02), (1.24, .02), (1.30, .03))  # fmt: skip
_FROST_224 = ((1, .4, 1), (.8, .6, 1), (.7, .7, 1), (.65, .7, 1), (.6, .75, 1))  # fmt: skip
_SATURATE_64: tuple[Strength, ...] = ((.3, 0), (.1, 0), (2, 0), (5, .1), (30, .2))  # fmt: skip
_SATURATE_224: tuple[Strength, ...] = ((.3, 0), (.1, 0), (2, 0), (5, .1), (20, .2))  # fmt: skip


class Severities(NamedTuple):
    """The strengths of one corruption: what the numbers are called, at severity 0, and at 1 to 5 in each table.

    None at severity 0 means: as at severity 1, because the number does not matter where the others switch the corruption off.
    """

    parameters: tuple[str, ...]
    at_zero: Strength
    tables: dict[str, tuple[Strength, ...]]


def _with_mix(rows: Sequence[Sequence[float]], mix: Sequence[float]) -> tuple[Strength, ...]:
    """Rows of snow's first six numbers, each with its seventh: two tables share the six."""
    return tuple((*row, value) for row, value in zip(rows, mix, strict=True))


def _elastic(size: int, rows: Sequence[Sequence[float]]) -> tuple[Strength, ...]:
    """From multiples of a size to pixels; ImageNet-C multiplies by 244, which is not its size."""
    return tuple(tuple(value * size for value in row) for row in rows)


def _each(*values: float) -> tuple[Strength, ...]:
    """Severities 1 to 5 of a corruption that has one number."""
    return tuple((value,) for value in values)


_ELASTIC_224 = ((2, .7, .1), (2, .08, .2), (.05, .01, .02), (.07, .01, .02), (.12, .01, .02))  # fmt: skip

TABLES = {
    "gaussian_noise": Severities(("sigma",), (0,), {
        "cifar": _each(.04, .06, .08, .09, .10), "tiny": _each(.04, .08, .12, .15, .18),
        "imagenet": _each(.08, .12, .18, .26, .38), "inception": _each(.09, .13, .19, .27, .40)}),
    "shot_noise": Severities(("rate",), (math.inf,), {
        "cifar": _each(500, 250, 100, 75, 50), "tiny": _each(250, 100, 50, 30, 15),
        "imagenet": _each(60, 25, 12, 5, 3), "inception": _each(50, 20, 10, 5, 3)}),
    "impulse_noise": Severities(("amount",), (0,), {
        "cifar": _each(.01, .02, .03, .05, .07), "tiny": _each(.01, .02, .05, .08, .14),
        "imagenet": _each(.03, .06, .09, .17, .27), "inception": _each(.04, .07, .10, .18, .28)}),
    "defocus_blur": Severities(("radius", "alias_blur"), (0, 0), {
        "cifar": ((.3, .4), (.4, .5), (.5, .6), (1, .2), (1.5, .1)),
        "tiny": ((.5, .6), (1, .1), (1.5, .1), (2.5, .01), (3, .1)),
        "imagenet": ((3, .1), (4, .5), (6, .5), (8, .5), (10, .5)),
        "inception": ((4, .1), (5, .5), (7, .5), (10, .5), (12, .5))}),
    "glass_blur": Severities(("sigma", "max_delta", "iterations"), (0, 0, 0), {
        "cifar": ((.05, 1, 1), (.25, 1, 1), (.4, 1, 1), (.25, 1, 2), (.4, 1, 2)),
        "tiny": ((.1, 1, 1), (.5, 1, 1), (.6, 1, 2), (.7, 2, 1), (.9, 2, 2)),
        "imagenet": ((.7, 1, 2), (.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        "inception": ((.8, 1, 3), (1, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2))}),
    "motion_blur": Severities(("radius", "sigma"), (0, None), {
        "cifar": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        "tiny": ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        "imagenet": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "inception": ((12, 4), (17, 6), (17, 9), (17, 13), (22, 16))}),
    "zoom_blur": Severities(("last_factor", "step"), (1, None), {
        "cifar": _ZOOM_32, "tiny": _ZOOM_32, "imagenet": _ZOOM_224, "inception": _ZOOM_224}),
    "snow": Severities(("loc", "scale", "zoom", "threshold", "radius", "sigma", "mix"), (0, 0, None, None, None, None, 1), {
        "cifar": _with_mix(_SNOW_32, (.95, .9, .9, .85, .8)), "tiny": _with_mix(_SNOW_32, (.8, .8, .7, .65, .6)),
        "imagenet": _SNOW_224, "inception": _SNOW_224}),
    "frost": Severities(("image_weight", "frost_weight", "asset_scale"), (1, 0, None), {
        "cifar": ((1, .2, .2), (1, .3, .2), (.9, .4, .2), (.85, .4, .2), (.75, .45, .2)),
        "tiny": ((1, .3, .3), (.9, .4, .3), (.8, .45, .3), (.75, .5, .3), (.7, .55, .3)),
        "imagenet": _FROST_224, "inception": _FROST_224}),
    "fog": Severities(("amount", "wibble_decay"), (0, None), {
        "cifar": ((.2, 3), (.5, 3), (.75, 2.5), (1, 2), (1.5, 1.75)),
        "tiny": ((.4, 3), (.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        "imagenet": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        "inception": ((1.5, 2), (2, 2), (2.5, 1.8), (2.5, 1.6), (3, 1.5))}),
    "brightness": Severities(("added_value",), (0,), {"cifar": _each(.05, .10, .15, .20, .30)} | dict.fromkeys(
        ("tiny", "imagenet", "inception"), _each(.1, .2, .3, .4, .5))),
    "contrast": Severities(("gain",), (1,), {"cifar": _each(.75, .5, .4, .3, .15)} | dict.fromkeys(
        ("tiny", "imagenet", "inception"), _each(.4, .3, .2, .1, .05))),
    "elastic_transform": Severities(("alpha", "sigma", "affine"), (0, None, 0), {
        "cifar": _elastic(32, ((0, 0, .08), (.05, .2, .07), (.08, .06, .06), (.1, .04, .05), (.1, .03, .03))),
        "tiny": _elastic(64, ((0, 0, .08), (.05, .3, .06), (.1, .08, .06), (.1, .03, .03), (.16, .03, .02))),
        "imagenet": _elastic(244, _ELASTIC_224), "inception": _elastic(360, _ELASTIC_224)}),
    "pixelate": Severities(("scale",), (1,), {
        "cifar": _each(.95, .9, .85, .75, .65), "tiny": _each(.9, .8, .7, .6, .5),
        "imagenet": _each(.6, .5, .4, .3, .25), "inception": _each(.5, .4, .3, .25, .2)}),
    "jpeg_compression": Severities(("quality",), (100,), {
        "cifar": _each(80, 65, 58, 50, 40), "tiny": _each(65, 58, 50, 40, 25),
        "imagenet": _each(25, 18, 15, 10, 7), "inception": _each(23, 16, 13, 8, 5)}),
    "speckle_noise": Severities(("sigma",), (0,), {
        "cifar": _each(.06, .10, .12, .16, .20), "tiny": _each(.15, .20, .25, .30, .35),
        "imagenet": _each(.15, .20, .35, .45, .60), "inception": _each(.16, .21, .36, .46, .61)}),
    "gaussian_blur": Severities(("sigma",), (0,), {
        "cifar": _each(.4, .6, .7, .8, 1), "tiny": _each(.5, .75, 1, 1.25, 1.5),
        "imagenet": _each(1, 2, 3, 4, 6), "inception": _each(1.5, 2.5, 3.5, 4.5, 6.5)}),
    "spatter": Severities(("loc", "scale", "blur", "threshold", "strength", "kind"), (None, None, None, None, 0, None), {
        "cifar": ((.62, .1, .7, .7, .5, "water"), (.65, .1, .8, .7, .5, "water"), (.65, .3, 1, .69, .5, "water"),
                  (.65, .1, .7, .69, .6, "mud"), (.65, .1, .5, .68, .6, "mud")),
        "tiny": ((.62, .1, .7, .7, .6, "water"), (.65, .1, .8, .7, .6, "water"), (.65, .3, 1, .69, .6, "water"),
                 (.65, .1, .7, .68, .6, "mud"), (.65, .1, .5, .67, .6, "mud")),
        "imagenet": ((.65, .3, 4, .69, .6, "water"), (.65, .3, 3, .68, .6, "water"), (.65, .3, 2, .68, .5, "water"),
                     (.65, .3, 1, .65, 1.5, "mud"), (.67, .4, 1, .65, 1.5, "mud")),
        "inception": ((.65, .3, 4, .69, .9, "water"), (.65, .3, 3.5, .68, .9, "water"), (.65, .3, 3, .68, .8, "water"),
                      (.65, .3, 1.2, .65, 1.8, "mud"), (.67, .4, 1.2, .65, 1.8, "mud"))}),
    "saturate": Severities(("gain", "offset"), (1, 0), {
        "cifar": ((.3, 0), (.1, 0), (1.5, 0), (2, .1), (2.5, .2)), "tiny": _SATURATE_64,
        "imagenet": _SATURATE_224, "inception": _SATURATE_224}),
}  # fmt: skip

# Families that papers report beside the 19, each with one table for all sizes but where another is published. ImageNet-C-bar (Mintun et
# al. 2021) counts levels from 0 to 10, and lengths go with the side of the image; CIFAR-10-C-bar has levels for five of its corruptions.
_BAR = {
    "blue_noise_sample": (.8, 1.6, 2.4, 4, 5.6), "brownish_noise": (1, 2, 3, 4, 5),
    "caustic_refraction": (2.35, 3.2, 4.9, 6.6, 9.15), "checkerboard_cutout": (2, 3, 4, 5, 6),
    "cocentric_sine_waves": (3, 5, 8, 9, 10), "inverse_sparkles": (1, 2, 4, 9, 10), "perlin_noise": (4.6, 5.2, 5.8, 7.6, 8.8),
    "plasma_noise": (4.75, 7, 8.5, 9.25, 10), "single_frequency_greyscale": (1, 1.5, 2, 4.5, 5), "sparkles": (1, 2, 3, 5, 6),
}  # fmt: skip
_CIFAR_BAR = {
    "blue_noise_sample": (.7, 1.4, 2.1, 3.5, 4.2), "brownish_noise": (2.5, 4, 5.5, 6.5, 7), "checkerboard_cutout": (1, 2, 3, 4, 5),
    "inverse_sparkles": (1, 1.5, 2.5, 4.5, 5), "sparkles": (.7, 3.5, 5.6, 6.3, 7),
}  # fmt: skip
TABLES |= {
    name: Severities(
        ("level",), (0,), dict.fromkeys(SIZES, _each(*levels)) | {"cifar": _each(*_CIFAR_BAR.get(name, levels))}
    )
    for name, levels in _BAR.items()
}
# ImageNet-3DCC (Kar et al. 2022): 0.7 times ImageNet-C's Gaussian noise upon shot noise of one rate; bits that are left of 8.
TABLES |= {
    "iso_noise": Severities(("rate", "sigma"), (math.inf, 0), dict.fromkeys(
        SIZES, tuple((25, .7 * sigma) for sigma in (.08, .12, .18, .26, .38)))),
    "color_quant": Severities(("bits",), (8,), dict.fromkeys(SIZES, _each(5, 4, 3, 2, 1))),
}  # fmt: skip

# Numbers of pixels and of scans, which only exist whole: between two severities they are rounded. The radius of the defocus
# disk is none of them: the disk holds the pixels whose centre lies within it.
_WHOLE_NUMBERS = {
    ("color_quant", "bits"),
    ("glass_blur", "max_delta"),
    ("glass_blur", "iterations"),
    ("motion_blur", "radius"),
    ("snow", "radius"),
}


def table_for(strengths: str, height: int, width: int) -> str:
    """The table that `strengths` means for images of this size."""
    if strengths == "auto":
        return next(table for table, most in SIZES.items() if max(height, width) <= most)
    if strengths not in SIZES:
        raise ValueError(f'`strengths` must be "auto" or one of {", ".join(SIZES)}, got {strengths!r}.')
    return strengths


def interpolated(name: str, severity: float, table: str) -> Strength:
    """The numbers of one corruption at a severity in [0, 5], linear between the published ones."""
    published = TABLES[name]
    rows = published.tables[table]
    at_zero = tuple(
        at_one if value is None else value for value, at_one in zip(published.at_zero, rows[0], strict=True)
    )
    lower = min(int(severity), 4)
    share = severity - lower
    low, high = (at_zero, *rows)[lower : lower + 2]
    numbers = []
    for parameter, a, b in zip(published.parameters, low, high, strict=True):
        number = _between(parameter, a, b, share)
        if isinstance(number, float) and (name, parameter) in _WHOLE_NUMBERS:
            number = math.floor(number + 0.5)
        numbers.append(number)
    return tuple(numbers)


def _between(parameter: str, a: Any, b: Any, share: float) -> Any:
    """The value that lies this share of the way from a to b; published values are returned as they are."""
    if share == 0 or a == b:
        return a
    if share == 1:
        return b
    if isinstance(a, str):  # water or mud: the nearer severity's
        return (a, b)[int(share >= 0.5)]
    if parameter == "rate":  # the variance of shot noise is 1 / rate, and at severity 0 the rate is infinite
        return 1 / ((1 - share) / a + share / b)
    return (1 - share) * a + share * b
