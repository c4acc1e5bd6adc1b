"""How often is a row's most similar row of another cloud its own partner, and what does a change of both clouds do to that?"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from repgeom.data.arrays import pair_blocks, unit_rows
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.progress_bar import with_bar
from repgeom.data.settings import own_settings
from repgeom.inference.estimate import Estimate
from repgeom.inference.halves import error_of_mean, halves
from repgeom.inference.neighbours import NeighbourMean

_TIED = 1e-12  # cosines that differ by less differ by rounding


@own_settings
@dataclasses.dataclass(frozen=True)
class Retrieval(ShownInNotebook):
    """How often the most similar row is the partner; rows that tie with it share the hit.

    Where fewer than about five rows are found, or change, no interval can be exact: those given hold more often than asked. Where
    clouds lie further apart than they are wide, single rows draw most of the others, and 95 % intervals before the change hold 90 %.

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
    before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], seed: int, confidence: float, progress: bool
) -> tuple[Retrieval, Retrieval]:
    """From the first cloud to the second and back, by cosine. Row i of all is one sample, (n, d) each."""
    splits = halves(len(before[0]), 1, seed)
    found = []
    for asking, sought in ((0, 1), (1, 0)):
        hits = [_hits(unit_rows(pair[asking]), unit_rows(pair[sought]), splits, progress) for pair in (before, after)]
        first, second = (_mean(h, splits).estimate(confidence, share_of_rows=True) for h in hits)
        gain = _change(hits[1] - hits[0], splits).estimate(confidence, least=-1.0)
        found.append(Retrieval(first, second, gain, len(before[0])))
    return found[0], found[1]


def _hits(queries: Tensor, rows: Tensor, splits: list[Tensor], progress: bool) -> Tensor:
    """Which rows find their partner (1 + splits, n): among all rows, and among those of their own half of each split."""
    n = len(rows)
    side = torch.stack([torch.ones(n), *(half.double() for half in splits)]).to(rows)
    found = torch.empty_like(side)
    for start, block in with_bar(list(pair_blocks(queries)), "retrieval", progress):
        similarity = block @ rows.mT
        own = torch.arange(start, start + len(block), device=rows.device)
        partner = similarity.gather(1, own[:, None])
        ahead = (similarity > partner + _TIED).to(rows)
        level = ((similarity - partner).abs() <= _TIED).to(rows)
        # Of the rows in each half; column 0 counts all rows.
        counts = [_in_own(kind @ side.mT, kind.sum(1), side[:, own].mT) for kind in (ahead, level)]
        found[:, own] = torch.where(counts[0] == 0, 1 / counts[1].clamp(min=1), 0).mT
    return found


def _in_own(of_ones: Tensor, total: Tensor, side: Tensor) -> Tensor:
    """Counts (q, splits) in a row's own half, from those in half 1."""
    return torch.where(side == 1, of_ones, total[:, None] - of_ones)


def _mean(hits: Tensor, splits: list[Tensor]) -> NeighbourMean:
    """The mean of column 0 with its error, from how much the halves of each split differ."""
    value, n = float(hits[0].mean()), hits.shape[1]
    if not splits:
        return NeighbourMean(value, None, n, f"{n:,} rows")
    return NeighbourMean(value, error_of_mean(hits[0], hits[1:], splits), n, f"{n:,} rows")


def _change(changes: Tensor, splits: list[Tensor]) -> NeighbourMean:
    """The same of hits after less before."""
    return dataclasses.replace(_mean(changes, splits), changes=changes[0].sign())
