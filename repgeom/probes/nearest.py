"""Which class do the nearest rows vote for? By cosine, in blocks of bounded memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import finite_matrix, unit_rows
from repgeom.data.kinds import Features, Groups, Indices, Labels
from repgeom.data.labels import as_labels, codes_among
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.numbers import one_or_several, real_number
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings
from repgeom.data.sources import as_source
from repgeom.measures.measure import LABELS, Measure, Size, register
from repgeom.measures.nearest_rows import check_neighbours, group_codes
from repgeom.measures.pair_sums import check_k

__all__ = ["knn_accuracy"]  # what `repgeom` shows; the probe itself stands in `repgeom.probes`

# Similarities that are held at once: 16 MB in float32.
_SIMILARITIES = 1 << 22
# Rows of the bank that are searched at once, so that a block still has 64 queries.
_BANK_ROWS = 1 << 16


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class KNNProbe(ShownInNotebook):
    """A vote of the nearest rows of a bank, by cosine.

    Attributes:
        bank: (m, n_features), unit rows. labels: (m,), codes into `classes`.
        classes: the labels in sorted order.
        k: numbers of neighbours; all are read from one search.
        temperature: None for one vote each, else a vote weighs exp(cosine / temperature).
        groups: (m,), codes of the rows' groups; None where none were given.
    """

    bank: Tensor
    labels: Tensor
    classes: np.ndarray
    k: tuple[int, ...]
    temperature: float | None = None
    groups: Tensor | None = None

    def __repr__(self) -> str:
        rows, features = self.bank.shape
        return f"<KNNProbe of {len(self.classes)} classes, {rows:,} rows of {features} features, k = {self.k}>"

    def predict(self, features: Features, leave_out: Indices = None) -> np.ndarray:
        """Labels (len(k), n); `leave_out` (n,) names a row of the bank that each query must not see, nor any of its group."""
        return self.classes[self._votes(features, leave_out).cpu().numpy()]

    def correct(self, features: Features, labels: Labels, leave_out: Indices = None) -> Tensor:
        """Which rows are voted right, (len(k), n) bool. A label that is not in the bank is wrong."""
        require_same_order(features, labels=labels)
        votes = self._votes(features, leave_out)
        return votes == codes_among(labels, votes.shape[1], self.classes).to(votes.device)

    def accuracy(self, features: Features, labels: Labels, leave_out: Indices = None) -> dict[int, float]:
        """{k: share of rows that are voted right}."""
        right = self.correct(features, labels, leave_out).double().mean(1)
        return dict(zip(self.k, right.tolist(), strict=True))

    def _votes(self, features: Any, leave_out: Any) -> Tensor:
        """The class that the neighbours of each query vote for, (len(k), n), as codes into `classes`."""
        x = unit_rows(finite_matrix(features, "features")).to(self.bank)
        if x.shape[1] != self.bank.shape[1]:
            raise ValueError(f"`features` has {x.shape[1]} columns, the bank {self.bank.shape[1]}.")
        # A row number that the bank does not have leaves nothing out.
        excluded = torch.full((len(x),), -1, device=self.bank.device)
        if leave_out is None:
            check_k(max(self.k), len(self.bank))
        else:
            excluded = self._checked_leave_out(leave_out, len(x))
            check_neighbours(max(self.k), len(self.bank), self.groups)
        step = max(1, _SIMILARITIES // min(len(self.bank), _BANK_ROWS))
        winners = []
        for start in range(0, len(x), step):
            similarity, rows = self._nearest(x[start : start + step], excluded[start : start + step])
            winners.append(self._winners(similarity, self.labels[rows]))
        return torch.cat(winners, 1)

    def _checked_leave_out(self, leave_out: Any, n: int) -> Tensor:
        """The bank's row that each of the n queries must not see, (n,). Raises ValueError unless they are such rows."""
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

    def _nearest(self, queries: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor]:
        """The largest similarities (q, max(k)), descending, and their rows of the bank, merged over pieces of the bank."""
        most = max(self.k)
        best = queries.new_zeros(len(queries), 0)
        rows = torch.zeros(len(queries), 0, dtype=torch.long, device=queries.device)
        for start in range(0, len(self.bank), _BANK_ROWS):
            similarity = queries @ self.bank[start : start + _BANK_ROWS].mT
            self._leave_out(similarity, excluded, start)
            top = similarity.topk(min(most, similarity.shape[1]), dim=1)
            best = torch.cat([best, top.values], 1)
            rows = torch.cat([rows, top.indices + start], 1)
            best, order = best.topk(min(most, best.shape[1]), dim=1)
            rows = rows.gather(1, order)
        return best, rows

    def _leave_out(self, similarity: Tensor, excluded: Tensor, start: int) -> None:
        """Put what each query must not see behind all others, in a piece of the bank that begins at row `start`."""
        stop = start + similarity.shape[1]
        if self.groups is not None:
            own = torch.where(excluded < 0, -1, self.groups[excluded])
            similarity.masked_fill_(own[:, None] == self.groups[start:stop], -torch.inf)
            return
        query = torch.nonzero((excluded >= start) & (excluded < stop))[:, 0]
        similarity[query, excluded[query] - start] = -torch.inf

    def _winners(self, similarity: Tensor, voters: Tensor) -> Tensor:
        """The class that wins the vote for each k, (len(k), q), from the neighbours' similarities and classes (q, max(k)).

        Of classes with equal votes the one wins whose nearest voter is nearer.
        """
        weights = torch.ones_like(similarity, dtype=torch.float64)
        if self.temperature is not None:
            # Relative to the nearest, whose weight is then 1: exp(cosine / temperature) itself may overflow.
            weights = ((similarity - similarity[:, :1]).double() / self.temperature).exp()
        rank = torch.arange(voters.shape[1], device=voters.device)
        size = (len(voters), len(self.classes))
        winners = []
        for k in self.k:
            votes = weights.new_zeros(size).scatter_add_(1, voters[:, :k], weights[:, :k])
            ranks = rank[:k].expand(len(voters), k)
            nearest_voter = rank.new_full(size, k).scatter_reduce_(1, voters[:, :k], ranks, "amin")
            has_most_votes = votes >= votes.amax(1, keepdim=True)
            winners.append(torch.where(has_most_votes, nearest_voter, k + 1).argmin(1))
        return torch.stack(winners)


@own_settings
def fit_knn_probe(
    features: Features,
    labels: Labels,
    *,
    k: int | Sequence[int] = 10,
    temperature: float | None = None,
    groups: Groups = None,
) -> KNNProbe:
    """A bank of labelled features that votes on new ones, by cosine. Of equal votes the class with the nearest row wins.

    Args:
        features: (m, n_features), any array kind. Kept as unit rows on their device.
        labels: (m,), whole numbers or text.
        k: neighbours, one number or several; one search of the largest serves them all, in blocks of bounded memory.
        temperature: None for equal votes; DINO's evaluation weighs them by exp(cosine / 0.07).
        groups: (m,), whole numbers or text, where rows of a group depend on each other. `leave_out` then leaves out a row's
            whole group.

    Raises:
        ValueError: NaN, labels of another length, k not from 1 to m, a temperature that is not positive.

    >>> probe = fit_knn_probe([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]], ["a", "a", "b"], k=[1, 3])
    >>> probe.predict([[0.1, 1.0]]).tolist()
    [['b'], ['a']]
    """
    require_same_order(features, labels=labels, groups=groups)
    x = unit_rows(finite_matrix(features, "features"))
    codes, classes = as_labels(labels, len(x))
    several = one_or_several(k)
    numbers = tuple(check_k(number, len(x)) for number in several)
    if not numbers:
        raise ValueError("`k` is empty; give one number of neighbours or several.")
    if temperature is not None:
        number = real_number(temperature)
        if number is None or not 0 < number < math.inf:
            raise ValueError(f"`temperature` must be a positive number or None, got {temperature!r}.")
        temperature = number
    own = group_codes(groups, len(x), x.device)
    return KNNProbe(x, torch.as_tensor(codes, device=x.device), classes, numbers, temperature, own)


@own_settings
def knn_accuracy(features: Features, labels: Labels, *, k: int = 10, groups: Groups = None) -> float:
    """Leave-one-out accuracy of a vote of the k nearest other rows by cosine. Ties go to the class that is nearer.

    Args:
        features: (n_samples, n_features). Costs O(n² d), in blocks.
        labels: (n_samples,), whole numbers or text.
        k: neighbours; at most n_samples − 1.
        groups: (n_samples,), whole numbers or text, where rows of a group depend on each other (frames of a video): a row's
            whole group is then left out of its vote. With labels drawn per group a row would else find its own label beside it.

    Returns:
        In [0, 1]. Compare with the share of the most frequent class.

    Raises:
        ValueError: another number of labels, k out of range, a group that leaves its rows fewer than k neighbours; else as
            `effective_rank`.

    >>> knn_accuracy([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]], ["a", "a", "b", "b"], k=1)
    1.0
    """
    require_same_order(features, labels=labels, groups=groups)
    source = as_source(features)
    x = source.read(0, source.n_samples)
    k = check_neighbours(k, len(x), group_codes(groups, len(x)))
    probe = fit_knn_probe(x, labels, k=k, groups=groups)
    return probe.accuracy(x, labels, leave_out=np.arange(len(x)))[k]


def _share_of_largest_class(size: Size) -> float | None:
    """The accuracy of always naming the most frequent class."""
    if size.class_sizes is None:
        return None
    return float(size.class_sizes.max() / size.class_sizes.sum())


register(
    Measure(
        "knn_accuracy", "kNN accuracy", LABELS, knn_accuracy, ("votes",),
        formula="leave-one-out vote of the 10 nearest by cosine",
        source="Cover & Hart 1967",
        question="Do rows have neighbours of their own class?",
        cannot_tell="what a trained classifier would reach",
        rows_needed="10 per class",
        convention="10 nearest by cosine, leave-one-out; groups leave their own rows out",
        range=lambda size: (0, 1),
        baseline=_share_of_largest_class,
        better="higher",
        read=lambda votes: votes.value,
        missing="most rows have no row of their class outside of their own group",
        invariances=("rotation", "scale", "order"),
    )
)  # fmt: skip
