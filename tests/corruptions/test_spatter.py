"""Distances of spatter: OpenCV's chamfer, by its closed form in open space."""

import numpy as np
import pytest
import torch

from repgeom.corruptions import spatter

STRAIGHT, DIAGONAL, KNIGHT, LIMIT = 65536, 91750, 143976, 20 * 65536


def chamfer(across, down):
    """The shortest path of straight, diagonal and knight's steps: of the three, the two that lie around the direction."""
    long, short = np.maximum(abs(across), abs(down)), np.minimum(abs(across), abs(down))
    flat = short * KNIGHT + (long - 2 * short) * STRAIGHT
    steep = (long - short) * KNIGHT + (2 * short - long) * DIAGONAL
    return np.where(long >= 2 * short, flat, steep)


@pytest.mark.parametrize(("size", "n_edges"), [((49, 49), 1), ((70, 45), 5), ((31, 80), 2), ((8, 9), 1), ((12, 12), 0)])
def test_distances_are_shortest_paths_up_to_the_limit(size, n_edges):
    random = np.random.default_rng(n_edges)
    places = [(size[0] // 2, size[1] // 2), *(random.integers(0, size) for _ in range(n_edges - 1))][:n_edges]
    edges = torch.zeros(1, *size, dtype=torch.bool)
    wanted = np.full(size, LIMIT)
    rows, columns = np.indices(size)
    for row, column in places:
        edges[0, row, column] = True
        wanted = np.minimum(wanted, chamfer(columns - column, rows - row))
    assert np.array_equal(spatter._distance_to_edge(edges)[0].numpy(), wanted)
