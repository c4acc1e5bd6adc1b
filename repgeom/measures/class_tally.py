"""What labels add, from one pass over the rows: means of classes, and a sample of the rows of each."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import ZeroVarianceError, too_large_error, unit_rows
from repgeom.reading.hashing import mixed
from repgeom.reading.tally import Piece, State, Tally

# Rows of one class that are kept for its effective rank; 16 times the width is past any visible bias.
CLASS_ROWS_PER_FEATURE = 16
# Values of all classes' rows that are kept together: 134 MB of float32, and three times that for a moment. Where classes are
# so many that this is fewer rows for each, their own baseline of as many isotropic rows allows for it.
CLASS_VALUES = 1 << 25
_LOOKED_AT = 1 << 14  # rows after which a stream of labels that hardly repeat is refused


class ClassTally(Tally):
    """Rows by class: how many, their mean, the variance that the classes leave within, and some rows of each.

    Memory is O(C d) for C classes beside the rows, of which at most `CLASS_VALUES` values are kept.

    Args:
        normalize: "l2" scales each row to unit length first.
        seed: of the sample of rows.
    """

    def __init__(self, normalize: str | None = None, seed: int = 0) -> None:
        self.normalize, self.seed = normalize, seed
        self.index: dict[object, int] = {}  # the number of each class, in the order in which they came
        self.counts = torch.zeros(0, dtype=torch.float64)
        self.means = torch.zeros(0, 0, dtype=torch.float64)
        self.within = 0.0  # sum of squares about the classes' means
        self._numbers, self._codes = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._rows: list[Tensor] = []

    @property
    def n_samples(self) -> int:
        return int(self.counts.sum())

    def update(self, piece: Piece) -> None:
        assert piece.labels is not None
        if not len(piece):
            return
        values, place = np.unique(piece.labels, return_inverse=True)
        codes = self._numbered(values.tolist())
        self._add_moments(codes, torch.from_numpy(place), piece.rows)
        self._keep(codes[place], piece)
        if self.n_samples >= _LOOKED_AT and len(self.index) > 0.999 * self.n_samples:
            # So few repeats among so many rows: even a million classes would repeat more often.
            refuse_sample_ids(len(self.index), self.n_samples)

    def _numbered(self, values: list[object]) -> np.ndarray:
        """The numbers of these classes; those that are new get the next ones."""
        if self.index and values and isinstance(next(iter(self.index)), str) != isinstance(values[0], str):
            raise ValueError("`labels` are text in some batches and numbers in others; give all as one.")
        return np.array([self.index.setdefault(value, len(self.index)) for value in values])

    def _add_moments(self, codes: np.ndarray, place: Tensor, rows: Tensor) -> None:
        """Add rows; `place` (n,) says to which of `codes` each belongs."""
        x = rows.double()
        if self.normalize:
            x = unit_rows(x)
        # Sums are taken about the piece's mean: a mean far above the spread would cost its digits.
        shift = x.mean(0)
        x = x - shift
        counts = torch.bincount(place, minlength=len(codes)).double()
        at = place.to(x.device)
        means = _sums_of_classes(x, at, len(codes)) / counts.to(x.device)[:, None]
        within = float((x - means[at]).square_().sum())
        self._join(codes, counts, (means + shift).cpu(), within)

    def _join(self, codes: np.ndarray, counts: Tensor, means: Tensor, within: float) -> None:
        """Add classes of these numbers by the pairwise update of Chan, Golub and LeVeque (1983)."""
        self._make_room(means.shape[1])
        at = torch.from_numpy(codes)
        before, total = self.counts[at], self.counts[at] + counts
        step = means - self.means[at]
        self.within += within + float((step.square().sum(1) * before * counts / total).sum())
        self.means[at] += step * (counts / total)[:, None]
        self.counts[at] = total

    def _make_room(self, n_features: int) -> None:
        """Lengthen counts and means, by half at least, so that many new classes do not copy them each time."""
        missing = len(self.index) - len(self.counts)
        if missing <= 0:
            return
        missing = max(missing, len(self.counts) // 2)
        self.counts = torch.cat([self.counts, self.counts.new_zeros(missing)])
        old = self.means.reshape(-1, n_features)
        self.means = torch.cat([old, old.new_zeros(missing, n_features)])

    def _keep(self, codes: np.ndarray, piece: Piece) -> None:
        """Keep rows for the classes' ranks; a row is drawn by a random number that depends on its place alone."""
        salt = mixed(np.array([self.seed % (1 << 64)], np.uint64))
        self._numbers = np.concatenate([self._numbers, mixed(piece.places.astype(np.uint64) ^ salt)])
        self._codes = np.concatenate([self._codes, codes])
        self._rows.append(piece.rows)
        n_features = piece.rows.shape[1]
        # At twice what is kept, so that sorting stays cheap beside reading; the constant spares small sets the cut.
        if len(self._codes) > 2 * min(
            CLASS_VALUES // n_features, len(self.index) * most_rows(len(self.index), n_features)
        ) + (1 << 14):
            self._cut()

    def _cut(self) -> None:
        """Leave the rows with the smallest numbers of each class."""
        if not self._rows:
            return
        rows = torch.cat(self._rows)
        # The smallest random numbers are a uniform sample, and the same one for every split into pieces.
        order = np.lexsort((self._numbers, self._codes))
        codes = self._codes[order]
        starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        rank = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
        kept = np.sort(order[rank < most_rows(len(self.index), rows.shape[1])])  # in the order in which they came,
        kept = kept[np.argsort(self._codes[kept], kind="stable")]  # class after class
        self._numbers, self._codes, self._rows = self._numbers[kept], self._codes[kept], [rows[torch.from_numpy(kept)]]

    def merge(self, other: ClassTally) -> None:
        if not other.index:
            return
        codes = self._numbered(list(other.index))
        n = len(codes)
        self._join(codes, other.counts[:n], other.means[:n], other.within)
        self._numbers = np.concatenate([self._numbers, other._numbers])
        self._codes = np.concatenate([self._codes, codes[other._codes]])
        self._rows += other._rows
        self._cut()

    def state(self) -> State:
        n = len(self.index)
        return {
            "normalize": self.normalize, "seed": self.seed, "classes": np.array(list(self.index)),
            "counts": self.counts[:n], "means": self.means[:n], "within": self.within,
            "numbers": self._numbers, "codes": self._codes, "rows": list(self._rows),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> ClassTally:
        made = cls(state["normalize"], state["seed"])
        made._numbered(state["classes"].tolist())
        # Copies, because `_join` adds to both in place.
        made.counts, made.means, made.within = state["counts"].clone(), state["means"].clone(), state["within"]
        made._numbers, made._codes, made._rows = state["numbers"], state["codes"], state["rows"]
        return made

    # What is read at the end -----------------------------------------------------------------------------------------

    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes in sorted order, and the number of each."""
        names = np.array(list(self.index))
        order = np.argsort(names, kind="stable")
        return names[order], order

    def sizes(self) -> np.ndarray:
        """Rows of each class, in sorted order of the classes."""
        _, order = self.classes()
        return np.asarray(self.counts.numpy()[order]).astype(np.int64)

    def rows_by_class(self) -> list[Tensor]:
        """The rows that are kept of each class, in sorted order of the classes."""
        self._cut()  # leaves the rows sorted by class
        if not self._rows:
            return []
        ends = np.searchsorted(self._codes, np.arange(len(self.index) + 1))
        parts = self._rows[0].tensor_split(torch.from_numpy(ends[1:-1]))
        _, order = self.classes()
        return [parts[code] for code in order]

    def between_share(self) -> float:
        """Share of the variance that lies between classes: tr S_between / tr S_total.

        Raises ValueError without variance.
        """
        n = len(self.index)
        counts, means = self.counts[:n], self.means[:n]
        centre = (counts[:, None] * means).sum(0) / counts.sum()
        between = float((counts * (means - centre).square().sum(1)).sum())
        if not math.isfinite(between + self.within):
            raise too_large_error("features")
        if between + self.within <= 0:
            raise ZeroVarianceError("`features` has zero variance: all rows are equal, so there is nothing to divide.")
        return between / (between + self.within)


def _sums_of_classes(x: Tensor, place: Tensor, n_classes: int) -> Tensor:
    """Sums of the rows (n, d) of each class, (n_classes, d); `place` (n,) is the class of each row."""
    if x.is_cuda and len(x) * n_classes <= CLASS_VALUES:
        # `index_add_` on a GPU adds in any order; a product with ones and zeros gives the same bits every time.
        return torch.nn.functional.one_hot(place, n_classes).to(x.dtype).mT @ x
    return x.new_zeros(n_classes, x.shape[1]).index_add_(0, place, x)


def most_rows(n_classes: int, n_features: int) -> int:
    """Rows that are kept of one of so many classes."""
    fitting = CLASS_VALUES // (n_features * max(1, n_classes))
    return max(2, min(CLASS_ROWS_PER_FEATURE * n_features, fitting))


def refuse_sample_ids(n_classes: int, n_samples: int) -> None:
    """Raises ValueError where labels hardly repeat: ids of samples that were given for classes."""
    if n_samples >= 100 and n_classes > n_samples / 2:
        raise ValueError(
            f"`labels` has {n_classes:,} different values for {n_samples:,} rows, so most classes would have one row. These "
            "look like ids of samples; give the class of each row, or leave `labels` out."
        )
