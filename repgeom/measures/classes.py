"""What do labels add? Rank within each class, and variance between classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import centred, finite_rows, too_large_error
from repgeom.data.kinds import Features, Labels
from repgeom.data.labels import as_labels
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.data.sources import as_source, nonfinite_error_of, source_of
from repgeom.measures.class_tally import ClassTally, most_rows
from repgeom.measures.cloud_tally import CloudTally
from repgeom.measures.measure import LABELS, Measure, Size, register
from repgeom.measures.rank import effective_rank
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.reading.tally import Tallies
from repgeom.spectral.decompose import spectrum_of
from repgeom.spectral.isotropic import isotropic_spectrum

__all__ = ["between_class_variance", "class_effective_rank"]

_STACK_VALUES = 1 << 22  # values of one stack of classes


@own_settings
@dataclasses.dataclass(frozen=True)
class ClassRanks(ShownInNotebook):
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


@own_settings
def class_effective_rank(
    features: Features, labels: Labels, *, normalize: str | None = None, seed: int = 0
) -> ClassRanks:
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
    require_same_order(features, labels=labels)
    source = as_source(features)
    codes, names = as_labels(labels, source.n_samples)
    rows = PairedRows(source, labels=names[codes])
    tallies = Tallies({"health": CloudTally(), "classes": ClassTally(normalize, seed)})
    tallies = read(rows, tallies)
    if tallies["health"].nonfinite_rows:
        raise nonfinite_error_of(source, "features") or AssertionError("unreachable: a value is not finite")
    if not bool(torch.isfinite(tallies["classes"].means).all()):
        raise too_large_error("features")
    return class_ranks(tallies["classes"])


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    return float(np.median(known))


def isotropic_ranks(class_sizes: np.ndarray, n_features: int) -> np.ndarray:
    """What isotropic features of each class's size read, (C,); NaN for one row."""
    sizes, which = np.unique(class_sizes, return_inverse=True)
    ranks = np.full(len(sizes), np.nan)
    for i in np.flatnonzero(sizes > 1):
        ranks[i] = effective_rank(isotropic_spectrum(int(sizes[i]), n_features, True))
    return ranks[which]


def _isotropic_median(size: Size) -> float | None:
    if size.class_sizes is None:
        return None
    most = most_rows(len(size.class_sizes), size.n_features)
    return _median(isotropic_ranks(np.minimum(size.class_sizes, most), size.n_features))


register(
    Measure(
        "class_rank_median", "median rank in a class", LABELS, class_effective_rank, ("class_ranks",),
        formula="effective rank of σ² of centred features, per class",
        source="Giraldo et al. 2015",
        question="Has each class become a point?",
        cannot_tell="which class: `class_effective_rank` does",
        rows_needed="2 per feature and class; small classes read low",
        convention="each class about its own mean; the median over classes",
        unit="dimensions",
        range=lambda size: (0, size.most),
        baseline=_isotropic_median,
        read=lambda ranks: _median(ranks.effective_rank),
        missing="every class has one row",
        no_interval="ranks of classes read low where their rows are few, and are not corrected",
    )
)  # fmt: skip


def class_ranks(tally: ClassTally) -> ClassRanks:
    """Effective rank of each class from the rows that a tally has kept of it."""
    names, _ = tally.classes()
    by_class = tally.rows_by_class()
    sizes = np.array([len(rows) for rows in by_class])
    ranks, baselines = np.full(len(names), np.nan), np.full(len(names), np.nan)
    # Classes of one size are worked out as one stack, which takes a fraction of the time of one after the other.
    for size in np.unique(sizes[sizes > 1]):
        of_size = np.flatnonzero(sizes == size)
        n_features = by_class[of_size[0]].shape[1]
        together = max(1, _STACK_VALUES // (int(size) * n_features))
        # In parts, because a stack of all classes may not fit into memory.
        for some in np.split(of_size, range(together, len(of_size), together)):
            ranks[some] = ranks_of_stack(torch.stack([by_class[i] for i in some]), tally.normalize)
        baselines[of_size] = effective_rank(isotropic_spectrum(int(size), n_features, True))
    return ClassRanks(names, sizes, ranks, baselines)


def ranks_of_stack(stack: Tensor, normalize: str | None) -> np.ndarray:
    """Effective rank of each of the stack's matrices (k, n, d); 0 where all rows of one are equal."""
    s = spectrum_of(stack, center=True, normalize=normalize, tail=False)
    largest = s.singular_values[:, 0] / stack.shape[1] ** 0.5
    # Rows of one direction are equal once they have unit length, but for the last bit.
    least = 8 * torch.finfo(stack.dtype).eps if normalize else 0.0
    varying = largest > least
    ranks = np.zeros(len(stack))
    if bool(varying.any()):
        some = dataclasses.replace(s, singular_values=s.singular_values[varying], mean=s.mean[varying])
        ranks[varying.cpu().numpy()] = effective_rank(some).cpu().numpy()
    return ranks


@own_settings
def between_class_variance(features: Features, labels: Labels) -> float:
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
    require_same_order(features, labels=labels)
    source = as_source(features)
    x = centred(finite_rows(source.read(0, source.n_samples)))
    codes, names = as_labels(labels, len(x))
    x = x / x.abs().max().clamp(min=torch.finfo(x.dtype).tiny)  # so that squares stay in range
    return read(PairedRows(source_of(x, "features"), labels=names[codes]), ClassTally()).between_share()


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
        question="How much of the variance do the labels explain?",
        cannot_tell="whether classes can be told apart: a small share can be enough",
        rows_needed="10 per class; it reads high where classes are small",
        convention="traces, not a ratio of matrices as in neural collapse",
        range=lambda size: (0, 1),
        baseline=_share_by_chance,
        read=lambda sums: sums.between_share(),
        aliases=("R² of the labels",),
        no_interval="it reads high where classes have few rows, and is not corrected",
    )
)  # fmt: skip
