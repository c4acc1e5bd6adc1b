"""How do the samples lie? Directions, spread and hygiene of one set of features."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_source, centred, finite_rows, give_back, pair_blocks, row_norms, unit_rows
from repgeom.measures.measure import CLOUD, Measure, Size, register

__all__ = ["alignment", "feature_std", "health", "mean_cosine", "norms", "uniformity"]

# A row is extreme when its norm is more than this many robust standard deviations from the median norm.
EXTREME_NORM = 10.0
# Rows that repeats and the median length are read from: 24 MB, twice that for a moment.
KEPT_ROWS = 1 << 20
_HASHED_WORDS = 1 << 18
_ODD = 0x9E3779B97F4A7C15 - (1 << 64)


@dataclasses.dataclass(frozen=True)
class Norms:
    """Row norms: (..., ) each, in units of the features. `cv` is standard deviation over mean."""

    mean: Any
    std: Any
    cv: Any
    minimum: Any
    median: Any
    maximum: Any


@dataclasses.dataclass(frozen=True)
class Health:
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


def mean_cosine(features: Any, *, center: bool = False) -> Any:
    """Mean cosine similarity over all pairs of different rows: how far the cloud is a narrow cone.

    (‖Σ u_i‖² − Σ‖u_i‖²) / (n(n − 1)) with u_i = x_i / ‖x_i‖, exact and in O(n d) (Ethayarajh 2019). A row of zeros has
    no direction and counts as cosine 0.

    Args:
        features: (..., n_samples, n_features), at least 2 rows.
        center: subtract the mean row first.

    Returns:
        Between −1/(n − 1) and 1; 0 for isotropic features; 1 where all point one way. Unchanged by rotation and,
        if not centred, by the length of rows.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> round(mean_cosine([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]), 6)
    0.471405
    """
    x = finite_rows(features)
    units = unit_rows(centred(x) if center else x)
    n = x.shape[-2]
    square = units.sum(-2).square().sum(-1) - units.square().sum((-2, -1))
    return give_back(features)(square / (n * (n - 1)))


register(
    Measure(
        "mean_cosine", "mean cosine", CLOUD, mean_cosine, ("cloud",),
        formula="all pairs of rows, not centred",
        source="Ethayarajh 2019",
        range=lambda size: (-1 / (size.n_samples - 1), 1),
        baseline=lambda size: 0.0,
        better="lower",
        read=lambda cloud: cloud.mean_cosine(),
        aliases=("anisotropy",),
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


def uniformity(features: Any, *, t: float = 2.0) -> Any:
    """Uniformity on the sphere: ln of the mean over pairs i < j of exp(−t ‖u_i − u_j‖²) (Wang & Isola 2020).

    Rows are scaled to unit length; pairs of a row with itself are left out. Costs O(n² d), in blocks.

    Args:
        features: (..., n_samples, n_features), at least 2 rows.
        t: positive; 2 as published.

    Returns:
        Between −4t and 0; 0 where all rows are one direction; about −2t + 2t²/d for isotropic features. Lower is more
        spread out.

    Raises:
        ValueError, TypeError: as `effective_rank`, or t ≤ 0.

    >>> round(uniformity([[1.0, 0.0], [-1.0, 0.0]]), 12)
    -8.0
    """
    if not t > 0:
        raise ValueError(f"`t` must be positive, got {t!r}.")
    units = unit_rows(finite_rows(features))
    n = units.shape[-2]
    squares = units.square().sum(-1)  # 1, or 0 for a row of zeros
    logs = []
    for start, block in pair_blocks(units):
        # Each block against the rows from its own start on: the pairs above the diagonal, and the diagonal itself.
        rows = block.shape[-2]
        near = squares[..., start : start + rows, None] + squares[..., None, start:]
        exponent = (t * (2 * (block @ units[..., start:, :].mT) - near)).clamp(max=0)
        seen = torch.ones(rows, n - start, dtype=torch.bool, device=units.device).tril()
        logs.append(exponent.masked_fill(seen, -torch.inf).flatten(-2).logsumexp(-1))
    return give_back(features)(torch.stack(logs).logsumexp(0) - math.log(n * (n - 1) / 2))


def _isotropic_uniformity(size: Size) -> float:
    """ln E exp(−2‖u − v‖²) of two independent points on the sphere, in closed form."""
    from scipy.special import hyp0f1

    return -4 + math.log(float(hyp0f1(size.n_features / 2, 4.0)))


register(
    Measure(
        "uniformity", "uniformity", CLOUD, uniformity, ("sample",),
        formula="ln mean exp(−2‖u−v‖²), unit rows, pairs i < j",
        source="Wang & Isola 2020",
        range=lambda size: (-8, 0),
        baseline=_isotropic_uniformity,
        better="lower",
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


def alignment(features: Any, positives: Any, *, alpha: float = 2.0) -> Any:
    """Alignment of positive pairs: mean of ‖u_i − v_i‖^α over unit rows (Wang & Isola 2020).

    Args:
        features, positives: (..., n_samples, n_features); row i of both are two views of one sample.
        alpha: positive; 2 as published.

    Returns:
        Between 0 (views agree) and 2^α.

    Raises:
        ValueError, TypeError: as `effective_rank`, different shapes, or α ≤ 0.

    >>> alignment([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, -1.0]])
    2.0
    """
    if not alpha > 0:
        raise ValueError(f"`alpha` must be positive, got {alpha!r}.")
    a, b = finite_rows(features), finite_rows(positives, "positives")
    if a.shape != b.shape:
        raise ValueError(f"`features` and `positives` must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}.")
    distance = (unit_rows(a) - unit_rows(b)).square().sum(-1)
    apart = distance > 0  # where two views agree the slope of the power may be infinite; it is taken as 0
    return give_back(features)((torch.where(apart, distance, 1) ** (alpha / 2)).where(apart, 0).mean(-1))


def feature_std(features: Any) -> Any:
    """Mean over columns of the standard deviation of unit-length rows (Chen & He 2021): 0 means collapse to a point.

    Not unchanged by rotation: it is largest where all columns vary alike.

    Args:
        features: (..., n_samples, n_features), at least 2 rows.

    Returns:
        Between 0 and 1/√d; 1/√d for isotropic features. Divides by n, not n − 1.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> round(feature_std([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), 6)
    0.707107
    """
    units = unit_rows(finite_rows(features))
    return give_back(features)(units.std(-2, correction=0).mean(-1))


register(
    Measure(
        "feature_std", "feature std", CLOUD, feature_std, ("cloud",),
        formula="mean column std of unit rows; 0 is a point",
        source="Chen & He 2021",
        range=lambda size: (0, size.n_features**-0.5),
        baseline=lambda size: size.n_features**-0.5,
        better="higher",
        read=lambda cloud: cloud.feature_std(),
        invariances=("scale", "order"),
    )
)  # fmt: skip


def norms(features: Any) -> Norms:
    """Mean, spread and extremes of the row norms. For isotropic Gaussian features `cv` is about 1/√(2d).

    Args:
        features: (..., n_samples, n_features), at least 2 rows.

    Raises:
        ValueError, TypeError: as `effective_rank`.

    >>> norms([[3.0, 4.0], [0.0, 1.0]]).mean
    3.0
    """
    return norms_of(row_norms(finite_rows(features)), give_back(features))


def _isotropic_cv(size: Size) -> float:
    """Standard deviation over mean of a chi variable with d degrees of freedom."""
    d = size.n_features
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return math.sqrt(max(0.0, d - mean**2)) / mean


register(
    Measure(
        "norm_mean", "mean norm", CLOUD, norms, ("cloud",),
        formula="row length, in units of the features",
        source="classical",
        unit="units of the features",
        range=lambda size: (0, math.inf),
        baseline=None,
        read=lambda cloud: cloud.norms().mean,
        invariances=("rotation", "order"),
    )
)  # fmt: skip
register(
    Measure(
        "norm_cv", "norm variation", CLOUD, norms, ("cloud",),
        formula="std / mean of row lengths",
        source="classical",
        range=lambda size: (0, math.inf),
        baseline=_isotropic_cv,
        read=lambda cloud: cloud.norms().cv,
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip


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


def health(features: Any) -> Health:
    """Counts NaN, infinity, rows of zeros, exact duplicates, constant columns and extreme norms.

    Args:
        features: (n_samples, n_features); non-finite values are what it is for.

    Raises:
        ValueError, TypeError: a wrong shape or kind, as `effective_rank`.

    >>> health([[1.0, 5.0], [1.0, 5.0], [0.0, 5.0]]).duplicate_rows
    1
    """
    source = as_source(features)
    collected = CloudAccumulator()
    for rows in source.chunks():
        collected.update(rows)
    return collected.health()


class CloudAccumulator:
    """What one pass over rows can tell of the cloud, in bounded memory, however many there are.

    Lengths and repeats are exact up to 1,048,576 rows. Beyond, the median length is that of rows drawn by their place, and
    repeats are counted among rows whose hash is small: copies have one hash, so all are kept or none. A row that makes up a
    thousandth of the rows by then is counted for itself.
    """

    def __init__(self) -> None:
        self._norms, self._hashes = Thinned(), Thinned()
        self._often: dict[int, int] = {}  # how many there are of rows that come often, by their hash
        self.n_samples = self.n_features = self.nan = self.inf = self.nonfinite_rows = self.zero_rows = 0
        self._low: Tensor | None = None
        self._high: Tensor | None = None
        # Of lengths and of unit rows: how many, mean, sum of squares about it. Lengths in units of the first one.
        self._unit = 1.0
        self._lengths = Moments()
        self._shortest, self._longest = math.inf, 0.0
        self._units = Moments()

    def update(self, rows: Tensor, start: int | None = None) -> None:
        """Adds rows (n, n_features), finite or not. `start`: the place of the first, if other rows are added elsewhere."""
        start = self.n_samples if start is None else start
        places = mixed(np.arange(start, start + len(rows), dtype=np.uint64))
        self._count(row_hashes(rows))
        self.n_samples += len(rows)
        self.n_features = rows.shape[1]
        rows = rows.float() if rows.element_size() == 2 else rows
        lengths = row_norms(rows)
        if not torch.isfinite(lengths).all():
            places = places[torch.isfinite(rows).all(-1).cpu().numpy()]
            rows, lengths = self._count_nonfinite(rows)
        self.zero_rows += int((lengths == 0).sum())
        self._norms.add(places, lengths.double().cpu().numpy())
        if len(rows):
            self._spread(rows, lengths.double())

    def _count(self, hashes: np.ndarray) -> None:
        """Adds rows of these hashes; those that come often are taken out before any are dropped."""
        hashes = self._without_often(hashes)
        if self._hashes.is_full(len(hashes)):
            hashes = np.concatenate([self._hashes.all()[0], hashes])
            values, counts = np.unique(hashes, return_counts=True)
            often = counts >= max(32, KEPT_ROWS >> 10)
            self._often |= dict.fromkeys(values[often].tolist(), 0)
            self._hashes.replace(np.empty(0, np.uint64))
            hashes = self._without_often(hashes)
        self._hashes.add(hashes)

    def _without_often(self, hashes: np.ndarray) -> np.ndarray:
        """Counts those that come often, and gives back the rest."""
        if not self._often:
            return hashes
        often = np.isin(hashes, np.fromiter(self._often, np.uint64))
        for value, count in zip(*np.unique(hashes[often], return_counts=True), strict=True):
            self._often[int(value)] += int(count)
        return hashes[~often]

    @property
    def kept(self) -> int:
        """How many rows the median length is read from."""
        return len(self._norms.settled()[0])

    def merge(self, other: CloudAccumulator) -> None:
        """Adds all rows that `other` has seen."""
        for name in ("n_samples", "nan", "inf", "nonfinite_rows", "zero_rows"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.n_features = self.n_features or other.n_features
        self._norms.merge(other._norms)
        kept = self._hashes.all()[0]
        self._often = dict.fromkeys(other._often, 0) | self._often
        self._hashes.replace(self._without_often(kept))
        for value, count in other._often.items():
            self._often[value] += count
        self._hashes.thin(other._hashes.halvings)
        self._count(other._hashes.all()[0])
        if other._low is not None and other._high is not None:
            self._between(other._low, other._high)
        if other._lengths.n:
            if not self._lengths.n:
                self._unit = other._unit
            self._lengths.merge(other._lengths.scaled(other._unit / self._unit))
        self._shortest, self._longest = min(self._shortest, other._shortest), max(self._longest, other._longest)
        self._units.merge(other._units)

    def _count_nonfinite(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Counts them, and leaves the finite rows, whose norms may have overflowed, with those norms in float64."""
        finite = torch.isfinite(rows)
        self.nan += int(torch.isnan(rows).sum())
        self.inf += int(torch.isinf(rows).sum())
        self.nonfinite_rows += int((~finite.all(-1)).sum())
        rows = rows[finite.all(-1)].double()
        return rows, row_norms(rows)

    def _spread(self, rows: Tensor, lengths: Tensor) -> None:
        self._between(rows.amin(0).double(), rows.amax(0).double())
        shortest, longest = float(lengths.min()), float(lengths.max())
        if not self._lengths.n:
            self._unit = longest or 1.0
        self._shortest, self._longest = min(self._shortest, shortest), max(self._longest, longest)
        self._lengths.merge(Moments.of(lengths / self._unit))
        self._units.merge(Moments.of(unit_rows(rows)))

    def _between(self, low: Tensor, high: Tensor) -> None:
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def health(self) -> Health:
        """As the function `health` of all rows so far."""
        lengths = torch.from_numpy(self._norms.settled()[1])
        middle = _median(lengths) if len(lengths) else torch.zeros(())
        away = (lengths - middle).abs()
        spread = max(1.4826 * float(_median(away)) if len(lengths) else 0.0, 1e-3 * float(middle))
        constant = 0 if self._low is None or self._high is None else int((self._low == self._high).sum())
        hashes = self._hashes.settled()[0]
        ordered = np.sort(hashes)
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
            extreme_norms=int((away > EXTREME_NORM * spread).sum()) << self._norms.halvings,
        )

    def norms(self) -> Norms:
        """As the function `norms` of all finite rows so far."""
        mean = float(self._lengths.mean) * self._unit
        std = (float(self._lengths.squares) / self._lengths.n) ** 0.5 * self._unit
        median = float(_median(torch.from_numpy(self._norms.settled()[1])))
        return Norms(mean, std, std / (mean or 1.0), self._shortest, median, self._longest)

    def mean_cosine(self) -> float:
        """As the function `mean_cosine` of all finite rows so far."""
        n = self._units.n
        own = n - self.zero_rows  # a row of zeros has no unit length
        return float(((n * self._units.mean).square().sum() - own) / (n * (n - 1)))

    def feature_std(self) -> float:
        """As the function `feature_std` of all finite rows so far."""
        return float((self._units.squares / self._units.n).sqrt().mean())


class Thinned:
    """Numbers, uint64 and as good as random, with values: all up to `KEPT_ROWS`, then the smaller half of them, and so on."""

    def __init__(self) -> None:
        self.halvings = 0
        self._pieces = [(np.empty(0, np.uint64), np.empty(0))]

    def add(self, numbers: np.ndarray, values: np.ndarray | None = None) -> None:
        """Adds numbers (n,), and values (n,) if any."""
        small = numbers <= self._limit
        self._pieces.append((numbers[small], np.empty(0) if values is None else values[small]))
        if self.is_full():
            self.settled()

    def is_full(self, more: int = 0) -> bool:
        """Whether `more` numbers would be too many to go on without dropping some."""
        return sum(len(numbers) for numbers, _ in self._pieces) + more > 2 * KEPT_ROWS

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and values that are kept at the moment."""
        numbers, values = (np.concatenate(parts) for parts in zip(*self._pieces, strict=True))
        self._pieces = [(numbers, values)]
        return numbers, values

    def replace(self, numbers: np.ndarray) -> None:
        """Keeps these numbers alone, without values."""
        self._pieces = [(numbers, np.empty(0))]

    def settled(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and values, no more than `KEPT_ROWS`."""
        while len(self.all()[0]) > KEPT_ROWS and self.halvings < 40:
            self.thin(self.halvings + 1)
        return self.all()

    def thin(self, halvings: int) -> None:
        """Halves until so many times."""
        self.halvings = max(self.halvings, halvings)
        numbers, values = self.all()
        small = numbers <= self._limit
        self._pieces = [(numbers[small], values[small] if len(values) else values)]

    def merge(self, other: Thinned) -> None:
        """Adds all that `other` keeps, with their values."""
        self.thin(other.halvings)
        self.add(*other.all())

    @property
    def _limit(self) -> np.uint64:
        return np.uint64((1 << (64 - self.halvings)) - 1)


@dataclasses.dataclass
class Moments:
    """Count, mean and sum of squares about the mean of rows, float64, by the pairwise update of Chan et al. (1983)."""

    n: int = 0
    mean: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    squares: Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    @classmethod
    def of(cls, rows: Tensor) -> Moments:
        """Of rows (n, ...)."""
        mean = rows.mean(0)
        return cls(len(rows), mean.double(), (rows - mean).square_().sum(0).double())

    def merge(self, other: Moments) -> None:
        """Adds all rows of `other`."""
        total = self.n + other.n
        if not other.n:
            return
        step = other.mean - self.mean
        self.squares = self.squares + other.squares + step.square() * (self.n * other.n / total)
        self.mean = self.mean + step * (other.n / total)
        self.n = total

    def scaled(self, factor: float) -> Moments:
        """Of the same rows times a factor."""
        return Moments(self.n, self.mean * factor, self.squares * factor**2)


def row_hashes(rows: Tensor) -> np.ndarray:
    """64 bits for each row's bytes, (n,) uint64. Two different rows among a million agree with a chance of 3e-8.

    A sum of scrambled words times random numbers modulo 2⁶⁴ (multilinear hashing, Carter & Wegman 1979), the same in every
    process.
    """
    words = rows.detach().cpu().contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[rows.element_size()])
    factors = torch.from_numpy(mixed(np.arange(words.shape[1], dtype=np.uint64)).view(np.int64))
    sums = []
    for piece in words.split(max(1, _HASHED_WORDS // words.shape[1])):  # small enough to stay in the cache
        scrambled = piece.to(torch.int64, copy=True).mul_(_ODD)
        scrambled ^= scrambled >> 32
        sums.append(scrambled.mul_(factors).sum(1))
    return mixed(torch.cat(sums).numpy().view(np.uint64)) if sums else np.empty(0, np.uint64)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers (uint64) scrambled one to one, each bit of the result as good as random (SplitMix64, Steele et al. 2014)."""
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
