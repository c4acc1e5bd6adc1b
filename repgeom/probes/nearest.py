"""Which class do the nearest rows vote for? By cosine, in blocks of bounded memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_source, finite_matrix, unit_rows
from repgeom.data.labels import as_labels, codes_among
from repgeom.measures.measure import LABELS, Measure, Size, register
from repgeom.measures.pairs import check_k

__all__ = ["knn_accuracy"]  # what `repgeom` shows; the probe itself stands in `repgeom.probes`

_SIMILARITIES = 1 << 22  # similarities that are held at once
_BANK_ROWS = 1 << 16  # of a bank that are searched at once


@dataclasses.dataclass(frozen=True, repr=False)
class KNNProbe:
    """A vote of the nearest rows of a bank, by cosine.

    Attributes:
        bank: (m, n_features), unit rows. labels: (m,), codes into `classes`.
        classes: the labels in sorted order.
        k: numbers of neighbours; all are read from one search.
        temperature: None for one vote each, else a vote weighs exp(cosine / temperature).
    """

    bank: Tensor
    labels: Tensor
    classes: np.ndarray
    k: tuple[int, ...]
    temperature: float | None = None

    def __repr__(self) -> str:
        rows, features = self.bank.shape
        return f"<KNNProbe of {len(self.classes)} classes, {rows:,} rows of {features} features, k = {self.k}>"

    def predict(self, features: Any, leave_out: Any = None) -> np.ndarray:
        """Labels (len(k), n); `leave_out` (n,) names a row of the bank that each query must not see."""
        return self.classes[self._votes(features, leave_out).cpu().numpy()]

    def correct(self, features: Any, labels: Any, leave_out: Any = None) -> Tensor:
        """Which rows are voted right, (len(k), n) bool. A label that is not in the bank is wrong."""
        votes = self._votes(features, leave_out)
        return votes == codes_among(labels, votes.shape[1], self.classes).to(votes.device)

    def accuracy(self, features: Any, labels: Any, leave_out: Any = None) -> dict[int, float]:
        """{k: share of rows that are voted right}."""
        right = self.correct(features, labels, leave_out).double().mean(1)
        return dict(zip(self.k, right.tolist(), strict=True))

    def _votes(self, features: Any, leave_out: Any) -> Tensor:
        x = unit_rows(finite_matrix(features, "features")).to(self.bank)
        if x.shape[1] != self.bank.shape[1]:
            raise ValueError(f"`features` has {x.shape[1]} columns, the bank {self.bank.shape[1]}.")
        own = None if leave_out is None else self._left_out(leave_out, len(x))
        check_k(max(self.k), len(self.bank) - (own is not None))
        found = []
        for start in range(0, len(x), step := max(1, _SIMILARITIES // min(len(self.bank), _BANK_ROWS))):
            similarity, index = self._nearest(
                x[start : start + step], None if own is None else own[start : start + step]
            )
            found.append(self._counted(similarity, self.labels[index]))
        return torch.cat(found, 1)

    def _left_out(self, leave_out: Any, n: int) -> Tensor:
        rows = np.asarray(leave_out)
        if (
            rows.shape != (n,)
            or rows.dtype.kind not in "iu"
            or (n and not 0 <= rows.min() <= rows.max() < len(self.bank))
        ):
            raise ValueError(
                f"`leave_out` must be {n} row numbers of the bank, 0 to {len(self.bank) - 1}, one for each query; got shape "
                f"{rows.shape}, {rows.dtype}."
            )
        return torch.as_tensor(rows.astype(np.int64), device=self.bank.device)

    def _nearest(self, queries: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
        """The largest k similarities (q, k) and their rows, merged over pieces of the bank."""
        most = max(self.k)
        best = queries.new_full((len(queries), 0), 0)
        rows = torch.zeros(len(queries), 0, dtype=torch.long, device=queries.device)
        for start in range(0, len(self.bank), _BANK_ROWS):
            similarity = queries @ self.bank[start : start + _BANK_ROWS].mT
            if own is not None:
                here = torch.nonzero((own >= start) & (own < start + similarity.shape[1]))[:, 0]
                similarity[here, own[here] - start] = -torch.inf
            top = similarity.topk(min(most, similarity.shape[1]), dim=1)
            best, rows = torch.cat([best, top.values], 1), torch.cat([rows, top.indices + start], 1)
            best, order = best.topk(min(most, best.shape[1]), dim=1)
            rows = rows.gather(1, order)
        return best, rows

    def _counted(self, similarity: Tensor, voters: Tensor) -> Tensor:
        """The winner for each k, (len(k), q); of equal votes the class whose nearest voter stands first wins."""
        places = torch.arange(voters.shape[1], device=voters.device)
        size = (len(voters), len(self.classes))
        weights = torch.ones_like(similarity) if self.temperature is None else (
            (similarity - similarity[:, :1]).double() / self.temperature).exp()  # fmt: skip
        winners = []
        for k in self.k:
            votes = weights.new_zeros(size, dtype=torch.float64)
            votes.scatter_add_(1, voters[:, :k], weights[:, :k].double())
            first = places.new_full(size, k).scatter_reduce_(
                1, voters[:, :k], places[:k].expand(len(voters), k), "amin"
            )
            most = votes.amax(1, keepdim=True)
            winners.append(torch.where(votes >= most, first, k + 1).argmin(1))
        return torch.stack(winners)


def fit_knn_probe(
    features: Any, labels: Any, *, k: int | Sequence[int] = 10, temperature: float | None = None
) -> KNNProbe:
    """A bank of labelled features that votes on new ones, by cosine. Of equal votes the class with the nearest row wins.

    Args:
        features: (m, n_features), any array kind. Kept as unit rows on their device.
        labels: (m,), whole numbers or text.
        k: neighbours, one number or several; one search of the largest serves them all, in blocks of bounded memory.
        temperature: None for equal votes; DINO's evaluation weighs them by exp(cosine / 0.07).

    Raises:
        ValueError: NaN, labels of another length, k not from 1 to m, a temperature that is not positive.

    >>> probe = fit_knn_probe([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], ["a", "a", "b"], k=[1, 3])
    >>> probe.predict([[0.1, 1.0]]).tolist()
    [['b'], ['a']]
    """
    x = unit_rows(finite_matrix(features, "features"))
    codes, classes = as_labels(labels, len(x))
    several = tuple(check_k(value, len(x)) for value in (k if isinstance(k, (Sequence, np.ndarray)) else (k,)))
    if not several:
        raise ValueError("`k` is empty; give one number of neighbours or several.")
    if temperature is not None and not (isinstance(temperature, (int, float)) and 0 < temperature < math.inf):
        raise ValueError(f"`temperature` must be a positive number or None, got {temperature!r}.")
    return KNNProbe(x, torch.as_tensor(codes, device=x.device), classes, several, temperature)


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
    source = as_source(features)
    x = source.read(0, source.n_samples).double()
    check_k(k, len(x) - 1)
    probe = fit_knn_probe(x, labels, k=k)
    return probe.accuracy(x, labels, leave_out=np.arange(len(x)))[k]


def _share_of_largest_class(size: Size) -> float | None:
    """The accuracy of always naming the most frequent class."""
    if size.class_sizes is None:
        return None
    return float(size.class_sizes.max() / size.class_sizes.sum())


register(
    Measure(
        "knn_accuracy", "kNN accuracy", LABELS, knn_accuracy, ("sample", "sample_labels", "neighbours"),
        formula="leave-one-out vote of the 10 nearest by cosine",
        source="Cover & Hart 1967",
        range=lambda size: (0, 1),
        baseline=_share_of_largest_class,
        better="higher",
        read=lambda sample, labels, k: knn_accuracy(sample, labels, k=k),
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip
