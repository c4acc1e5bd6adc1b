"""Which other rows lie nearest to each row, where rows of its own group are no neighbours?"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import row_norms, unit_rows
from repgeom.data.labels import as_labels
from repgeom.measures.pair_sums import check_k

METRICS = ("cosine", "euclidean", "dot")
# Cosines of float64 rows that differ by less differ by rounding; cosines have no scale. Of float32 rows a few roundings.
_TIED = 1e-12
_TIED_FLOAT32 = 5e-7


@dataclasses.dataclass(frozen=True)
class Space:
    """Rows as one metric compares them: the neighbours of a query are the rows with the largest products with it.

    Attributes:
        queries, rows: (..., n, ·), whose products order the neighbours of each row.
        lengths: (..., n) of the rows that the products are made of. Rounding grows with them.
    """

    queries: Tensor
    rows: Tensor
    lengths: Tensor

    def counts(self, start: int, size: int, k: int, groups: Tensor | None = None) -> Tensor:
        """How much of a neighbour each row is to the rows from `start` on, (..., size, n), as `neighbour_counts`."""
        return neighbour_counts(self.queries[..., start : start + size, :], self.rows, start, k, groups, self.lengths)


def space_of(x: Tensor, metric: str) -> Space:
    """Rows (..., n, d) as `metric` compares them: "cosine", "euclidean" or "dot". Raises ValueError for another."""
    if metric == "cosine":
        units = unit_rows(x)
        return Space(units, units, row_norms(units))
    largest = x.abs().amax((-2, -1), keepdim=True)
    x = x / torch.where(largest > 0, largest, 1)  # squares stay in range; the order is the same
    if metric == "dot":
        return Space(x, x, row_norms(x))
    if metric != "euclidean":
        raise ValueError(f"`metric` must be one of {', '.join(map(repr, METRICS))}, got {metric!r}.")
    # The distance ‖q − x‖² orders rows as qᵀx − ‖x‖²/2 does, since ‖q‖² is the same for all of them.
    # About the median row, which one row far away does not move: products of the others stay small and exact.
    x = x - x.median(-2, keepdim=True).values
    half_squares = x.square().sum(-1, keepdim=True) / 2
    queries = torch.cat([x, torch.ones_like(half_squares)], -1)
    return Space(queries, torch.cat([x, -half_squares], -1), row_norms(x))


def nearest(queries: Tensor, units: Tensor, start: int, k: int, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Similarities and indices (..., q, k) of the k most similar other rows; query i is row start + i itself.

    `groups` (n,): codes of the rows' groups; rows of a query's own group are left out as well.
    """
    most_similar = _similarities(queries, units, start, groups).topk(k, dim=-1)
    return most_similar.values, most_similar.indices


def neighbour_counts(
    queries: Tensor,
    units: Tensor,
    start: int,
    k: int,
    groups: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """How much of a neighbour each row is to each query (..., q, n): 1 for the k nearest, and a part for those that tie.

    Rows as near as the k-th, to rounding, share the places that nearer rows leave. `lengths` (..., n): of rows that have no
    unit length.
    """
    similarity = _similarities(queries, units, start, groups)
    most_similar = similarity.topk(k, dim=-1)
    last = most_similar.values[..., -1:]
    rounding: Any = _rounding(units.dtype)
    if lengths is not None:
        of_queries = lengths[..., start : start + queries.shape[-2], None]
        of_last = lengths[..., None, :].expand(similarity.shape).gather(-1, most_similar.indices[..., -1:])
        rounding = rounding * (of_queries + of_last) * of_last
    nearer = similarity > last + rounding
    tied = (similarity - last).abs() <= rounding
    places = k - nearer.sum(-1, keepdim=True)
    return nearer + tied * (places / tied.sum(-1, keepdim=True).to(units.dtype))


def agreement(mine: Tensor, theirs: Tensor) -> Tensor:
    """How far two lists of neighbours agree, (...), from counts (..., n) of each row: the cosine of the counts."""
    lengths = mine.square().sum(-1).double() * theirs.square().sum(-1)
    return (mine * theirs).sum(-1).double() / lengths.sqrt()


def refuse_one_direction(units: Tensor, name: str) -> None:
    """Raises ValueError where all rows of unit length are equal: each is then as near as any other."""
    if point_one_way(units):
        raise ValueError(
            f"all rows of `{name}` point one way, so every row is as near as any other: none is a neighbour."
        )


def point_one_way(units: Tensor) -> bool:
    """Whether all rows of unit length are equal, in any of a stack."""
    # Without a copy of the rows, of which there may be many.
    return bool((units.amax(-2) - units.amin(-2) <= _rounding(units.dtype)).all(-1).any())


def _rounding(dtype: torch.dtype) -> float:
    """By how much cosines, or entries of unit rows, differ where they would be equal but for rounding."""
    return _TIED_FLOAT32 if dtype == torch.float32 else _TIED


def _similarities(queries: Tensor, units: Tensor, start: int, groups: Tensor | None) -> Tensor:
    """Cosines (..., q, n) of queries and rows; −∞ for a query itself and for rows of its group."""
    similarity = queries @ units.mT
    own = torch.arange(start, start + queries.shape[-2], device=units.device)
    if groups is None:
        # Each row is most similar to itself.
        similarity[..., own - start, own] = -torch.inf
        return similarity
    return similarity.masked_fill(groups[own][:, None] == groups, -torch.inf)


def group_codes(groups: Any, n: int, device: Any = "cpu") -> Tensor | None:
    """Codes 0..G−1 (n,) of groups, whole numbers or text; None where none are given, or none has two rows."""
    if groups is None:
        return None
    codes, names = as_labels(groups, n, "groups")
    if len(names) == n:
        return None
    return torch.as_tensor(codes, device=device)


def most_neighbours(n: int, groups: Tensor | None) -> int:
    """How many neighbours every one of n rows has: rows outside of the largest group."""
    if groups is None:
        return n - 1
    return n - int(groups.bincount().max())


def check_neighbours(k: int, n: int, groups: Tensor | None) -> int:
    """`k`, if every row has so many neighbours. Raises ValueError."""
    most = most_neighbours(n, groups)
    if groups is not None and isinstance(k, (int, np.integer)) and most < k <= n - 1:
        raise ValueError(
            f"`groups` has a group of {n - most:,} of {n:,} rows, which leaves them {most:,} rows outside of it, and `k` asks for "
            f"{k} neighbours. Give a smaller `k`, rows of more groups, or smaller groups."
        )
    return check_k(k, most)


def mean_candidates(n: int, groups: Tensor | None) -> float:
    """How many rows a row's neighbours are sought among, on average."""
    if groups is None:
        return n - 1.0
    sizes = groups.bincount().double()
    return n - float(sizes.square().sum()) / n


def rows_of_few_groups(groups: Tensor | None) -> int:
    """Rows by which a list of neighbours must be longer where they come in whole groups: four groups of the usual size."""
    if groups is None:
        return 0
    sizes = groups.bincount()
    return min(256, 4 * int(sizes[sizes > 0].double().median()))


def share_beyond_groups(classes: Tensor, groups: Tensor | None) -> float:
    """The share of rows that have a row of their class outside of their own group; 1 without groups."""
    if groups is None:
        return 1.0
    pairs = torch.stack([classes, groups.to(classes)]).unique(dim=1)
    n_groups = pairs[0].bincount(minlength=int(classes.max()) + 1)
    return float((n_groups[classes] > 1).double().mean())
