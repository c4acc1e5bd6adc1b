"""What do labels add? Rank within each class, and variance between classes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_source, centred, finite_rows, nonfinite_error
from repgeom.data.labels import as_labels
from repgeom.measures.measure import LABELS, Measure, Size, register
from repgeom.measures.rank import effective_rank
from repgeom.spectral.decompose import spectrum
from repgeom.spectral.isotropic import isotropic_spectrum

__all__ = ["between_class_variance", "class_effective_rank"]

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
    rows_read, ranks = [], []
    for code in range(len(names)):
        rows = np.flatnonzero(codes == code)
        most = CLASS_ROWS_PER_FEATURE * source.n_features
        if len(rows) > most:
            rows = np.sort(rng.choice(rows, most, replace=False))
        rows_read.append(len(rows))
        ranks.append(_rank_of(source.rows(rows), normalize))
    sizes = np.array(rows_read)
    return ClassRanks(names, sizes, np.array(ranks), _isotropic_ranks(sizes, source.n_features))


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    return float(np.median(known))


def _isotropic_ranks(class_sizes: np.ndarray, n_features: int) -> np.ndarray:
    """What isotropic features of each class's size read, (C,); NaN for one row."""
    sizes, which = np.unique(class_sizes, return_inverse=True)
    ranks = np.full(len(sizes), np.nan)
    for i in np.flatnonzero(sizes > 1):
        ranks[i] = effective_rank(isotropic_spectrum(int(sizes[i]), n_features, True))
    return ranks[which]


def _isotropic_median(size: Size) -> float | None:
    if size.class_sizes is None:
        return None
    most = CLASS_ROWS_PER_FEATURE * size.n_features
    return _median(_isotropic_ranks(np.minimum(size.class_sizes, most), size.n_features))


register(
    Measure(
        "class_rank_median", "median rank in a class", LABELS, class_effective_rank, ("class_ranks",),
        formula="effective rank of σ² of centred features, per class",
        source="Giraldo et al. 2015",
        unit="dimensions",
        range=lambda size: (0, size.most),
        baseline=_isotropic_median,
        read=lambda ranks: _median(ranks.effective_rank),
        missing="every class has one row",
    )
)  # fmt: skip


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


def _share_by_chance(size: Size) -> float | None:
    """What labels that mean nothing read."""
    if size.class_sizes is None:
        return None
    return (len(size.class_sizes) - 1) / (size.n_samples - 1)


register(
    Measure(
        "between_class_variance", "variance between classes", LABELS, between_class_variance, ("class_sums",),
        formula="tr S_between / tr S_total",
        source="classical",
        range=lambda size: (0, 1),
        baseline=_share_by_chance,
        read=lambda sums: sums.between_share(),
        aliases=("R² of the labels",),
    )
)  # fmt: skip


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


def _one_array(features: Any) -> Tensor:
    source = as_source(features)
    return finite_rows(source.read(0, source.n_samples))
