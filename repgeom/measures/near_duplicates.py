"""Which rows nearly repeat an earlier one?"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, unit_rows
from repgeom.data.kinds import Features
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import real_number
from repgeom.data.settings import own_settings
from repgeom.measures.drawn_rows import MOST_ROWS, drawn_rows
from repgeom.measures.measure import CLOUD, Measure, register
from repgeom.measures.nearest_distances import nearest_distances

__all__ = ["near_duplicates"]

# The fourth nearest says how far neighbours lie: the first few may be copies themselves. The eighth says how fast they grow.
_FOURTH, _EIGHTH = 4, 8
_VALUES = 1 << 22  # differences that are held at once


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class NearDuplicates(ShownInNotebook):
    """Rows that lie nearer to an earlier row than rows of this cloud do otherwise. Without them no two left lie so near.

    Attributes:
        rows: (m,) their numbers, ascending.
        originals: (m,) for each the nearest earlier row.
        distances: (m,) to it: between unit rows for "cosine" (d²/2 is 1 − cosine), in units of the features for "euclidean".
        radius: the distance within which a row counts.
        typical: the median distance to the fourth nearest row.
        by_chance: about how many rows would count without any copy, if neighbours thin out as between the fourth and the eighth.
        n_read: rows that were searched.
    """

    rows: np.ndarray
    originals: np.ndarray
    distances: np.ndarray
    radius: float
    typical: float
    by_chance: float
    n_read: int

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"<NearDuplicates: {len(self):,} of {self.n_read:,} rows lie within {self.radius:.3g} of an earlier one "
            f"(by chance about {self.by_chance:.2g}; the fourth nearest lies at {self.typical:.3g})>"
        )


@own_settings
def near_duplicates(
    features: Features,
    *,
    threshold: float = 0.1,
    metric: str = "cosine",
    max_rows: int | None = MOST_ROWS,
    seed: int = 0,
    progress: bool = False,
) -> NearDuplicates:
    """Rows within `threshold` times the usual distance of neighbours from an earlier row, by number.

    The usual distance is the median over rows of the distance to the fourth nearest other row, so that up to three copies of every
    row do not hide each other. Copies bit for bit have distance 0 and always count. In few dimensions rows lie so near by chance: the
    answer says how many to expect. Distances are taken from differences where products would round them off.

    Args:
        features: (n_samples, n_features), at least 9 rows.
        threshold: at least 0 and below 1; 0 finds equal rows alone.
        metric: "cosine" (rows of unit length; rows of zeros are copies of each other) or "euclidean".
        max_rows: of more rows so many are drawn and searched, which finds the pairs among them alone; None searches all, in blocks:
            O(n² d) time.
        seed: of the rows that are drawn.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        `NearDuplicates`; its length is the number of rows found. Unchanged by rotation and scale.

    Raises:
        ValueError: fewer than 9 rows, a threshold out of range, another metric; else as `effective_rank`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((50, 20))
    >>> x[31] = 2 * x[4]
    >>> found = near_duplicates(x)
    >>> found.rows, found.originals
    (array([31]), array([4]))
    """
    share = real_number(threshold)
    if share is None or not 0 <= share < 1:
        raise ValueError(f"`threshold` must be a number from 0 to below 1, such as 0.1, got {threshold!r}.")
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"`metric` must be 'cosine' or 'euclidean', got {metric!r}.")
    whole = as_features(features)
    if whole.ndim > 2:
        raise ValueError(f"`features` must be one matrix (n_samples, n_features), got shape {tuple(whole.shape)}.")
    x, numbers = drawn_rows(whole, max_rows, seed)
    n = len(x)
    if n <= _EIGHTH:
        raise ValueError(f"`features` has {n} rows; what is near can be told from {_EIGHTH + 1} on.")
    largest = x.abs().max()
    x = unit_rows(x) if metric == "cosine" else x / torch.where(largest > 0, largest, 1)
    distances, near = nearest_distances(x, _EIGHTH, progress=progress)
    typical = float(np.median(distances[:, _FOURTH - 1].cpu().numpy()))
    radius = share * typical
    rows, originals, lengths = _earlier(x, distances, near, radius)
    unit = 1.0 if metric == "cosine" else float(largest)
    return NearDuplicates(
        rows=numbers[rows],
        originals=numbers[originals],
        distances=lengths * unit,
        radius=radius * unit,
        typical=typical * unit,
        by_chance=_by_chance(distances, share),
        n_read=n,
    )


def _earlier(x: Tensor, distances: Tensor, near: Tensor, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows with an earlier one within the radius, the nearest such, and how far it lies."""
    own = torch.arange(len(x), device=x.device)
    counts = (near < own[:, None]) & (distances <= radius)
    place = counts.int().argmax(1, keepdim=True)  # the first that counts is the nearest
    original, length = near.gather(1, place)[:, 0], distances.gather(1, place)[:, 0]
    found = counts.any(1)
    # A row that has only later ones among its nearest may have earlier ones behind them, as near.
    unsure = torch.nonzero(~found & (distances[:, -1] <= radius))[:, 0]
    for some in unsure.split(max(1, _VALUES // len(x))):
        to_all = torch.cdist(x[some].double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
        nearest = to_all.masked_fill(own >= some[:, None], torch.inf).min(1)
        found[some] = nearest.values <= radius
        original[some], length[some] = nearest.indices, nearest.values
    rows = torch.nonzero(found)[:, 0]
    return rows.cpu().numpy(), original[rows].cpu().numpy(), length[rows].cpu().numpy()


def _by_chance(distances: Tensor, share: float) -> float:
    """Expected rows with an earlier one within `share` of the usual distance, where neighbours grow as a power of the distance."""
    fourth, eighth = distances[:, _FOURTH - 1], distances[:, _EIGHTH - 1]
    apart = fourth > 0
    if share == 0 or not bool(apart.any()):
        return 0.0
    ratio = max(float(np.median((eighth[apart] / fourth[apart]).cpu().numpy())), 1 + 1e-12)
    dimensions = math.log(_EIGHTH / _FOURTH) / math.log(ratio)
    # Four rows lie within the usual distance; one in two of those within the radius is an earlier one.
    expected = _FOURTH * share**dimensions / 2
    return float(len(distances) * min(1.0, expected))


register(
    Measure(
        "near_duplicates", "near duplicates", CLOUD, near_duplicates, (),
        formula="rows within a tenth of the usual distance of neighbours from an earlier row",
        source="this project",
        question="Which rows nearly repeat an earlier one?",
        cannot_tell="whether a near row is a copy or a sample of a dense place: look at the rows it names",
        rows_needed="100; of more than 16,384 a sample is searched unless `max_rows=None`",
        convention="unit rows or Euclidean; the radius is a share of the median distance to the fourth nearest",
        baseline=None,
        better="lower",
        invariances=("rotation", "scale"),
        no_interval="it counts rows of these data",
    )
)  # fmt: skip
