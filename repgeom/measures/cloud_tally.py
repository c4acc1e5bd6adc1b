"""How the samples lie, from one pass over the rows in bounded memory."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import row_norms, unit_rows
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.settings import own_settings
from repgeom.reading import thinning
from repgeom.reading.first_places import SHOWN, FirstPlaces
from repgeom.reading.hashing import mixed, row_hashes, unmixed
from repgeom.reading.moments import Moments
from repgeom.reading.tally import Piece, State, Tally
from repgeom.reading.thinning import Thinned

# A row is extreme when its norm is more than this many robust standard deviations from the median norm.
EXTREME_NORM = 10.0
# What adds up by itself when tallies merge.
_COUNTS = ("n_samples", "nan", "inf", "nonfinite_rows", "zero_rows")


@own_settings
@dataclasses.dataclass(frozen=True)
class Norms(ShownInNotebook):
    """Row norms: (..., ) each, in units of the features. `cv` is standard deviation over mean."""

    mean: Any
    std: Any
    cv: Any
    minimum: Any
    median: Any
    maximum: Any


@own_settings
@dataclasses.dataclass(frozen=True)
class Health(ShownInNotebook):
    """Counts of what spoils a measure before it is taken. Nothing is dropped.

    Attributes:
        n_samples, n_features: size of the features.
        nan, inf: values that are NaN, or infinite.
        nonfinite_rows: rows with at least one of them.
        zero_rows: rows of zeros.
        duplicate_rows: rows that repeat an earlier row bit for bit.
        constant_features: columns with one value in all finite rows.
        extreme_norms: finite rows whose norm lies more than 10 robust standard deviations (1.4826 × the median
            absolute deviation, at least 1e-3 of the median) from the median norm.
    """

    n_samples: int
    n_features: int
    nan: int
    inf: int
    nonfinite_rows: int
    zero_rows: int
    duplicate_rows: int
    constant_features: int
    extreme_norms: int


def norms_of(values: Tensor, give: Any) -> Norms:
    """`Norms` of row lengths (..., n), each passed through `give`."""
    largest = values.amax(-1)
    scale = torch.where(largest > 0, largest, 1)  # squares stay in range
    shares = values / scale[..., None]
    mean, std = shares.mean(-1), shares.std(-1, correction=0)
    cv = std / torch.where(mean > 0, mean, 1)
    return Norms(*(give(v) for v in (mean * scale, std * scale, cv, values.amin(-1), _median(values), largest)))


def _median(values: Tensor) -> Tensor:
    """The middle of the last dimension, halfway between two where it is even (torch's own takes the lower one)."""
    middle = values.shape[-1] // 2
    ordered = values.sort(-1).values
    return ordered[..., middle] if values.shape[-1] % 2 else (ordered[..., middle - 1] + ordered[..., middle]) / 2


class CloudTally(Tally):
    """What one pass over rows can tell of the cloud, in bounded memory, however many there are.

    Lengths and repeats are exact up to 1,048,576 rows. Beyond, the median length is that of rows drawn by their place, and
    repeats are counted among rows whose hash is small: copies have one hash, so all are kept or none. A row that makes up a
    thousandth of the rows by then is counted for itself.
    """

    def __init__(self) -> None:
        self._norms, self._hashes = Thinned(), Thinned()
        self._middle: tuple[float, float] | None = None  # what `_medians` gave, until more rows come
        self._zeros, self._repeats = FirstPlaces(), FirstPlaces()  # the latter of rows that come often
        self._often: dict[int, int] = {}  # how many there are of rows that come often, by their hash
        self.n_samples = self.n_features = self.nan = self.inf = self.nonfinite_rows = self.zero_rows = 0
        self._low: Tensor | None = None
        self._high: Tensor | None = None
        # Of lengths and of unit rows: how many, mean, sum of squares about it. Lengths in units of the first one.
        self._unit = 1.0
        self._lengths = Moments()
        self._shortest, self._longest = math.inf, 0.0
        self.longest_row = -1  # its place; -1 before the first row
        self._units = Moments()

    def update(self, piece: Piece) -> None:
        """Add rows, finite or not."""
        self._middle = None
        rows = piece.rows
        # They depend on the places alone, so any split into pieces draws the same rows.
        numbers = mixed(piece.places.astype(np.uint64))
        # As floats, exact up to 2⁵³, because what is kept beside numbers is floats.
        self._count(row_hashes(rows), piece.places.astype(np.float64))
        self.n_samples += len(rows)
        self.n_features = rows.shape[1]
        # Lengths in half precision would keep two or three digits, and overflow in float16.
        rows = rows.float() if rows.element_size() == 2 else rows
        lengths = row_norms(rows)
        places = piece.places
        if not torch.isfinite(lengths).all():
            finite = torch.isfinite(rows).all(-1).cpu().numpy()
            numbers, places = numbers[finite], places[finite]
            rows, lengths = self._count_nonfinite(rows)
        is_zero = (lengths == 0).cpu().numpy()
        self.zero_rows += int(is_zero.sum())
        self._zeros.add(places[is_zero])
        self._norms.add(numbers, lengths.double().cpu().numpy())
        if len(rows):
            self._spread(rows, lengths.double(), places)

    def _count(self, hashes: np.ndarray, places: np.ndarray) -> None:
        """Adds rows of these hashes; those that come often are taken out before any are dropped."""
        hashes, places = self._without_often(hashes, places)
        if self._hashes.is_full(len(hashes)):
            kept, kept_places = self._hashes.all()
            hashes, places = np.concatenate([kept, hashes]), np.concatenate([kept_places, places])
            values, counts = np.unique(hashes, return_counts=True)
            # Whether a hash is kept decides about all its copies, which is too much chance for rows that come often.
            often = counts >= max(32, thinning.KEPT_ROWS >> 10)
            self._often |= dict.fromkeys(values[often].tolist(), 0)
            self._repeats.add(_later(hashes, places, np.isin(hashes, values[often])))
            self._hashes.replace(np.empty(0, np.uint64))
            hashes, places = self._without_often(hashes, places, repeated=False)
        self._hashes.add(hashes, places)

    def _without_often(
        self, hashes: np.ndarray, places: np.ndarray, *, repeated: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Counts those that come often, and gives back the rest. `repeated`: each of them came before."""
        if not self._often:
            return hashes, places
        often = np.isin(hashes, np.fromiter(self._often, np.uint64))
        for value, count in zip(*np.unique(hashes[often], return_counts=True), strict=True):
            self._often[int(value)] += int(count)
        if repeated:
            self._repeats.add(places[often])
        return hashes[~often], places[~often]

    @property
    def kept(self) -> int:
        """How many rows the median length is read from."""
        return len(self._norms.settled()[0])

    def merge(self, other: CloudTally) -> None:
        """Adds all rows that `other` has seen."""
        self._middle = None
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.n_features = self.n_features or other.n_features
        self._norms.merge(other._norms)
        kept, places = self._hashes.all()
        self._often = dict.fromkeys(other._often, 0) | self._often
        self._hashes.replace(*self._without_often(kept, places))
        for value, count in other._often.items():
            self._often[value] += count
        # Both must have dropped the same hashes before they are one set.
        self._hashes.thin(other._hashes.halvings)
        self._count(*other._hashes.all())
        self._zeros.add(other._zeros.places)
        self._repeats.add(other._repeats.places)
        if other._low is not None and other._high is not None:
            self._between(other._low, other._high)
        if other._lengths.n:
            if not self._lengths.n:
                self._unit = other._unit
            self._lengths.merge(other._lengths.scaled(other._unit / self._unit))
        self._shortest = min(self._shortest, other._shortest)
        if other._longest > self._longest or self.longest_row < 0:
            self._longest, self.longest_row = other._longest, other.longest_row
        self._units.merge(other._units)

    def state(self) -> State:
        counts = {name: getattr(self, name) for name in (*_COUNTS, "n_features", "longest_row")}
        return {
            "counts": counts, "norms": self._norms.state(), "hashes": self._hashes.state(),
            "often": {str(value): count for value, count in self._often.items()},
            "zeros": self._zeros.places, "repeats": self._repeats.places,
            "low": self._low, "high": self._high, "unit": self._unit,
            "shortest": self._shortest, "longest": self._longest,
            "lengths": self._lengths.state(), "units": self._units.state(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> CloudTally:
        made = cls()
        for name, count in state["counts"].items():
            setattr(made, name, count)
        made._norms, made._hashes = Thinned.from_state(state["norms"]), Thinned.from_state(state["hashes"])
        made._often = {int(value): count for value, count in state["often"].items()}
        made._zeros, made._repeats = FirstPlaces(state["zeros"]), FirstPlaces(state["repeats"])
        made._low, made._high, made._unit = state["low"], state["high"], state["unit"]
        made._shortest, made._longest = state["shortest"], state["longest"]
        made._lengths, made._units = Moments.from_state(state["lengths"]), Moments.from_state(state["units"])
        return made

    def _count_nonfinite(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Counts them, and leaves the finite rows, whose norms may have overflowed, with those norms in float64."""
        finite = torch.isfinite(rows)
        self.nan += int(torch.isnan(rows).sum())
        self.inf += int(torch.isinf(rows).sum())
        self.nonfinite_rows += int((~finite.all(-1)).sum())
        rows = rows[finite.all(-1)].double()
        return rows, row_norms(rows)

    def _spread(self, rows: Tensor, lengths: Tensor, places: np.ndarray) -> None:
        """Add finite rows of these lengths to means, spreads and extremes."""
        self._between(rows.amin(0).double(), rows.amax(0).double())
        shortest, longest = float(lengths.min()), float(lengths.max())
        if not self._lengths.n:
            # In this unit squares of lengths stay in range.
            self._unit = longest or 1.0
        self._shortest = min(self._shortest, shortest)
        if longest > self._longest or self.longest_row < 0:
            self._longest, self.longest_row = longest, int(places[int(lengths.argmax())])
        self._lengths.merge(Moments.of(lengths / self._unit))
        self._units.merge(Moments.of(unit_rows(rows)))

    def _between(self, low: Tensor, high: Tensor) -> None:
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def health(self) -> Health:
        """As the function `health` of all rows so far."""
        constant = 0 if self._low is None or self._high is None else int((self._low == self._high).sum())
        hashes = self._hashes.settled()[0]
        ordered = np.sort(hashes)
        # Each halving left about half of the hashes, so what is found among them stands for twice as many.
        repeats = int((ordered[1:] == ordered[:-1]).sum()) << self._hashes.halvings
        return Health(
            n_samples=self.n_samples,
            n_features=self.n_features,
            nan=self.nan,
            inf=self.inf,
            nonfinite_rows=self.nonfinite_rows,
            zero_rows=self.zero_rows,
            duplicate_rows=repeats + sum(count - 1 for count in self._often.values()),
            constant_features=constant,
            extreme_norms=int(self._is_extreme().sum()) << self._norms.halvings,
        )

    def _is_extreme(self) -> np.ndarray:
        """Which of the rows whose lengths are kept have an extreme one."""
        lengths = torch.from_numpy(self._norms.settled()[1])
        if not len(lengths):
            return np.zeros(0, bool)
        median, deviation = self._medians()
        # 1.4826 median deviations make a normal law's standard deviation. The lower bound is for rows of equal length.
        spread = max(1.4826 * deviation, 1e-3 * median)
        return np.asarray(((lengths - median).abs() > EXTREME_NORM * spread).numpy())

    def _medians(self) -> tuple[float, float]:
        """The median length and the median distance from it. Lengths are sorted for them, so they are found once."""
        if self._middle is None:
            lengths = torch.from_numpy(self._norms.settled()[1])
            median = float(_median(lengths))
            self._middle = median, float(_median((lengths - median).abs()))
        return self._middle

    def first_rows(self) -> dict[str, tuple[int, ...]]:
        """The first ten rows that each count of `health` is of, by its name; beyond 1,048,576 rows, of those that are kept."""
        hashes, places = self._hashes.settled()
        repeats = FirstPlaces(self._repeats.places)
        repeats.add(_later(hashes, places))
        extreme = unmixed(self._norms.settled()[0][self._is_extreme()]).astype(np.int64)
        return {
            "zero_rows": self._zeros.numbers,
            "duplicate_rows": repeats.numbers,
            "extreme_norms": tuple(np.sort(extreme)[:SHOWN].tolist()),
        }

    def constant_columns(self) -> tuple[int, ...]:
        """The first ten columns with one value in all finite rows."""
        if self._low is None or self._high is None:
            return ()
        return tuple(torch.nonzero(self._low == self._high)[:SHOWN, 0].tolist())

    def norms(self) -> Norms:
        """As the function `norms` of all finite rows so far."""
        mean = float(self._lengths.mean) * self._unit
        std = (float(self._lengths.squares) / self._lengths.n) ** 0.5 * self._unit
        return Norms(mean, std, std / (mean or 1.0), self._shortest, self._medians()[0], self._longest)

    def mean_cosine(self) -> float:
        """As the function `mean_cosine` of all finite rows so far."""
        n = self._units.n
        own = n - self.zero_rows  # a row of zeros has no unit length
        # ‖Σ u‖² holds each row's product with itself, which is one.
        return float(((n * self._units.mean).square().sum() - own) / (n * (n - 1)))

    def feature_std(self) -> float:
        """As the function `feature_std` of all finite rows so far."""
        return float((self._units.squares / self._units.n).sqrt().mean())


def _later(hashes: np.ndarray, places: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Places of the rows, of those `among`, whose hash came before at a smaller place."""
    if among is not None:
        hashes, places = hashes[among], places[among]
    order = np.lexsort((places, hashes))
    hashes, places = hashes[order], places[order]
    return places[1:][hashes[1:] == hashes[:-1]]
