"""How often is a row's most similar row of another cloud its own partner, and what does a change of both clouds do to that?"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from repgeom.data.arrays import pair_blocks, unit_rows
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.progress_bar import with_bar
from repgeom.data.settings import own_settings
from repgeom.inference.estimate import Estimate
from repgeom.inference.halves import error_of_mean, halves
from repgeom.inference.neighbours import NeighbourMean
from repgeom.measures.nearest_rows import mean_candidates

# So many times √n rows must draw the others. With √n one sample in eight of clouds two standard deviations apart has an interval,
# and of these 61 % hold.
_DRAWING = 1.5
_TIED = 1e-12  # cosines that differ by less differ by rounding


@own_settings
@dataclasses.dataclass(frozen=True)
class Retrieval(ShownInNotebook):
    """How often the most similar row is the partner; rows that tie with it share the hit.

    Where fewer than about five rows are found, are missed, or change, no interval can be exact: those given hold more often than
    asked. Where clouds lie further apart than they are wide, a few rows are the most similar to most others. If these are fewer than
    1.5 √n, how often others find their partner hangs on them, and there is no interval.

    Attributes:
        before, after: a change of both clouds.
        gain: after less before, of the same rows.
        candidates: rows among which each was sought; by chance one in so many is found.
    """

    before: Estimate
    after: Estimate
    gain: Estimate
    candidates: int


def retrieval_of(
    before: tuple[Tensor, Tensor],
    after: tuple[Tensor, Tensor],
    seed: int,
    confidence: float,
    progress: bool,
    groups: Tensor | None = None,
) -> tuple[Retrieval, Retrieval]:
    """From the first cloud to the second and back, by cosine. Row i of all is one sample, (n, d) each.

    `groups`: codes (n,), of which rows of a row's own group, but for its partner, are not sought among.
    """
    splits = halves(len(before[0]), 1, seed, groups)
    candidates = 1 + round(mean_candidates(len(before[0]), groups))
    found = []
    for asking, sought in ((0, 1), (1, 0)):
        first, second = (
            _hits(unit_rows(pair[asking]), unit_rows(pair[sought]), splits, progress, groups)
            for pair in (before, after)
        )
        change = _change(second.found - first.found, splits, groups).estimate(confidence, least=-1.0)
        shares = [
            hits.unless_few_draw(_mean(hits.found, splits, groups).estimate(confidence, share_of_rows=True))
            for hits in (first, second)
        ]
        found.append(Retrieval(shares[0], shares[1], change, candidates))
    return found[0], found[1]


@dataclasses.dataclass(frozen=True)
class _Hits:
    """What one search found.

    Attributes:
        found: (1 + splits, n), which rows find their partner: among all rows, and among those of their own half of each split.
        drawn: (n,), to how many rows each is the most similar.
    """

    found: Tensor
    drawn: Tensor

    def unless_few_draw(self, share: Estimate) -> Estimate:
        """The share without its interval where fewer than 1.5 √n rows draw all others, of which halves see too little."""
        n = len(self.drawn)
        # As many rows that draw alike would have this sum of squares.
        drawing = n**2 / float(self.drawn.square().sum())
        needed = _DRAWING * math.sqrt(n)
        if share.low is None or drawing >= needed:
            return share
        reason = (
            f"no interval: about {drawing:.2g} of {n:,} rows are the most similar to all others; "
            f"it takes at least {math.ceil(needed)}"
        )
        return dataclasses.replace(
            share, low=None, high=None, se=None, degrees=None, warnings=(*share.warnings, reason)
        )


def _hits(queries: Tensor, rows: Tensor, splits: list[Tensor], progress: bool, groups: Tensor | None) -> _Hits:
    n = len(rows)
    side = torch.stack([torch.ones(n), *(half.double() for half in splits)]).to(rows)
    found, drawn = torch.empty_like(side), rows.new_zeros(n)
    for start, block in with_bar(list(pair_blocks(queries)), "retrieval", progress):
        similarity = block @ rows.mT
        own = torch.arange(start, start + len(block), device=rows.device)
        partner = similarity.gather(1, own[:, None])
        if groups is not None:
            similarity = similarity.masked_fill(groups[own][:, None] == groups, -torch.inf)
            similarity.scatter_(1, own[:, None], partner)
        drawn += similarity.argmax(1).bincount(minlength=n)
        ahead = (similarity > partner + _TIED).to(rows)
        level = ((similarity - partner).abs() <= _TIED).to(rows)
        # Of the rows in each half; column 0 counts all rows.
        counts = [_in_own(kind @ side.mT, kind.sum(1), side[:, own].mT) for kind in (ahead, level)]
        found[:, own] = torch.where(counts[0] == 0, 1 / counts[1].clamp(min=1), 0).mT
    return _Hits(found, drawn)


def _in_own(of_ones: Tensor, total: Tensor, side: Tensor) -> Tensor:
    """Counts (q, splits) in a row's own half, from those in half 1."""
    return torch.where(side == 1, of_ones, total[:, None] - of_ones)


def _mean(hits: Tensor, splits: list[Tensor], groups: Tensor | None) -> NeighbourMean:
    """The mean of column 0 with its error, from how much the halves of each split differ."""
    value, n = float(hits[0].mean()), hits.shape[1]
    if not splits:
        few = f"{n:,} rows" if groups is None else f"{int(groups.max()) + 1:,} groups"
        return NeighbourMean(value, None, n, few)
    return NeighbourMean(value, error_of_mean(hits[0], hits[1:], splits), n)


def _change(changes: Tensor, splits: list[Tensor], groups: Tensor | None) -> NeighbourMean:
    """The same of hits after less before."""
    of_draws = changes[0]
    if groups is not None:
        of_draws = of_draws.new_zeros(int(groups.max()) + 1).index_add_(0, groups, of_draws)
    return dataclasses.replace(_mean(changes, splits, groups), changes=of_draws.sign())
