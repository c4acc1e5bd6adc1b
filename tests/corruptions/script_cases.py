"""Which images do the public scripts corrupt, and what do they draw? 1,995 cells: 21 square photographs, 19 corruptions, 5 severities; and 130 oblong ones.

The four scripts draw from NumPy's legacy generator, whose numbers never change (NEP 19), so a seed stands for the draws.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.datasets import load_sample_image

from repgeom import corruptions

Array = np.ndarray
Draws = dict[str, Array]

WINDOW = 16  # side of the part of each result that is stored


class Script(NamedTuple):
    """A run of one of the four scripts: its file, its strengths, the shape of its images and how many photographs it is given."""

    file: str
    table: str
    shape: tuple[int, int]
    n_photographs: int


SCRIPTS = {
    "cifar": Script("make_cifar_c.py", "cifar", (32, 32), 8),
    "tiny": Script("make_tinyimagenet_c.py", "tiny", (64, 64), 8),
    "imagenet": Script("make_imagenet_c.py", "imagenet", (224, 224), 4),
    "inception": Script("make_imagenet_c_inception.py", "inception", (299, 299), 1),
    "oblong": Script("make_cifar_c.py", "cifar", (40, 56), 2),
}
# These assume square images. The others are also run on oblong ones.
SQUARE_ONLY = {"glass_blur", "zoom_blur", "snow", "frost", "fog", "pixelate"}
# Pixels of a photograph that are averaged to one of an image, in turn: small images that show much or little.
_FACTORS = {"cifar": (4, 8, 2, 12), "tiny": (4, 2, 6, 1), "imagenet": (1,), "inception": (1,), "oblong": (6, 3)}


def names(run: str) -> list[str]:
    """The corruptions that this run of a script can make."""
    return [name for name in corruptions.names() if run != "oblong" or name not in SQUARE_ONLY]


@functools.cache
def photo(number: int) -> Array:
    """One of scikit-learn's two photographs, (427, 640, 3)."""
    return load_sample_image(("china.jpg", "flower.jpg")[number % 2])


@functools.cache
def photographs(run: str) -> Array:
    """Parts of scikit-learn's two photographs, (n, h, w, 3) uint8; an eighth is grey."""
    _, _, (h, w), count = SCRIPTS[run]
    images = []
    for i in range(count):
        factor = _FACTORS[run][i % len(_FACTORS[run])]
        whole = photo(i)
        room = np.array(whole.shape[:2]) - (h * factor, w * factor)
        top, left = room * (3 * i + 2) // 24  # whole numbers, so that no library's rounding comes in
        part = whole[top : top + h * factor, left : left + w * factor].astype(int)
        blocks = part.reshape(h, factor, w, factor, 3).sum((1, 3))
        images.append(((blocks + factor**2 // 2) // factor**2).astype(np.uint8))
    if count == 8:
        images[7] = np.repeat(images[7][..., 1:2], 3, axis=2)
    return np.stack(images)


@functools.cache
def frost_photographs() -> list[Array]:
    """Six stand-ins (h, w, 3) uint8 for the photographs of frost, whose scaled sizes are not whole."""
    sizes = ((427, 640), (350, 527), (401, 333), (314, 613), (323, 485), (427, 427))
    return [np.ascontiguousarray(photo(i)[-h:, -w:]) for i, (h, w) in enumerate(sizes)]


def window(name: str, run: str, severity: int, photograph: int) -> tuple[slice, slice]:
    """Which part of a result is stored: corners, sides and the middle in turn, at each position about as often."""
    h, w = SCRIPTS[run].shape
    down, right = h - WINDOW, w - WINDOW
    places = ((0, 0), (down, right), (down // 2, right // 3), (0, right), (down, 0), (down // 3, 0), (down, right // 2))
    position = list(corruptions.names()).index(name) + 3 * severity + photograph
    top, left = places[position % len(places)]
    return slice(top, top + WINDOW), slice(left, left + WINDOW)


def seed(name: str, run: str, severity: int, photograph: int) -> int:
    """Of the random numbers of one cell."""
    place = list(SCRIPTS).index(run), list(corruptions.names()).index(name), severity, photograph
    return int(np.ravel_multi_index(place, (len(SCRIPTS), 19, 6, 8)))


def draws(name: str, run: str, severity: int, photograph: int, image: Array) -> Draws:
    """What the script draws for an (h, w, 3) uint8 image, in its order, in the form that `corruptions.apply` takes."""
    table = SCRIPTS[run].table
    scale = corruptions.strength("frost", severity, table)["asset_scale"]
    frost_sizes = [[round(n * scale) for n in photo.shape[:2]] for photo in frost_photographs()]
    return drawn(name, table, severity, seed(name, run, severity, photograph), image, frost_sizes)


def drawn(name: str, table: str, severity: int, seed: int, image: Array, frost_sizes: list[list[int]]) -> Draws:
    """What is drawn after `np.random.seed(seed)`, with photographs of frost of these sizes."""
    random = np.random.RandomState(seed)
    numbers = corruptions.strength(name, severity, table)
    height, width = image.shape[:2]
    if name in ("gaussian_noise", "speckle_noise"):
        return {"normal": channels_first(random.normal(size=image.shape))}
    if name == "shot_noise":
        return {"uniform": channels_first(poisson_probability(random, image / 255 * numbers["rate"]))}
    if name == "impulse_noise":
        generator = np.random.default_rng(seed)  # scikit-image's own
        return {key: channels_first(generator.random(image.shape)) for key in ("replace", "white")}
    if name == "glass_blur":
        return glass_offsets(random, height, width, numbers["max_delta"], numbers["iterations"])
    if name == "motion_blur":
        return {"angle": np.array(random.uniform(-45, 45))}
    if name == "snow":
        return {"normal": random.normal(size=(height, width)), "angle": np.array(random.uniform(-135, -45))}
    if name == "frost":
        return frost_place(random, height, width, frost_sizes)
    if name == "fog":
        levels = math.ceil(math.log2(max(height, width)))
        return {f"level_{k}": random.uniform(-1, 1, size=(3, 2**k, 2**k)) for k in range(levels)}
    if name == "elastic_transform":
        points = random.uniform(-1, 1, size=(3, 2))
        return {"points": points} | {key: random.uniform(-1, 1, size=(height, width)) for key in ("dx", "dy")}
    if name == "spatter":
        return {"normal": random.normal(size=(height, width))}
    return {}


def channels_first(draw: Array) -> Array:
    return np.moveaxis(draw, -1, 0)


def poisson_probability(random: np.random.RandomState, mean: Array) -> Array:
    """Probabilities in the middle of the step of the distribution function that gives the script's own counts."""
    counts = random.poisson(mean)
    up_to, step = stats.poisson.cdf(counts, mean), stats.poisson.pmf(counts, mean)
    return (up_to - step / 2) * (mean > 0)


def glass_offsets(random: np.random.RandomState, height: int, width: int, max_delta: int, iterations: int) -> Draws:
    """A pair (across, down) for each pixel of the scan, from the last to the first."""
    offsets = np.zeros((2, iterations, height, width), dtype=np.int64)
    rows, columns = np.arange(height - max_delta, max_delta, -1), np.arange(width - max_delta, max_delta, -1)
    for i in range(iterations):
        drawn = random.randint(-max_delta, max_delta, size=(len(rows), len(columns), 2))
        offsets[:, i, rows[:, None], columns[None, :]] = np.moveaxis(drawn, -1, 0)
    return {"offset_x": offsets[0], "offset_y": offsets[1]}


def frost_place(random: np.random.RandomState, height: int, width: int, sizes: list[list[int]]) -> Draws:
    """One of the first five photographs, and the upper left corner of the part that is laid over the image."""
    index = random.randint(5)
    rows, columns = sizes[index]
    top, left = random.randint(0, rows - height), random.randint(0, columns - width)
    return {"image": np.array(index), "top": np.array(top), "left": np.array(left)}
