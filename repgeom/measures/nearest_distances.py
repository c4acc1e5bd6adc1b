"""How far away are the nearest other rows of each row? Euclidean distances, exact to rounding."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeom.data.arrays import CHUNK_VALUES
from repgeom.data.progress_bar import with_bar

# Squared lengths less products find neighbours and say how far they are. Of a distance whose square is a smaller share of those
# lengths, rounding would leave fewer than 12 digits: such a one is taken from the difference of the rows.
_EXACT_ABOVE = 1e-3
# Rows that are listed beyond the k asked for, since of rows that lie very near each other the order by products is rounding.
_SPARE = 8
_QUERIES = 512  # rows that ask together
_BANK_ROWS = 1 << 13  # that they ask at once; with the line above, 34 MB of float64


def nearest_distances(
    rows: Tensor, k: int, *, groups: Tensor | None = None, progress: bool = False
) -> tuple[Tensor, Tensor]:
    """Distances (float64) and numbers (n, k) of the k nearest other rows, from near to far.

    Args:
        rows: (n, n_features), finite, on any device; all arithmetic is in float64, and beside the rows memory is small.
        k: neighbours; every row must have so many.
        groups: (n,), codes of the rows' groups; rows of a row's own group are left out as well.
        progress: show a bar on standard error where that is a terminal.
    """
    # About the mean, squares lose no digits to a common offset.
    mean = rows.mean(0, dtype=torch.float64)
    distances, numbers = [], []
    every_row = torch.arange(len(rows), device=rows.device)
    blocks = every_row.split(_QUERIES)
    for own in with_bar(blocks, "neighbours", progress):
        squared, found = _listed(rows, mean, own, k + _SPARE, groups)
        ordered, order = _exact(rows, mean, own, squared, found).sort(stable=True, dim=1)
        distances.append(ordered[:, :k])
        numbers.append(found.gather(1, order)[:, :k])
    return torch.cat(distances), torch.cat(numbers)


def _listed(rows: Tensor, mean: Tensor, own: Tensor, most: int, groups: Tensor | None) -> tuple[Tensor, Tensor]:
    """The smallest squared distances of rows `own` (q,) to others, to rounding, and which rows those are (q, most)."""
    queries = rows[own].double() - mean
    lengths = queries.square().sum(1, keepdim=True)
    best = lengths.new_zeros(len(own), 0)
    found = own.new_zeros(len(own), 0)
    for start in range(0, len(rows), _BANK_ROWS):
        bank = rows[start : start + _BANK_ROWS].double() - mean
        squared = lengths + bank.square().sum(1) - 2 * (queries @ bank.mT)
        others = torch.arange(start, start + len(bank), device=rows.device)
        same = own[:, None] == others
        if groups is not None:
            same = groups[own][:, None] == groups[others]
        near = squared.masked_fill(same, torch.inf).topk(min(most, len(bank)), dim=1, largest=False)
        best, found = torch.cat([best, near.values], 1), torch.cat([found, near.indices + start], 1)
        best, order = best.topk(min(most, best.shape[1]), dim=1, largest=False)
        found = found.gather(1, order)
    return best, found


def _exact(rows: Tensor, mean: Tensor, own: Tensor, squared: Tensor, others: Tensor) -> Tensor:
    """Distances (q, m) between rows `own` (q,) and rows `others` (q, m), whose squares are known but for rounding."""
    lengths = (rows[own].double() - mean).square().sum(1, keepdim=True)
    asking, place = torch.nonzero(squared < _EXACT_ABOVE * lengths, as_tuple=True)
    distances = squared.clamp(min=0).sqrt()
    for some in torch.arange(len(asking), device=rows.device).split(max(1, CHUNK_VALUES // rows.shape[1])):
        at = asking[some], place[some]
        distances[at] = torch.linalg.vector_norm(rows[others[at]].double() - rows[own[at[0]]].double(), dim=1)
    return distances
