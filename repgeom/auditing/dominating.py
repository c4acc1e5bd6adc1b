"""A few columns or rows that hold most of the variance: which, how much, and what is left without them.

Healthy transformers have both: "rogue dimensions" (Timkey & van Schijndel 2021) and rows of massive activations (Sun et al.
2024). What they hide is the rank of all the rest.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from repgeom.data.sources import source_of
from repgeom.inference.population import EVEN, Population, population
from repgeom.inference.row_weights import FEWEST_ROWS
from repgeom.inference.sample import Sample
from repgeom.measures.functionals import Array
from repgeom.measures.measure import functional
from repgeom.spectral.directions import Directions, directions_of

FEWEST_SHARE = 0.2  # of the variance, from which a few columns or rows dominate
_COLUMN_RATIO = 25.0  # of a column's variance to the median column's: five times its spread
_GAP = 3.0  # of the last column's variance that dominates to the next one's
_ROW_RATIO = 50.0  # of a row's squared distance from the mean to the median row's: seven times its distance
_MOST_COLUMNS = 0.02  # share of columns that are still a few: more are what the features consist of
_MOST_ROWS = 0.03  # share of rows that are still a few


@dataclasses.dataclass(frozen=True)
class Dominating:
    """Columns or rows that dominate.

    Attributes:
        what: "columns" or "rows".
        numbers: which, the largest first.
        share: of the variance that they hold.
        behind: the population of everything else.
        n_features: the columns that are left.
    """

    what: str
    numbers: tuple[int, ...]
    share: float
    behind: Population
    n_features: int

    @property
    def named(self) -> str:
        """The first five by number."""
        some = ", ".join(f"{number:,}" for number in self.numbers[:5])
        if len(self.numbers) > 5:
            some += f" and {len(self.numbers) - 5} more"
        what = self.what if len(self.numbers) > 1 else self.what.removesuffix("s")
        return f"{what} {some}"

    @property
    def effective_ranks(self) -> tuple[float, float]:
        """The effective ranks of everything else, by variance and by spread."""
        by_variance, by_spread = (
            math.exp(functional(measure).log(self.behind.variances, self.behind.counts))
            for measure in ("effective_rank", "effective_rank_sigma")
        )
        return by_variance, by_spread

    @property
    def note(self) -> str:
        """What a reader must know of them."""
        hold, them = ("holds", "it") if len(self.numbers) == 1 else ("hold", "them")
        return (
            f"{self.named.capitalize()} {hold} {self.share:.0%} of the variance; without {them}, about "
            f"{self.effective_ranks[0]:.4g} of {self.n_features:,} dimensions are in use."
        )


def dominating_of(
    sample: Sample, rows: Tensor, places: np.ndarray, longest: tuple[int, float]
) -> tuple[Dominating, ...]:
    """Columns and rows that dominate.

    `rows` (k, d) are those scored, `places` (k,) their numbers, and `longest` the number and the norm of the longest row of all,
    which need not be among them.
    """
    found = [_columns(sample), _rows(sample, rows, places, longest)]
    return tuple(one for one in found if one is not None)


def _columns(sample: Sample) -> Dominating | None:
    directions = sample.directions
    spreads = directions.feature_variances
    live = spreads > 0
    if live.sum() < 8 or len(spreads) * _MOST_COLUMNS < 1:
        return None
    ordered = np.argsort(-spreads, kind="stable")
    few = ordered[: int(_MOST_COLUMNS * len(spreads)) + 1]
    # Columns that stand out end where the next one is much smaller.
    gaps = spreads[few[:-1]] > _GAP * spreads[few[1:]]
    large = few[: max(np.flatnonzero(gaps) + 1, default=0)]
    large = large[spreads[large] > _COLUMN_RATIO * np.median(spreads[live])]
    share = float(spreads[large].sum() / spreads.sum())
    if not len(large) or share < FEWEST_SHARE:
        return None
    left = torch.from_numpy(np.setdiff1d(np.arange(len(spreads)), large))
    variances = torch.as_tensor(sample.variances)
    kept = directions.vectors[left.to(directions.vectors.device), : directions.moving].double().cpu()
    values = torch.linalg.eigvalsh((kept * variances) @ kept.mT).flip(0).clamp(min=0).numpy()
    values = values[: min(directions.freedom, len(left))]
    # What is left of rounding of the large columns.
    values = values[values > 1e-12 * float(variances[0])]
    if not len(values):
        return None
    weights = sample.weights
    behind = population(np.ascontiguousarray(values), len(left), directions.freedom, weights)
    return Dominating("columns", tuple(int(i) for i in large), share, behind, len(left))


def _rows(sample: Sample, rows: Tensor, places: np.ndarray, longest: tuple[int, float]) -> Dominating | None:
    squares = sample.scores.squares
    large = np.flatnonzero(squares > _ROW_RATIO * np.median(squares))
    kept = np.setdiff1d(np.arange(len(squares)), large)
    if len(large) > max(1, _MOST_ROWS * len(squares)) or len(kept) < FEWEST_ROWS:
        return None
    numbers = places[large[np.argsort(-squares[large], kind="stable")]]
    share = float(squares[large].sum() / squares.sum())
    if longest[0] not in places:
        # The mean square of the rows scored, in the units of the directions.
        scale = float(sample.directions.centred(rows).double().square().sum(1).mean())
        if _distance(sample.directions, longest[1]) > _ROW_RATIO * float(np.median(squares)) * scale:
            numbers = np.append(longest[0], numbers)
            # Of all the variance, what as many rows like those kept would not explain.
            total = sample.directions.freedom * float(sample.directions.variances.sum())
            share = 1 - sample.n * scale * float(squares[kept].mean()) / total
    if not len(numbers) or share < FEWEST_SHARE:
        return None
    directions = _directions(rows[torch.from_numpy(kept).to(rows.device)], sample.directions)
    if directions is None:
        return None
    values: Array = directions.variances[: directions.moving]
    behind = population(values, sample.n_features, directions.freedom, EVEN)
    return Dominating("rows", tuple(int(number) for number in numbers), share, behind, sample.n_features)


def _distance(directions: Directions, norm: float) -> float:
    """The least squared distance from the mean that a row of this norm can have, in the units of the directions."""
    if directions.spectrum.normalize:
        # Rows of unit length cannot dominate by their length.
        return 0.0
    mean = float((directions.mean / directions.unit).square().sum()) ** 0.5
    return max(0.0, norm / directions.unit - mean) ** 2


def _directions(rows: Tensor, like: Directions) -> Directions | None:
    """Directions of these rows, taken as those of the sample; None where they do not vary."""
    if float((rows - rows[:1]).abs().max()) == 0:
        return None
    spectrum = like.spectrum
    return directions_of(source_of(rows, "rows"), center=spectrum.centered, normalize=spectrum.normalize, tail=True)
