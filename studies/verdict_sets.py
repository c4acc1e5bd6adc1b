"""What a set of the verdict's battery is, and the clouds of rows that many sets are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

Array = NDArray[Any]
Random = np.random.Generator


class Drawn(NamedTuple):
    """What `audit` is given."""

    features: Array
    labels: Array | None = None
    reference: Array | None = None


Make = Callable[[Random], Drawn]


class MissingPackage(Exception):
    """A set needs a package that is not installed."""


@dataclass(frozen=True)
class Case:
    """One set of features that somebody might audit, and what a careful engineer would say of it.

    Attributes:
        kind: its family.
        name: tells it from the others of its family.
        health: "healthy"; "mild", somebody should look at it; or "severe", it must not ship.
        make: draws it.
        why: why it counts as that.
        purpose: what the features are for.
    """

    kind: str
    name: str
    health: str
    make: Make
    why: str
    purpose: str = "transfer"

    @property
    def title(self) -> str:
        return f"{self.kind}: {self.name}"

    def draw(self, seed: int = 0) -> Drawn:
        """The same rows for the same seed, whatever else is drawn."""
        return self.make(np.random.default_rng([seed, crc32(self.title.encode())]))


def family(
    kind: str, health: str, why: str, makes: Iterable[tuple[str, Make]], purpose: str = "transfer"
) -> list[Case]:
    """Sets that count as healthy or sick for the same reason."""
    return [Case(kind, name, health, make, why, purpose) for name, make in makes]


def power_law(alpha: float, d: int) -> Array:
    """Variances i^-alpha."""
    return np.arange(1, d + 1.0) ** -alpha


def flat(rank: int, d: int) -> Array:
    """Equal variances along `rank` of d directions, none along the others."""
    return (np.arange(d) < rank) * 1.0


def turned(rows: Array, random: Random) -> Array:
    """Rotate the rows: cosine transforms between random signs mix all columns and cost n d log d."""
    for _ in range(2):
        signs = random.choice([-1.0, 1.0], rows.shape[1])
        rows = dct(rows * signs, norm="ortho", axis=1)
    return rows


def gaussian(variances: Array, n: int, random: Random) -> Array:
    """Gaussian rows with these variances along random directions."""
    return turned(random.standard_normal((n, len(variances))) * np.sqrt(variances), random)


def noisy(rows: Array, noise: float, random: Random) -> Array:
    """Add isotropic noise whose standard deviation is `noise` times that along the leading direction of the rows."""
    # The leading variance by a few power iterations; a decomposition would cost more than the audit.
    centred = rows - rows.mean(0)
    direction = random.standard_normal(rows.shape[1])
    for _ in range(10):
        direction = centred.T @ (centred @ direction)
        direction /= np.linalg.norm(direction)
    leading = (centred @ direction).std()
    return rows + noise * leading * random.standard_normal(rows.shape)


def unit(rows: Array) -> Array:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def in_cone(rows: Array, cosine: float, random: Random) -> Array:
    """Add a vector common to all rows, so that two rows have this cosine on average."""
    centred = rows - rows.mean(0)
    length = np.sqrt((centred**2).sum(1).mean() * cosine / (1 - cosine))
    direction = unit(random.standard_normal((1, rows.shape[1])))
    return centred + length * direction


def clusters(
    variances: Array, n: int, k: int, spread: float, random: Random, counts: Array | None = None
) -> tuple[Array, Array]:
    """Rows around k means, and the number of each row's mean.

    The means have the same spectrum as the rows around them, and `spread` times their standard deviation. `counts` are
    weights of the clusters.
    """
    weights = np.ones(k)
    if counts is not None:
        weights = counts
    labels = random.choice(k, n, p=weights / weights.sum())
    scale = np.sqrt(variances)
    means = spread * random.standard_normal((k, len(variances))) * scale
    rows = means[labels] + random.standard_normal((n, len(variances))) * scale
    return turned(rows, random), labels


def plain(rows: Array, labels: Array | None = None, reference: Array | None = None) -> Drawn:
    """In float32, as networks give features."""
    if reference is not None:
        reference = reference.astype(np.float32)
    return Drawn(rows.astype(np.float32), labels, reference)
