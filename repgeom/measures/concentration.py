"""Are all rows about equally far from each other, so that near and far mean little?"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from repgeom.data.arrays import as_features, pair_blocks, unit_rows
from repgeom.data.kinds import Features
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.settings import own_settings
from repgeom.measures.drawn_rows import drawn_rows
from repgeom.measures.measure import CLOUD, Measure, register
from repgeom.measures.nearest_distances import nearest_distances
from repgeom.measures.nearest_rows import refuse_one_direction

__all__ = ["distance_concentration"]

_ISOTROPIC_ROWS = 8_192  # over which isotropic draws are averaged where n is smaller


@own_settings
@dataclasses.dataclass(frozen=True)
class Concentration(ShownInNotebook):
    """How much distances between rows differ, beside isotropic Gaussian rows of the same n and d.

    Attributes:
        variation: standard deviation over mean of the distances of all pairs. About 1/√(2 d) for isotropic rows.
        contrast: mean distance of all pairs over the mean distance to the nearest row; near 1, the nearest is no nearer than any.
            Infinite where every row has a copy.
        isotropic_variation, isotropic_contrast: the same of isotropic rows.
        n_read: rows that were read.
    """

    variation: float
    contrast: float
    isotropic_variation: float
    isotropic_contrast: float
    n_read: int


@own_settings
def distance_concentration(
    features: Features,
    *,
    metric: str = "euclidean",
    max_rows: int | None = 4_096,
    seed: int = 0,
    progress: bool = False,
) -> Concentration:
    """Do distances still tell near from far? Their variation, and the relative contrast of He, Kumar & Chang (2012).

    Distances concentrate as dimensions in use grow (Beyer et al. 1999): variation falls as 1/√(2 d) for isotropic rows, and contrast to 1.
    No interval: pairs share rows, and the nearest comes nearer as rows are added. No gradient: the nearest row changes in jumps.

    Args:
        features: (n_samples, n_features), at least 3 rows.
        metric: "euclidean", or "cosine" for distances of unit rows.
        max_rows: of more rows so many are drawn; None reads all, in blocks: O(n² d) time.
        seed: of the rows that are drawn, and of the isotropic ones.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        `Concentration`. Unchanged by rotation and scale; by "euclidean" also by translation.

    Raises:
        ValueError: fewer than 3 rows, all rows equal, another metric; else as `effective_rank`.

    Three corners of a triangle with sides 3, 4 and 5 lie 4 apart on average, and (3 + 3 + 4) / 3 from the nearest:

    >>> round(distance_concentration([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]).contrast, 6)
    1.2
    """
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"`metric` must be 'euclidean' or 'cosine', got {metric!r}.")
    whole = as_features(features, min_rows=3)
    if whole.ndim > 2:
        raise ValueError(f"`features` must be one matrix (n_samples, n_features), got shape {tuple(whole.shape)}.")
    x, _ = drawn_rows(whole, max_rows, seed)
    if len(x) < 3:
        raise ValueError(f"`max_rows={max_rows}` leaves {len(x)} rows; distances differ from 3 on.")
    largest = x.abs().max()
    x = unit_rows(x) if metric == "cosine" else x / torch.where(largest > 0, largest, 1)
    if metric == "cosine":
        refuse_one_direction(x, "features")
    if bool((x == x[:1]).all()):
        raise ValueError("all rows of `features` are equal, so no distance tells them apart.")
    random = torch.Generator().manual_seed(int(seed) % (1 << 63))
    draws = []
    for _ in range(max(1, min(16, _ISOTROPIC_ROWS // len(x)))):
        drawn = torch.randn(x.shape, generator=random, dtype=x.dtype, device="cpu").to(x.device)
        draws.append(_read(unit_rows(drawn) if metric == "cosine" else drawn, progress))
    variations, contrasts = zip(*draws, strict=True)
    variation, contrast = _read(x, progress)
    return Concentration(variation, contrast, sum(variations) / len(draws), sum(contrasts) / len(draws), len(x))


def _read(x: Tensor, progress: bool) -> tuple[float, float]:
    """Variation and contrast of the distances between rows."""
    n = len(x)
    nearest = float(nearest_distances(x, 1, progress=progress)[0].mean())
    rows = x - x.mean(0)
    squares = rows.square().sum(1)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for start, block in pair_blocks(rows):
        # A pair is met twice, and a row with itself at distance 0 to rounding.
        squared = squares[start : start + len(block), None] + squares - 2 * (block @ rows.mT)
        squared[torch.arange(len(block)), torch.arange(start, start + len(block))] = 0
        total += squared.clamp(min=0).sqrt().sum(dtype=torch.float64)
    mean = float(total) / (n * (n - 1))
    # Squared distances add up to 2 n times the squares about the mean.
    of_squares = 2 * float(squares.sum(dtype=torch.float64)) / (n - 1)
    variation = math.sqrt(max(0.0, of_squares - mean**2)) / mean
    return variation, mean / nearest if nearest > 0 else math.inf


register(
    Measure(
        "distance_concentration", "distance concentration", CLOUD, distance_concentration, (),
        formula="std / mean of distances of all pairs; mean distance / mean nearest distance",
        source="Beyer et al. 1999; He, Kumar & Chang 2012",
        question="Do distances still tell near from far?",
        cannot_tell="whether the nearest row is a relevant one",
        rows_needed="500; the contrast grows with n, so it stands beside isotropic rows of the same n",
        convention="pairs of different rows; of more than 4,096 rows a sample",
        baseline=None,
        better="higher",
        invariances=("rotation", "translation", "scale", "order"),
        no_interval="pairs share rows, and the nearest comes nearer as rows are added",
    )
)  # fmt: skip
