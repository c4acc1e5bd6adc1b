"""Which other rows lie nearest to each row, where rows of its own group are no neighbours?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.labels import as_labels
from repgeom.measures.pair_sums import check_k


def nearest(queries: Tensor, units: Tensor, start: int, k: int, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Similarities and indices (..., q, k) of the k most similar other rows; query i is row start + i itself.

    `groups` (n,): codes of the rows' groups; rows of a query's own group are left out as well.
    """
    similarity = queries @ units.mT
    own = torch.arange(start, start + queries.shape[-2], device=units.device)
    if groups is None:
        # Each row is most similar to itself.
        similarity[..., own - start, own] = -torch.inf
    else:
        similarity = similarity.masked_fill(groups[own][:, None] == groups, -torch.inf)
    most_similar = similarity.topk(k, dim=-1)
    return most_similar.values, most_similar.indices


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
