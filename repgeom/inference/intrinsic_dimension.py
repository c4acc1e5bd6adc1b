"""How many dimensions do rows fill near each row? Value, interval, and the scale that it was read at.

The interval: twenty times the rows are split into two random halves, in each of which neighbours are those of the half. The
difference of the logarithms of both dimensions has four times the variance of the whole's. The textbook's χ² takes the ratios
of distances for independent, although rows share neighbours, and covers 86 to 89 %.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from repgeom.data.arrays import as_features, shape_of
from repgeom.data.kinds import Features, Groups
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import whole_number
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.inference.copies import first_of_copies
from repgeom.inference.halves import SPLITS, halves, in_own_half, listed_for_halves
from repgeom.inference.intervals import check_confidence, quantile
from repgeom.measures.drawn_rows import drawn_rows
from repgeom.measures.intrinsic import METHODS, Estimator, is_a_dimension, scale_of
from repgeom.measures.measure import DIMENSIONS, Measure, register
from repgeom.measures.nearest_distances import nearest_distances
from repgeom.measures.nearest_rows import check_neighbours, group_codes, most_neighbours, rows_of_few_groups

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 8192  # that are read by default: all pairs of them take two seconds, and know the value to 2 %
# Beyond this a value says little but "many": 50 dimensions of a cube read 31, 512 of a Gaussian 129.
FAR_TOO_LOW = 20.0
_TIED_BY_CHANCE = 0.01  # of rows whose two nearest lie equally far; of values that are not rounded none do


@own_settings
@dataclasses.dataclass(frozen=True)
class IntrinsicDimension(ShownInNotebook):
    """What `intrinsic_dimension` returns.

    Attributes:
        method: as asked for.
        value: dimensions.
        low, high: two-sided interval of what as many rows read on average; None where none is known to hold.
        se: standard error of `value`, whose logarithm the interval is symmetric in; None with the interval.
        k: the `k` that was asked for.
        scale: mean distance to the farthest neighbour that is looked at, in the features' unit.
        n_used: rows that were read, each different from the others.
        n_duplicates: rows left out of those drawn, because they repeat one that was read, exactly or nearly.
        n_samples: rows of the features.
        warnings: what a reader must know.
    """

    method: str
    value: float
    low: float | None
    high: float | None
    se: float | None
    k: int
    scale: float
    n_used: int
    n_duplicates: int
    n_samples: int
    warnings: tuple[str, ...] = ()


@own_settings
def intrinsic_dimension(
    features: Features,
    *,
    method: str = "twonn",
    k: int | None = None,
    groups: Groups = None,
    max_rows: int | None = MOST_ROWS,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> IntrinsicDimension:
    """Dimensions that rows fill near each row: of the surface they lie on, however it bends in the space around it.

    "twonn" (Facco et al. 2017): with μ = r₂ / r₁ the ratio of a row's distances to its two nearest, (n − 1) / Σ ln μ, by maximum
    likelihood. "twonn_regression": the slope through 0 of −ln(1 − i / n) on ln μ of the i-th smallest μ, without
    the largest tenth, as they publish it (others take (i − 1) / n). "mle" (Levina & Bickel 2004): n (k − 1) / Σ_i Σ_{j<k} ln(r_k / r_j), inverses
    averaged over rows as MacKay and Ghahramani (2005) correct it. "gride" (Denti et al. 2022): maximum likelihood of
    r_2k / r_k; k = 1 is "twonn" but for (n − 1) / n.

    Rows that repeat, exactly or nearly (a text encoded twice), are read once: their distance says nothing of dimensions. Of values
    that are rounded many distances tie, which reads as many dimensions; above the number of columns a warning says so. The
    value belongs to a scale, which fewer rows make larger: see `intrinsic_dimension_curve`. The interval is of chance in
    drawing rows alone: at 95 % TwoNN's holds 92 to 98 %, those of MLE and Gride up to 99 % where rows lie in clusters. Where
    dimensions are many every method reads far too low (of 50 about 31, of 512 about 129).

    Args:
        features: (n_samples, n_features), any array kind; on their device.
        method: "twonn", "twonn_regression", "mle" or "gride".
        k: neighbours of "mle" (20 by default, at least 2) and "gride" (2 by default); the others look at two.
        groups: (n_samples,), whole numbers or text, where rows depend on each other (frames of a video): a row's neighbours are
            then of other groups.
        max_rows: so many rows are drawn with `seed` and read; None reads all pairs of all rows, in blocks.
        seed: of rows that are drawn, and of the halves behind the interval.
        confidence: of the interval, in (0, 1).
        progress: show a bar on standard error where that is a terminal.

    Returns:
        An `IntrinsicDimension`. Unchanged by rotation, translation and scale. No gradient: neighbours change in jumps. There is
        no interval below 50 different rows (groups), above the number of columns, or below 4 times as many as neighbours.

    Raises:
        ValueError: another method, a k that rows do not have neighbours for, rows of which fewer than three differ, neighbours
            that all lie equally far; else as `effective_rank`.

    The nearest two of 0, 1, 3 and 7 lie 1 and 3, 1 and 2, 2 and 3, 4 and 6 away, so the ratios are 3, 2, 3/2 and 3/2:

    >>> found = intrinsic_dimension([[0.0], [1.0], [3.0], [7.0]])
    >>> round(found.value * math.log(3 * 2 * 3 / 2 * 3 / 2), 6)
    3.0
    """
    check_confidence(confidence)
    rows = _Rows(features, groups, max_rows, seed)
    checked = _checked_k(method, k)
    rows.refuse_beyond(method, [checked], "k")
    return rows.read(method, checked, confidence, progress)


@own_settings
def intrinsic_dimension_curve(
    features: Features,
    *,
    scales: Sequence[int] | None = None,
    groups: Groups = None,
    max_rows: int | None = MOST_ROWS,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool = False,
) -> pd.DataFrame:
    """Intrinsic dimension over scales by "gride": from the nearest rows, where noise counts, to far ones, where bends do.

    Flat where the cloud has one dimension at all scales. It falls towards large scales where the cloud ends or where dimensions
    are many, and rises towards small ones where noise fills more dimensions than what it was added to.

    Args:
        features, groups, max_rows, seed, confidence, progress: as `intrinsic_dimension`.
        scales: the k of `intrinsic_dimension(method="gride")`, which compares neighbours k and 2k; 1, 2, 4, ..., 64 by default,
            as far as there are rows.

    Returns:
        A data frame, one row per k: k, scale, value, low, high (NaN without interval), n_used, n_duplicates, note (the warnings).

    Raises:
        ValueError: as `intrinsic_dimension`.

    >>> import numpy as np
    >>> plane = np.random.default_rng(0).uniform(size=(500, 2)) @ np.eye(2, 9)
    >>> intrinsic_dimension_curve(plane, scales=[1, 8]).value.round(1).tolist()
    [2.0, 1.9]
    """
    import pandas as pd

    check_confidence(confidence)
    rows = _Rows(features, groups, max_rows, seed)
    if scales is None:
        scales = [k for k in (1, 2, 4, 8, 16, 32, 64) if k == 1 or 8 * k <= rows.most]
    elif isinstance(scales, str) or not isinstance(scales, Iterable):
        raise ValueError(f"`scales` must be a list of whole numbers, such as [1, 4, 16], got {scales!r}.")
    numbers = [_checked_k("gride", k, "scales") for k in scales]
    rows.refuse_beyond("gride", numbers, "scales")
    if not numbers:
        raise ValueError("`scales` is empty; give one or more whole numbers.")
    # One search of the largest serves all.
    rows.search(max(METHODS["gride"][1](k) for k in numbers), progress)
    columns = ("k", "scale", "value", "low", "high", "n_used", "n_duplicates")
    found = [rows.read("gride", k, confidence, progress) for k in numbers]
    frame = pd.DataFrame([[getattr(one, column) for column in columns] for one in found], columns=list(columns))
    frame["note"] = ["; ".join(one.warnings) for one in found]
    return frame.astype({"low": float, "high": float})


def _checked_k(method: str, k: Any, argument: str = "k") -> int:
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}, got {method!r}.")
    usual = METHODS[method][2]
    if k is None:
        return usual
    number, least = whole_number(k), 2 if method == "mle" else 1
    if number is None or number < least:
        what = "`k` must be a whole number" if argument == "k" else f"`{argument}` must be whole numbers"
        raise ValueError(f"{what} of at least {least} for {method}, got {k!r}.")
    if method.startswith("twonn") and number != usual:
        raise ValueError(f'`k` is 2 for {method}, got {k!r}; "mle" and "gride" look at more neighbours.')
    return number


register(
    Measure(
        "intrinsic_dimension", "intrinsic dimension", DIMENSIONS, intrinsic_dimension, ("near_rows",),
        formula="(n − 1) / Σ ln(r₂ / r₁), distances to the two nearest rows",
        source="Facco et al. 2017; Levina & Bickel 2004; Denti et al. 2022",
        question="How many dimensions has the surface that rows lie on, however it bends?",
        cannot_tell="many dimensions apart: of 50 it reads about 31, of 512 about 129; noise counts where rows are near",
        rows_needed="500; it belongs to a scale, which fewer rows make larger; an audit reads 1,024",
        convention="TwoNN by maximum likelihood; its regression, Levina and Bickel's and Gride by name; repeats left out",
        unit="dimensions",
        range=lambda size: (0, math.inf),
        baseline=None,
        read=lambda near: near.intrinsic_dimension,
        missing="fewer than three rows differ, or all neighbours lie equally far",
    )
)  # fmt: skip


class _Rows:
    """Different rows of the features, and the distances to their nearest, searched once."""

    def __init__(self, features: Features, groups: Groups, max_rows: int | None, seed: int) -> None:
        require_same_order(features, groups=groups)
        x = _matrix(features)
        self.n_samples, self.n_features = x.shape
        drawn, chosen = drawn_rows(x, max_rows, seed)
        # Only ratios of distances count; in this unit their squares stay in range.
        self.unit = _unit_of(drawn)
        drawn = drawn / self.unit
        own = group_codes(groups, self.n_samples)
        first = first_of_copies(drawn)
        self.n_duplicates = len(drawn) - len(first)
        self.rows = drawn[first] if self.n_duplicates else drawn
        self.seed = seed
        self.groups = None
        if own is not None:
            codes = own[chosen][first.cpu()].unique(return_inverse=True)[1]
            self.groups = group_codes(codes.numpy(), len(codes), drawn.device)
        if len(self.rows) < 3:
            raise ValueError(
                f"`features` has {len(self.rows)} different rows of {len(drawn):,}, exactly or nearly: a dimension needs at least "
                "3. Are they all one point?"
            )
        self.most = most_neighbours(len(self.rows), self.groups)
        self.distances = self.numbers = drawn.new_zeros(0, 0)

    def refuse_beyond(self, method: str, numbers: Sequence[int], argument: str) -> None:
        """Raises ValueError for a k, given as `argument`, that looks at more neighbours than every row has."""
        looked_at = METHODS[method][1]
        if method == "mle" and self.groups is None and numbers[0] > self.most:
            raise ValueError(
                f"`k` is {numbers[0]:,} for mle ({METHODS[method][2]} unless given), and each of {len(self.rows):,} different rows has "
                f"{self.most:,} others: give a smaller `k`, at least 2."
            )
        beyond = [k for k in numbers if looked_at(k) > self.most and looked_at(k) > k]
        if not beyond:  # what looks at k neighbours is named well by the search itself
            return
        limit = self.most // 2
        what = f"`{argument}` must be from 1 to {limit:,}" if limit else f"`{argument}` cannot be met"
        raise ValueError(
            f"{what} for gride, got {beyond[0]:,}: it compares neighbours k and 2k, and every row has {self.most:,} of {len(self.rows):,} "
            "different rows."
        )

    def search(self, k: int, progress: bool) -> None:
        """Find the k nearest, and more for the halves of the rows."""
        check_neighbours(k, len(self.rows), self.groups)
        most = min(listed_for_halves(k) + rows_of_few_groups(self.groups), self.most)
        if self.distances.shape[1] < most:
            self.distances, self.numbers = nearest_distances(self.rows, most, groups=self.groups, progress=progress)

    def read(self, method: str, k: int, confidence: float, progress: bool) -> IntrinsicDimension:
        estimator, distances_for, _ = METHODS[method]
        looked_at = distances_for(k)
        self.search(looked_at, progress)
        near = self.distances[:, :looked_at]
        value = estimator(near)
        if not is_a_dimension(value):
            raise ValueError(
                f"the {looked_at} nearest of every row of `features` lie equally far away, as in a lattice or a code of bits: their "
                "distances say nothing of dimensions."
            )
        error = self._error(estimator, looked_at)
        impossible = self._is_impossible(value, error, near, confidence)
        if impossible:
            error = None
        low = high = se = None
        if error is not None:
            factor = math.exp(quantile(confidence, SPLITS) * error)
            low, high, se = value / factor, value * factor, value * error
        return IntrinsicDimension(
            method, value, low, high, se, k, scale_of(near) * self.unit, len(self.rows), self.n_duplicates, self.n_samples,
            self._warnings(value, error, looked_at, impossible),
        )  # fmt: skip

    def _error(self, estimator: Estimator, looked_at: int) -> float | None:
        """Standard error of the value's logarithm; None where rows are too few to be split."""
        most = listed_for_halves(looked_at) + rows_of_few_groups(self.groups)
        numbers, distances = self.numbers[:, :most], self.distances[:, :most]
        squares = []
        for half in halves(len(self.rows), looked_at, self.seed, self.groups):
            logs = []
            own = half.to(self.distances.device)
            places, filled = in_own_half(numbers, own, looked_at)
            in_half = distances.gather(1, places)
            for side in (0, 1):
                # A row whose list holds fewer of its half is left out.
                value = estimator(in_half[(own == side) & filled.all(1)])
                if not is_a_dimension(value):
                    return None
                logs.append(math.log(value))
            squares.append((logs[0] - logs[1]) ** 2 / 4)
        if not squares:
            return None
        return math.sqrt(sum(squares) / SPLITS)

    def _is_impossible(self, value: float, error: float | None, near: Tensor, confidence: float) -> bool:
        """Whether there are more dimensions than columns, and that not by chance: distances tie, or the interval says so."""
        tied = float((near[:, 0] == near[:, 1]).double().mean()) > _TIED_BY_CHANCE
        if error is not None and not tied:
            value /= math.exp(quantile(confidence, SPLITS) * error)
        return value > self.n_features and (tied or error is not None)

    def _warnings(self, value: float, error: float | None, looked_at: int, impossible: bool) -> tuple[str, ...]:
        warnings = []
        if value > FAR_TOO_LOW and not impossible:
            warnings.append(f"above {FAR_TOO_LOW:.0f} dimensions every method reads far too low: take it for 'many'")
        if impossible:
            warnings.append(
                f"no interval: more dimensions than columns ({self.n_features:,}), as where values are rounded and many distances tie "
                "(a lattice): read rows as they were before rounding, or a larger scale"
            )
        elif error is None:
            what = f"{len(self.rows):,} different rows"
            if self.groups is not None:
                what += f" in {int(self.groups.max()) + 1:,} groups"
            warnings.append(f"no interval: {what} are too few for halves with {looked_at} neighbours")
        if self.n_duplicates:
            warnings.append(f"{self.n_duplicates:,} rows that repeat another, exactly or nearly, were left out")
        return tuple(warnings)


def _unit_of(rows: Tensor) -> float:
    """A power of two near the largest value, by which division is exact; 1 where all are 0."""
    largest = float(rows.abs().max())
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0


def _matrix(features: Features) -> Tensor:
    x = as_features(features)
    if x.ndim != 2:
        raise ValueError(f"`features` must be (n_samples, n_features), got shape {shape_of(x)}.")
    return x
