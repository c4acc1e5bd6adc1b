"""What does a change of the input do to neighbours? With intervals although all samples share them.

A sample's neighbours are other samples, so contributions of samples are not independent. The intervals come from leaving
out one of twenty groups of samples at a time, as asker and as neighbour (delete-a-group jackknife, Kott 2001): the group's
pseudo-value is what it contributes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.data.arrays import pair_blocks
from repgeom.measures.nearest_rows import check_neighbours, most_neighbours, nearest, rows_of_few_groups
from repgeom.robustness.measurement import Measurement

# 19 degrees of freedom: Student's 0.975 quantile is 2.09, near the normal one of 1.96.
GROUPS = 20
OF_NEIGHBOURS = ("knn_overlap", "mutual_knn", "self_retrieval")


class Neighbourhoods:
    """The nearest other rows of clean rows of unit length, with which corrupted ones will be compared.

    More neighbours than k are listed, so that k are left when a group is left out. `own` (n,): codes of the user's groups,
    of which a row's own holds none of its neighbours; each is left out whole.
    """

    def __init__(self, units: Tensor, k: int, seed: int, own: Tensor | None = None) -> None:
        n = len(units)
        self.units, self.k, self.own = units, check_neighbours(k, n, own), own
        self.listed = min(2 * k + 10 + rows_of_few_groups(own), most_neighbours(n, own))
        self.n_drawn = n if own is None else int(own.max()) + 1
        n_groups = min(GROUPS, self.n_drawn)
        # Drawn on the CPU: the groups are then the same on every device.
        random = torch.Generator().manual_seed(int(seed))
        drawn = (torch.randperm(self.n_drawn, generator=random) % n_groups).to(units.device)
        self.groups = drawn if own is None else drawn[own]
        # −1 stands for no group.
        self.left_out = torch.arange(-1, n_groups, device=units.device)
        self.clean = self._listed(units, units)[1]

    def compared(self, moved: Tensor) -> list[Measurement]:
        """Shared neighbours and self-retrieval of corrupted rows of unit length."""
        similarity, found = self._listed(moved, self.units)
        among = self._listed(moved, moved)[1]
        # Lists run from near to far, and argmax of 0 and 1 finds the first 1: the nearest neighbour that is kept.
        best = similarity.expand(len(self.left_out), -1, -1).gather(2, self._kept(found).int().argmax(2, keepdim=True))
        # Two products round in different ways: rows that are equal must not count as lost.
        tolerance = 64 * torch.finfo(moved.dtype).eps
        own = (moved * self.units).sum(1)
        return [
            self._measurement("knn_overlap", self._shared(found), "share"),
            self._measurement("mutual_knn", self._shared(among), "share"),
            self._measurement("self_retrieval", own >= best[..., 0] - tolerance, "binary"),
        ]

    def _listed(self, queries: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        """Similarities and indices (n, listed) of the nearest other rows, nearest first."""
        found = [nearest(block, units, start, self.listed, self.own) for start, block in pair_blocks(queries)]
        return torch.cat([values for values, _ in found]), torch.cat([rows for _, rows in found])

    def _kept(self, rows: Tensor) -> Tensor:
        """(groups + 1, *rows.shape): which are there when none, or one of the groups, is left out."""
        return self.groups[rows] != self.left_out.view(-1, *[1] * rows.ndim)

    def _shared(self, found: Tensor) -> Tensor:
        """Share of each row's k nearest clean neighbours among the first k found, (groups + 1, n)."""
        # Binary search in sorted indices says who is in both lists, without comparing all pairs of the two.
        ordered, order = found.sort(1)
        at = torch.searchsorted(ordered, self.clean).clamp(max=self.listed - 1)
        place = order.gather(1, at).expand(len(self.left_out), -1, -1)
        mine, theirs = (self._first(rows) for rows in (self.clean, found))
        return (mine & (ordered.gather(1, at) == self.clean) & theirs.gather(2, place)).sum(2).double() / self.k

    def _first(self, rows: Tensor) -> Tensor:
        kept = self._kept(rows)
        return kept & (kept.cumsum(2) <= self.k)

    def _measurement(self, name: str, values: Tensor, kind: str) -> Measurement:
        """From what each row reads when none, or one group, is left out."""
        asking = self._kept(torch.arange(len(self.units), device=values.device))
        n = len(self.units)
        whole, *without = ((values * asking).sum(1).double() / asking.sum(1)).unbind()
        if self.n_drawn < GROUPS:
            what = "samples" if self.own is None else "groups"
            return Measurement(name, float(whole), n, note=f"no interval: fewer than {GROUPS} {what}")
        # With G groups, G θ − (G − 1) θ without group g.
        pseudo = len(without) * whole - (len(without) - 1) * torch.stack(without)
        return Measurement(name, float(whole), n, pseudo, kind)
