"""How sure is a mean over rows of what their neighbours say? Rows share neighbours, so their spread alone says too little.

The rows are split at random into two halves, in each of which neighbours are those of the half. Halves have no row in
common, so the difference of their means has four times the variance of the whole's mean. Twenty splits are averaged
(balanced half-samples, McCarthy 1969), and scaled by how single rows vary among all rows and in halves. In twelve populations of
240 and 300 rows 95 % intervals hold 93 to 98 % (`studies/neighbour_intervals.md`, `studies/likeness.md`). The spread of rows
alone held 80 to 92 %; leaving out single rows or groups of rows overstates the error up to three times. Rows of one group go to one half, since halves must not depend on each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from repgeom.data.arrays import pair_blocks
from repgeom.inference.estimate import Estimate
from repgeom.inference.halves import SPLITS, error_of_mean, halves, in_own_half, listed_for_halves
from repgeom.inference.intervals import normal_quantile, quantile, share_interval, tango
from repgeom.measures.nearest_rows import check_neighbours, most_neighbours, nearest, rows_of_few_groups


@dataclasses.dataclass(frozen=True)
class NeighbourMean:
    """A mean over n rows of what neighbours say, with its standard error; None where rows are too few to be split.

    `few` names what is too few then. `changes` (rows, or groups) are −1, 0 and 1 where two readings of the same rows were compared:
    where hardly any changed, halves hardly differ and say nothing of the rows that did not come.
    """

    value: float
    error: float | None
    n: int
    few: str = "rows"
    changes: Tensor | None = None

    def estimate(self, confidence: float, *, share_of_rows: bool = False, least: float = 0.0) -> Estimate:
        """The value expected of as many rows; the interval is Wilson's where each row is either right or wrong.

        `least` is the smallest value that there can be: −1 for a difference of shares.
        """
        value, n = self.value, self.n
        if self.error is None:
            reason = f"no interval: {self.few} are too few to be split into halves"
            return Estimate(value, value, None, None, None, n, "these rows", (reason,))
        t = quantile(confidence, SPLITS)
        low, high = max(least, value - t * self.error), min(1.0, value + t * self.error)
        if share_of_rows:
            low, high = self._interval_of_share(confidence)
        if self.changes is not None:
            least_low, most_high = tango(self.changes, normal_quantile(confidence))
            low, high = min(low, least_low), max(high, most_high)
        return Estimate(value, value, low, high, self.error, n, "half-samples", degrees=float(SPLITS))

    def _interval_of_share(self, confidence: float) -> tuple[float, float]:
        """Wilson's, with as many independent rows as would err as much: a share v of n errs by √(v (1 − v) / n).

        Never of more than there are; then the binomial law gives the error, and there are no degrees of freedom to allow for.
        """
        assert self.error is not None
        variance = self.value * (1 - self.value)
        if variance == 0 or variance >= self.n * self.error**2:
            return share_interval(self.value, self.n, confidence, normal_quantile(confidence))
        return share_interval(self.value, variance / self.error**2, confidence, quantile(confidence, SPLITS))


class Neighbours:
    """The nearest other rows of each row, in all rows and in the halves of every split.

    Args:
        units: (n, n_features), rows of unit length.
        k: neighbours that are asked.
        seed: of the splits.
        groups: (n,), codes of groups, of which a row's own is left out of its neighbours.
    """

    def __init__(self, units: Tensor, k: int, seed: int, groups: Tensor | None = None) -> None:
        n = len(units)
        self.groups = groups
        self.k = check_neighbours(k, n, groups)
        n_drawn, self.few = n, f"{n:,} rows"
        if groups is not None:
            n_drawn = int(groups.max()) + 1
            self.few = f"{n_drawn:,} groups"
        self.splits = [half.to(units.device) for half in halves(n, k, seed, groups)]
        self.lists = self._listed(units)

    def shared_with(self, units: Tensor) -> NeighbourMean:
        """Share of each row's nearest that are so among other rows of unit length too (`mutual_knn`)."""
        return self._shared(self._listed(units))

    def shared_between(self, other: Neighbours) -> NeighbourMean:
        """The same with the neighbours of other rows, listed already."""
        return self._shared(other.lists)

    def _shared(self, others: Tensor) -> NeighbourMean:
        def read(half: Tensor | None) -> Tensor:
            (mine, here), (theirs, there) = self._first(self.lists, half), self._first(others, half)
            same = (mine[:, :, None] == theirs[:, None]) & here[:, :, None] & there[:, None]
            # A list can hold fewer than k rows of a half; then as many are compared as there are.
            filled = torch.maximum(here.sum(1), there.sum(1)).clamp(min=1)
            return same.sum((1, 2)).double() / filled

        return self._mean(read)

    def votes(self, labels: Tensor) -> NeighbourMean:
        """Share of rows whose nearest vote for their own label (n,) (`knn_accuracy`)."""
        return self._mean(lambda half: self._voted(labels, half))

    def votes_gained(self, other: Neighbours, labels: Tensor) -> NeighbourMean:
        """The share of rows that are voted right here less that among other features of the same rows, read row by row.

        Both must have been made with one k, seed and groups, so that their halves are the same.
        """
        found = self._mean(lambda half: self._voted(labels, half) - other._voted(labels, half))
        changes = self._voted(labels, None) - other._voted(labels, None)
        if self.groups is not None:
            sums = changes.new_zeros(int(self.groups.max()) + 1).index_add_(0, self.groups.to(changes.device), changes)
            changes = sums.sign()
        return dataclasses.replace(found, changes=changes)

    def accuracy(self, labels: Tensor) -> float:
        """The value of `votes` alone."""
        return float(self._voted(labels, None).mean())

    def gain(self, other: Neighbours, labels: Tensor) -> float:
        """The same in all rows, without an error: a look before the halves are read."""
        return float((self._voted(labels, None) - other._voted(labels, None)).mean())

    def _voted(self, labels: Tensor, half: Tensor | None) -> Tensor:
        """1 for each row whose nearest, in its half, vote for its own label, else 0."""
        rows, here = self._first(self.lists, half)
        voters = labels[rows]
        votes = ((voters[:, :, None] == voters[:, None]) & here[:, None]).sum(2)
        # `argmax` finds the first: of equal votes the label wins whose nearest voter is nearer.
        winners = voters.gather(1, votes.argmax(1, keepdim=True))[:, 0]
        # A row whose list holds nobody of its half hears no vote.
        return ((winners == labels) & here.any(1)).double()

    def _listed(self, units: Tensor) -> Tensor:
        """Nearest other rows, near to far."""
        most = listed_for_halves(self.k) + rows_of_few_groups(self.groups)
        most = min(most, most_neighbours(len(units), self.groups))
        return torch.cat([nearest(block, units, start, most, self.groups)[1] for start, block in pair_blocks(units)])

    def _first(self, lists: Tensor, half: Tensor | None) -> tuple[Tensor, Tensor]:
        """The first k (n, k) of each list that are in the row's own half, and which of the k places are filled."""
        if half is None:
            first = lists[:, : self.k]
            return first, torch.ones_like(first, dtype=torch.bool)
        first, filled = in_own_half(lists, half, self.k)
        return lists.gather(1, first), filled

    def _mean(self, read: Callable[[Tensor | None], Tensor]) -> NeighbourMean:
        """From what each row reads in all rows, or in its half of a split."""
        whole = read(None)
        if not self.splits:
            return NeighbourMean(float(whole.mean()), None, len(whole), self.few)
        of_halves = torch.stack([read(half) for half in self.splits])
        return NeighbourMean(float(whole.mean()), error_of_mean(whole, of_halves, self.splits), len(whole), self.few)
