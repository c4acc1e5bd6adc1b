"""Means over rows of what neighbours say: values against the public functions, errors against loops over halves."""

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.data.arrays import unit_rows
from repgeom.inference.halves import SPLITS
from repgeom.inference.intervals import quantile, wilson
from repgeom.inference.neighbours import NeighbourMean, Neighbours


def pair(n=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.standard_normal((n, 6)) + np.eye(6)[labels]
    return x, x + 0.8 * rng.standard_normal((n, 6)), labels


def units(x):
    return unit_rows(torch.as_tensor(x))


def slow_error(read, n, k, seed):
    """√ of the mean over splits of (mean of one half − mean of the other)² / 4, each half by itself."""
    random = torch.Generator().manual_seed(seed)
    squares = []
    for _ in range(SPLITS):
        half = (torch.randperm(n, generator=random) % 2).numpy()
        squares.append((read(half == 0) - read(half == 1)) ** 2 / 4)
    return np.sqrt(np.mean(squares))


@pytest.mark.parametrize("k", [1, 4, 10])
def test_values_and_errors_are_those_of_the_public_functions(k):
    x, y, labels = pair()
    near = Neighbours(units(x), k, seed=3)
    shared, votes = near.shared_with(units(y)), near.votes(torch.as_tensor(labels))
    assert shared.value == pytest.approx(rg.mutual_knn(x, y, k=k), rel=1e-12)
    assert votes.value == pytest.approx(rg.knn_accuracy(x, labels, k=k), rel=1e-12)
    slow = slow_error(lambda rows: rg.mutual_knn(x[rows], y[rows], k=k), len(x), k, 3)
    assert shared.error == pytest.approx(slow, rel=1e-9)
    slow = slow_error(lambda rows: rg.knn_accuracy(x[rows], labels[rows], k=k), len(x), k, 3)
    assert votes.error == pytest.approx(slow, rel=1e-9)


def test_widths_may_differ():
    x, y, _ = pair()
    found = Neighbours(units(x), 5, 0).shared_with(units(y[:, :4]))
    assert found.value == pytest.approx(rg.mutual_knn(x, y[:, :4], k=5), rel=1e-12)


@pytest.mark.parametrize(("n", "k"), [(49, 5), (99, 25)])
def test_few_rows_are_not_split(n, k):
    x, y, _ = pair(n)
    found = Neighbours(units(x), k, 0).shared_with(units(y)).estimate(0.95)
    assert (found.low, found.high, found.se) == (None, None, None)
    assert found.warnings == (f"no interval: {n} rows are too few to be split into halves",)
    assert found.value == found.in_these_rows == pytest.approx(rg.mutual_knn(x, y, k=k))


def test_intervals_are_students_and_wilsons():
    t = quantile(0.95, SPLITS)
    found = NeighbourMean(0.4, 0.05, 300).estimate(0.95)
    assert (found.low, found.high, found.se) == pytest.approx((0.4 - 0.05 * t, 0.4 + 0.05 * t, 0.05))
    assert NeighbourMean(0.02, 0.05, 300).estimate(0.95).low == 0
    assert NeighbourMean(0.99, 0.05, 300).estimate(0.95).high == 1
    # 0.4 · 0.6 / 0.05² = 96 independent rows would err as much.
    right = NeighbourMean(0.4, 0.05, 300).estimate(0.95, share_of_rows=True)
    assert (right.low, right.high) == pytest.approx(wilson(0.4, 96, t))
    # An error below that of 300 independent rows is chance, and so is none at all.
    for value, error in ((0.4, 0.001), (1.0, 0.0)):
        right = NeighbourMean(value, error, 300).estimate(0.95, share_of_rows=True)
        assert (right.low, right.high) == pytest.approx(wilson(value, 300, t))


def test_the_interval_holds_what_such_rows_read_on_average():
    found = []
    for seed in range(60):
        x, y, labels = pair(150, seed)
        near = Neighbours(units(x), 5, seed)
        votes = near.votes(torch.as_tensor(labels)).estimate(0.95, share_of_rows=True)
        found.append([near.shared_with(units(y)).estimate(0.95), votes])
    for estimates in zip(*found, strict=True):
        mean = np.mean([e.value for e in estimates])
        # Of 60 draws at 95 %, fewer than 52 happen once in 200 times.
        assert sum(e.low <= mean <= e.high for e in estimates) >= 52
        spread = np.std([e.value for e in estimates])
        assert np.mean([e.se for e in estimates]) == pytest.approx(spread, rel=0.35)
