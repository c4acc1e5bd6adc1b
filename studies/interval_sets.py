"""Rows that studies of intervals draw: the populations that the intervals were made with, and others chosen afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional as F

from studies.real_images import available, network_features, photo_patches, pretrained
from studies.real_populations import narrowing

Array = NDArray[np.float64]
Random = np.random.Generator
CROPS = 3000


@cache
def digits() -> tuple[Array, NDArray[np.int64]]:
    """scikit-learn's digits and their labels."""
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    return np.asarray(rows), np.asarray(labels)


@cache
def crops() -> tuple[Array, Array, NDArray[np.int64]]:
    """What a network makes of crops of two photographs and of the same crops blurred, and which quarter each is by its brightness.

    Features are those of `studies.real_images`: block 11 of efficientnet-lite0, 112 wide.
    """
    patches = photo_patches(CROPS)
    blurred = F.avg_pool2d(patches, 7, 1, 3, count_include_pad=False)
    sharp, soft = (network_features(pictures, pretrained())["block 11"] for pictures in (patches, blurred))
    brightness = patches.mean((1, 2, 3)).numpy()
    quarters = np.searchsorted(np.quantile(brightness, [0.25, 0.5, 0.75]), brightness)
    return sharp.astype(float), soft.astype(float), quarters


def _n_to_draw_from(name: str) -> float:
    """How many rows the set has; infinitely many for a law."""
    if "digits" in name:
        return len(digits()[0])
    return CROPS if "crops" in name else np.inf


def at_hand(sets: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Those whose network is installed."""
    return {name: draw for name, draw in sets.items() if available() or "crops" not in name}


@dataclass(frozen=True)
class Held:
    """What draws of one population say of an interval.

    Attributes:
        mean: of the values.
        covers: the share of intervals that hold it, of those given.
        width: half an interval over 1.96, over the standard deviation of the values.
        given: the share of draws that have an interval.
    """

    mean: float
    covers: float
    width: float
    given: float


def held(name: str, n: int, draws: list[tuple[float, float | None, float | None]]) -> Held:
    """From (value, low, high) of draws of n rows. Draws of a finite set spread less, so intervals are narrowed as much."""
    values, low, high = np.array(draws, float).T
    given = ~np.isnan(low)
    if not given.any():
        return Held(values.mean(), np.nan, np.nan, 0.0)
    factor = narrowing(_n_to_draw_from(name), n)
    low, high = (values + factor * (end - values) for end in (low, high))
    covers = ((low <= values.mean()) & (values.mean() <= high))[given].mean()
    width = (high - low)[given].mean() / (2 * 1.96) / max(values.std(ddof=1), 1e-300)
    return Held(values.mean(), covers, width, given.mean())


def _some(n_rows: int, n: int, random: Random) -> NDArray[np.int64]:
    return random.choice(n_rows, n, replace=False)


# Clouds (n, d).


def torus(n: int, random: Random) -> Array:
    turns = random.uniform(size=(n, 5)) * 2 * np.pi
    return np.c_[np.cos(turns), np.sin(turns)]


def gaussian(n: int, random: Random) -> Array:
    return random.standard_normal((n, 10)) @ np.random.default_rng(7).standard_normal((10, 64))


def two_kinds(n: int, random: Random) -> Array:
    """Half of the rows on a plane, half in twenty dimensions."""
    plane = random.random(n) < 0.5
    x = random.standard_normal((n, 20)) + 5
    x[plane] = 0
    x[plane, :2] = random.uniform(size=(int(plane.sum()), 2))
    return x


def spectrum(n: int, random: Random) -> Array:
    return random.standard_normal((n, 30)) * np.arange(1, 31) ** -1.0


def rolled_sheet(n: int, random: Random) -> Array:
    """A sheet rolled up in three dimensions, and a little noise in ten."""
    turn, across = 3 * np.pi * random.uniform(0.5, 1.5, n), 20 * random.uniform(size=n)
    x = 0.1 * random.standard_normal((n, 10))
    x[:, :3] += np.c_[turn * np.cos(turn), across, turn * np.sin(turn)]
    return x


def heavy_cloud(n: int, random: Random) -> Array:
    """Student's t with 5 degrees of freedom in eight dimensions."""
    return random.standard_normal((n, 8)) / np.sqrt(random.chisquare(5, (n, 1)) / 5)


def dense_middle(n: int, random: Random) -> Array:
    """A cube of six dimensions whose density rises towards a corner."""
    return random.uniform(size=(n, 6)) ** 3


CLOUDS: dict[str, Callable[[int, Random], Array]] = {
    "flat torus of 5": torus,
    "Gaussian of 10 in 64": gaussian,
    "a plane and 20 dimensions": two_kinds,
    "variances i^-2 of 30": spectrum,
    "digits (real)": lambda n, random: digits()[0][_some(1797, n, random)],
}
LATER_CLOUDS: dict[str, Callable[[int, Random], Array]] = {
    "a rolled sheet with noise": rolled_sheet,
    "t with 5 degrees in 8": heavy_cloud,
    "a cube of 6, dense in a corner": dense_middle,
    "crops of photographs (real)": lambda n, random: crops()[0][_some(CROPS, n, random)],
}


# Pairs of clouds (n, d) of one width, row i of both one sample.


def clusters(n: int, random: Random) -> tuple[Array, Array]:
    centres = np.random.default_rng(1).standard_normal((8, 16))[random.integers(8, size=n)]
    x = centres + 0.5 * random.standard_normal((n, 16))
    return x + 0.2, np.tanh(centres) + 0.5 * random.standard_normal((n, 16))


def shared(n: int, random: Random) -> tuple[Array, Array]:
    z = random.standard_normal((n, 32)) * np.arange(1, 33) ** -0.5
    return z + 0.5 * random.standard_normal((n, 32)) + 0.05, z + 0.5 * random.standard_normal((n, 32))


def unrelated(n: int, random: Random) -> tuple[Array, Array]:
    return random.standard_normal((n, 24)), random.standard_normal((n, 24))


def halves_of_digits(n: int, random: Random) -> tuple[Array, Array]:
    rows = digits()[0][_some(1797, n, random)]
    return rows[:, :32] - 8, rows[:, :31:-1] - 8


def far_apart(n: int, random: Random) -> tuple[Array, Array]:
    """A gap of two standard deviations across variances that fall, and partners that are close."""
    z = random.standard_normal((n, 20)) * np.arange(1, 21) ** -0.75
    x, y = (z + 0.1 * random.standard_normal((n, 20)) for _ in range(2))
    return x + 2 * np.eye(20)[3], y


def heavy_pairs(n: int, random: Random, degrees: float = 5) -> tuple[Array, Array]:
    """A shared part with Student's t, and a small gap along every feature."""
    z = random.standard_normal((n, 12)) / np.sqrt(random.chisquare(degrees, (n, 1)) / degrees)
    return z + 0.7 * random.standard_normal((n, 12)) + 0.15, z + 0.7 * random.standard_normal((n, 12))


def few_directions(n: int, random: Random) -> tuple[Array, Array]:
    """Three directions in common among 48, bent in one of the two."""
    z = 3 * random.standard_normal((n, 3)) @ np.random.default_rng(2).standard_normal((3, 48)) / 48**0.5
    return z + random.standard_normal((n, 48)), z * np.abs(z) + random.standard_normal((n, 48)) + 0.1


def blurred_crops(n: int, random: Random) -> tuple[Array, Array]:
    some = _some(CROPS, n, random)
    return crops()[0][some], crops()[1][some]


PAIRS: dict[str, Callable[[int, Random], tuple[Array, Array]]] = {
    "8 clusters": clusters,
    "a shared part": shared,
    "unrelated": unrelated,
    "halves of digits (real)": halves_of_digits,
}
LATER_PAIRS: dict[str, Callable[[int, Random], tuple[Array, Array]]] = {
    "two standard deviations apart": far_apart,
    "t with 5 degrees": heavy_pairs,
    "three directions of 48": few_directions,
    "crops and blurred crops (real)": blurred_crops,
}


def nearly_equal(n: int, random: Random) -> tuple[Array, Array]:
    z = random.standard_normal((n, 24)) * np.arange(1, 25) ** -0.5
    x, y = (z + 0.1 * random.standard_normal((n, 24)) for _ in range(2))
    return x + 0.3 * np.eye(24)[0], y


def uneven_lengths(n: int, random: Random) -> tuple[Array, Array]:
    """Rows whose lengths have a log-normal law, alike in both."""
    z = random.standard_normal((n, 20)) * random.lognormal(0, 0.4, (n, 1))
    return z + 0.5 * random.standard_normal((n, 20)) + 0.1, z + 0.5 * random.standard_normal((n, 20))


def step_of_one(n: int, random: Random) -> tuple[Array, Array]:
    """A gap of one and a half standard deviations, and nothing else in common."""
    return random.standard_normal((n, 10)) + 1.5 * np.eye(10)[0], random.standard_normal((n, 10))


def moved_digits(n: int, random: Random) -> tuple[Array, Array]:
    """Digits, and the same moved by one pixel to the right."""
    rows = digits()[0][_some(1797, n, random)]
    pictures = np.pad(rows.reshape(n, 8, 8), [(0, 0), (0, 0), (1, 0)])[:, :, :8]
    return rows, pictures.reshape(n, 64)


LAST_PAIRS: dict[str, Callable[[int, Random], tuple[Array, Array]]] = {
    "nearly equal": nearly_equal,
    "lengths that vary": uneven_lengths,
    "one and a half deviations apart": step_of_one,
    "digits and moved digits (real)": moved_digits,
}
# Rows whose squared lengths have no variance, which no rule sees in every sample.
HEAVIEST_PAIRS: dict[str, Callable[[int, Random], tuple[Array, Array]]] = {
    "t with 2.5 degrees": lambda n, random: heavy_pairs(n, random, 2.5),
}


# Rows (n, d) and their classes.


def _classes(random: Random, n: int, d: int) -> tuple[Array, NDArray[np.int64]]:
    labels = random.integers(0, 4, n)
    return 1.5 * np.eye(4, d)[labels], labels


def isotropic(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    centres, labels = _classes(random, n, 16)
    return centres + random.standard_normal((n, 16)), labels


def steep(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    centres, labels = _classes(random, n, 32)
    return centres + random.standard_normal((n, 32)) * np.arange(1, 33) ** -0.5, labels


def heavy(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    centres, labels = _classes(random, n, 16)
    lengths = np.sqrt(random.chisquare(5, (n, 1)) / 5)
    return centres + random.standard_normal((n, 16)) / lengths, labels


def large_columns(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    rows, labels = isotropic(n, random)
    rows[:, ::5] *= 10
    return rows, labels


def some_digits(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    chosen = _some(1797, n, random)
    return digits()[0][chosen], digits()[1][chosen]


def rare_class(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    """Three classes, of 70, 25 and 5 % of the rows, about lines that bend."""
    labels = random.choice(3, n, p=[0.7, 0.25, 0.05])
    along = random.standard_normal(n)
    centres = np.c_[along, along**2, 2.0 * labels] @ np.random.default_rng(3).standard_normal((3, 10))
    return centres + random.standard_normal((n, 10)), labels


def corners(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    """Sixteen classes about the corners of a cube of four dimensions, rarely mistaken, and twenty columns of noise."""
    labels = random.integers(0, 16, n)
    signs = 2.0 * ((labels[:, None] >> np.arange(4)) % 2) - 1
    return np.c_[2.5 * signs, np.zeros((n, 20))] + 0.8 * random.standard_normal((n, 24)), labels


def brightness_of_crops(n: int, random: Random) -> tuple[Array, NDArray[np.int64]]:
    some = _some(CROPS, n, random)
    return crops()[0][some], crops()[2][some]


LABELLED: dict[str, Callable[[int, Random], tuple[Array, NDArray[np.int64]]]] = {
    "classes, isotropic": isotropic,
    "classes, i^-1 variances": steep,
    "classes, t with 5 degrees": heavy,
    "classes, four columns × 10": large_columns,
    "digits (real)": some_digits,
}
LATER_LABELLED: dict[str, Callable[[int, Random], tuple[Array, NDArray[np.int64]]]] = {
    "a rare class on bent lines": rare_class,
    "16 corners of a cube": corners,
    "crops of photographs (real)": brightness_of_crops,
}
