"""Which other rows lie nearest to each row, where rows of its own group are no neighbours?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.labels import as_labels
from repgeom.measures.pair_sums import check_k

# Cosines of float64 rows that differ by less differ by rounding; cosines have no scale.
_TIED = 1e-12


def nearest(queries: Tensor, units: Tensor, start: int, k: int, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Similarities and indices (..., q, k) of the k most similar other rows; query i is row start + i itself.

    `groups` (n,): codes of the rows' groups; rows of a query's own group are left out as well.
    """
    most_similar = _similarities(queries, units, start, groups).topk(k, dim=-1)
    return most_similar.values, most_similar.indices


def neighbour_counts(queries: Tensor, units: Tensor, start: int, k: int, groups: Tensor | None = None) -> Tensor:
    """How much of a neighbour each row is to each query (..., q, n): 1 for the k nearest, and a part for those that tie.

    Rows as near as the k-th, to rounding, share the places that nearer rows leave.
    """
    similarity = _similarities(queries, units, start, groups)
    last = similarity.topk(k, dim=-1).values[..., -1:]
    nearer = similarity > last + _TIED
    tied = (similarity - last).abs() <= _TIED
    places = k - nearer.sum(-1, keepdim=True)
    return nearer + tied * (places / tied.sum(-1, keepdim=True).to(units.dtype))


def refuse_one_direction(units: Tensor, name: str) -> None:
    """Raises ValueError where all rows of unit length are equal: each is then as near as any other."""
    if bool(((units - units[..., :1, :]).abs() <= _TIED).all((-2, -1)).any()):
        raise ValueError(
            f"all rows of `{name}` point one way, so every row is as near as any other: none is a neighbour."
        )


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
