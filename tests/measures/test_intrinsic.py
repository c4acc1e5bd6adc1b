"""Estimators of intrinsic dimension on distances that one can write down; clouds of rows: tests/inference."""

import math

import numpy as np
import pytest
import torch

from repgeom.measures.intrinsic import METHODS


def slow_intrinsic_dimension(x):
    """TwoNN by maximum likelihood, which an audit reads."""
    total = 0.0
    for i, row in enumerate(x):
        first, second = np.sort(np.linalg.norm(np.delete(x, i, axis=0) - row, axis=1))[:2]
        total += math.log(second / first)
    return (len(x) - 1) / total


@pytest.mark.parametrize("d", [0.5, 1, 3, 20])
@pytest.mark.parametrize(("method", "k"), [("twonn", 2), ("mle", 5), ("gride", 3)])
def test_distances_that_grow_as_in_d_dimensions_read_d(method, k, d):
    """Of the j-th neighbour r^d is a sum of j exponentials: what n rows spread evenly in d dimensions show."""
    estimator, looked_at, _ = METHODS[method]
    n = 20_000
    volumes = np.random.default_rng(0).exponential(size=(n, looked_at(k))).cumsum(1)
    found = estimator(torch.tensor(volumes ** (1 / d)))
    assert found == pytest.approx(d, rel=4 / n**0.5)
