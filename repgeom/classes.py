"""What do labels add? Rank within each class, variance between classes, and neighbours that share a class."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.baseline import isotropic_spectrum
from repgeom.decompose import spectrum
from repgeom.features import as_source, centred, finite_rows, nonfinite_error, pair_blocks, unit_rows
from repgeom.pairs import check_k, nearest
from repgeom.rank import effective_rank

# Rows of one class that are read for its effective rank; 16 times the width is past any visible bias.
CLASS_ROWS_PER_FEATURE = 16


@dataclasses.dataclass(frozen=True)
class ClassRanks:
    """Effective rank within each class.

    Attributes:
        labels: (C,), the classes in sorted order.
        n_samples: (C,), rows that were read of each.
        effective_rank: (C,), NaN where a class has one row; 0 where all its rows are equal.
        baseline: (C,), what isotropic features of the class's own n × d read.
        share: (C,), (effective rank − 1) / (baseline − 1): 0 for a line or a point, about 1 for isotropic; NaN where
            the class's size allows no more than one direction.
    """

    labels: np.ndarray
    n_samples: np.ndarray
    effective_rank: np.ndarray
    baseline: np.ndarray

    @property
    def share(self) -> np.ndarray:
        possible = np.where(self.baseline > 1 + 1e-9, self.baseline - 1, np.nan)
        return np.clip((self.effective_rank - 1) / possible, 0, None)


def class_effective_rank(features: Any, labels: Any, *, normalize: str | None = None, seed: int = 0) -> ClassRanks:
    """Effective rank of each class about its own mean: finds the one class that has collapsed.

    Args:
        features: (n_samples, n_features).
        labels: (n_samples,), whole numbers or text.
        normalize: as `effective_rank`.
        seed: of the sample of rows in classes with more than 16 rows per feature.

    Raises:
        ValueError: another number of labels; else as `effective_rank`.

    >>> x = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [5.0, 5.0], [6.0, 6.0]]
    >>> class_effective_rank(x, [0, 0, 0, 0, 1, 1]).effective_rank
    array([2., 1.])
    """
    source = as_source(features)
    error = nonfinite_error(source, "features")
    if error:
        raise error
    codes, names = as_labels(labels, source.n_samples)
    rng = np.random.default_rng(seed)
    rows_read, ranks, baselines = [], [], []
    for code in range(len(names)):
        rows = np.flatnonzero(codes == code)
        most = CLASS_ROWS_PER_FEATURE * source.n_features
        if len(rows) > most:
            rows = np.sort(rng.choice(rows, most, replace=False))
        rows_read.append(len(rows))
        ranks.append(_rank_of(source.rows(rows), normalize))
        known = len(rows) > 1
        baselines.append(effective_rank(isotropic_spectrum(len(rows), source.n_features, True)) if known else np.nan)
    return ClassRanks(names, np.array(rows_read), np.array(ranks), np.array(baselines))


def _rank_of(rows: Tensor, normalize: str | None) -> float:
    if len(rows) < 2:
        return float("nan")
    s = spectrum(rows, normalize=normalize)
    # Rows of one direction are equal once they have unit length, but for the last bit.
    largest = float(s.singular_values[0]) / len(rows) ** 0.5
    if largest <= (8 * torch.finfo(rows.dtype).eps if normalize else 0.0):
        return 0.0
    return float(effective_rank(s))


def between_class_variance(features: Any, labels: Any) -> float:
    """Share of the total variance that lies between class means: tr S_between / tr S_total, R² of the labels.

    Args:
        features: (n_samples, n_features), at least 2 rows.
        labels: (n_samples,), whole numbers or text.

    Returns:
        In [0, 1]. Labels that mean nothing read about (C − 1)/(n − 1) for C classes.

    Raises:
        ValueError: another number of labels, no variance; else as `effective_rank`.

    >>> round(between_class_variance([[0.0], [2.0], [10.0], [12.0]], ["a", "a", "b", "b"]), 6)
    0.961538
    """
    x = centred(_one_array(features))
    codes, names = as_labels(labels, len(x))
    x = x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)
    sums = ClassSums(len(names), x.mean(0))
    sums.update(x, codes)
    return sums.between_share()


class ClassSums:
    """Sums per class about a known mean, over a stream of rows: O(C d) memory."""

    def __init__(self, n_classes: int, mean: Tensor) -> None:
        self.mean = mean
        self.sums = mean.new_zeros(n_classes, len(mean))
        self.counts = mean.new_zeros(n_classes)
        self.total = 0.0

    def update(self, rows: Tensor, codes: np.ndarray) -> None:
        """Adds rows and their class codes."""
        rows = rows.to(self.mean.device, torch.float64) - self.mean
        index = torch.as_tensor(codes, device=rows.device)
        self.sums.index_add_(0, index, rows)
        self.counts += torch.bincount(index, minlength=len(self.counts))
        self.total += float(rows.square().sum())

    def between_share(self) -> float:
        """Share of the variance so far that lies between classes. Raises ValueError without variance."""
        if self.total <= 0:
            raise ValueError("`features` has zero variance: all rows are equal, so there is nothing to divide.")
        return min(1.0, float((self.sums.square().sum(-1) / self.counts.clamp(min=1)).sum()) / self.total)


def knn_accuracy(features: Any, labels: Any, *, k: int = 10) -> float:
    """Leave-one-out accuracy of a vote of the k nearest other rows by cosine. Ties go to the class that is nearer.

    Args:
        features: (n_samples, n_features). Costs O(n² d), in blocks.
        labels: (n_samples,), whole numbers or text.
        k: neighbours; at most n_samples − 1.

    Returns:
        In [0, 1]. Compare with the share of the most frequent class.

    Raises:
        ValueError: another number of labels, k out of range; else as `effective_rank`.

    >>> knn_accuracy([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]], ["a", "a", "b", "b"], k=1)
    1.0
    """
    x = _one_array(features)
    codes, names = as_labels(labels, len(x))
    check_k(k, len(x) - 1)
    units, classes = unit_rows(x), torch.as_tensor(codes, device=x.device)
    places = torch.arange(k, device=x.device)
    right = 0
    for start, block in pair_blocks(units):
        voters, size = classes[nearest(block, units, start, k)], (len(block), len(names))
        votes = places.new_zeros(size).scatter_add_(1, voters, torch.ones_like(voters))
        first = places.new_full(size, k).scatter_reduce_(1, voters, places.expand(len(block), k), "amin")
        # One more vote outweighs any place; among equals the class whose nearest voter stands first wins.
        right += int(((votes * (k + 1) - first).argmax(1) == classes[start : start + len(block)]).sum())
    return right / len(x)


def _one_array(features: Any) -> Tensor:
    source = as_source(features)
    return finite_rows(source.read(0, source.n_samples))


def as_labels(labels: Any, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Class codes 0..C−1 (n_samples,) and the classes' names (C,)."""
    if isinstance(labels, Tensor):
        labels = labels.detach().cpu()
        labels = labels.float() if labels.dtype == torch.bfloat16 else labels
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"`labels` must be one label per row, shape (n_samples,), got shape {values.shape}.")
    if len(values) != n_samples:
        raise ValueError(
            f"`labels` has {len(values):,} entries and `features` {n_samples:,} rows: there must be one label for each "
            "row. Was one of them extracted with a last batch dropped, or from another split"
            f"{', or was a first line without a header read as one' * (n_samples - len(values) == 1)}?"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"`labels` has {(~np.isfinite(values)).sum()} values that are not finite; the first is at {at}."
        )
    if values.dtype.kind == "O":
        missing = np.array([v is None or v != v for v in values])
        if missing.any():
            raise ValueError(f"`labels` has {missing.sum()} missing values; the first is at {missing.argmax()}.")
        values = values.astype(str)
    if values.dtype.kind not in "iufbUS":
        raise TypeError(f"`labels` must be whole numbers or text, got {values.dtype}.")
    names, codes = np.unique(values, return_inverse=True)
    if len(names) == n_samples > 1 and values.dtype.kind == "f" and (values != np.round(values)).any():
        raise ValueError(f"`labels` holds {len(names):,} different fractions: it looks like features, not classes.")
    return codes, names
