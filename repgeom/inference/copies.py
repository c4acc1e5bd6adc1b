"""Which rows are copies of each other, up to rounding or a new encoding of the same image?

Rows are compared by a few random projections of them. In m dimensions the number of neighbours within r grows as r^m, so the
distances to the fourth and eighth neighbour say how near the nearest may lie by chance. Rows much nearer than that are
copies.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repgeom.data.arrays import row_chunks
from repgeom.reading.hashing import row_hashes

N_MARKS = 8  # projections of a row; more would need a slower search, fewer would leave chance neighbours too near
_MOST_SEARCHED = 20_000  # rows; beyond, only rows whose projections are equal count as copies
_NEIGHBOURS = 5, 9  # the row itself is the first: distances to the fourth and eighth other row
_BY_CHANCE = 0.01  # rows of all whose nearest neighbour may lie within the radius by chance
_NEAREST = 0.2  # of the distance to the fourth neighbour: no copy lies further, however many dimensions there are
_CELLS = 20  # of a radius: rows in one cell are joined before pairs are searched, so that a thousand copies cost little

Codes = NDArray[np.int64]


def copies_of(marks: NDArray[np.float64]) -> Codes:
    """Codes (n,) from 0: rows that are copies of each other share one. `marks`: (n, N_MARKS) projections of the rows."""
    codes = _equal(marks)
    if not 10 <= len(marks) <= _MOST_SEARCHED:
        return codes
    first = np.unique(codes, return_index=True)[1]
    return _near(marks[first])[codes]


def mostly_alike(codes: Codes) -> bool:
    """Whether more than half of the rows are copies of an earlier one."""
    return len(codes) > 2 * (int(codes.max()) + 1)


def _equal(marks: NDArray[np.float64]) -> Codes:
    """Codes of rows with equal projections. A weighted sum stands for all of them: it sorts faster."""
    weights = np.random.default_rng(0).standard_normal(marks.shape[1])
    # Row by row, because a product of matrices may round equal rows differently.
    sums = (marks * weights).sum(1)
    return np.unique(sums, return_inverse=True)[1].astype(np.int64)


def _near(marks: NDArray[np.float64]) -> Codes:
    """Codes of different rows, where those that lie within the radius of each other share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if len(marks) < 10:
        return np.arange(len(marks))
    workers = torch.get_num_threads()
    radii = _radii(cKDTree(marks).query(marks, _NEIGHBOURS, workers=workers)[0])
    if not (radii > 0).any():
        return np.arange(len(marks))
    cells = _equal(np.floor(marks / (np.median(radii[radii > 0]) / _CELLS)))
    first = np.unique(cells, return_index=True)[1]
    marks, radii = marks[first], radii[first]
    # Each row looks within its own radius, where by its definition fewer than four others lie. The largest radius would not
    # do for all: that of one row far away holds every pair of the others.
    found = cKDTree(marks).query_ball_point(marks, radii, workers=workers)
    i = np.repeat(np.arange(len(marks)), [len(others) for others in found])
    j = np.concatenate([np.asarray(others, np.int64) for others in found])
    near = np.linalg.norm(marks[i] - marks[j], axis=1) <= radii[j]
    graph = coo_array((np.ones(near.sum()), (i[near], j[near])), (len(first), len(first)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)[cells]


def _radii(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Within which a neighbour of each row is a copy, (n,), from the distances to its fourth and eighth neighbour (n, 2)."""
    fourth, eighth = distances.T
    apart = fourth > 0
    if not apart.any():
        return np.zeros(len(fourth))
    ratio = float(np.median(eighth[apart] / fourth[apart]))
    # Twice as many neighbours within a ratio of r are those of ln 2 / ln r dimensions.
    dimensions = np.log(2) / max(np.log(ratio), np.log(2) / N_MARKS)
    share = (_BY_CHANCE / len(fourth) / 4) ** (1 / dimensions)
    return np.asarray(min(_NEAREST, share) * fourth)


def first_of_copies(rows: Tensor) -> Tensor:
    """Numbers of the rows that repeat no earlier one. Where most rows repeat nearly, only those that repeat exactly count."""
    # Drawn on the CPU, so that copies are the same on every device.
    directions = torch.randn(rows.shape[1], N_MARKS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions, mean = directions.to(rows.device), rows.mean(0, dtype=torch.float64)
    largest = rows.abs().max().double().clamp(min=torch.finfo(torch.float64).tiny)
    marks = torch.cat([((piece.double() - mean) / largest) @ directions for piece in row_chunks(rows)]).cpu().numpy()
    codes = copies_of(marks)
    if mostly_alike(codes):
        codes = np.unique(row_hashes(rows + 0.0), return_inverse=True)[1]
    first = np.sort(np.unique(codes, return_index=True)[1])
    return torch.as_tensor(first, device=rows.device)
