"""Means over rows of what neighbours say: values against the public functions, errors against loops over halves."""

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.data.arrays import unit_rows
from repgeom.inference.halves import SPLITS, error_of_mean, halves
from repgeom.inference.intervals import normal_quantile, quantile, wilson
from repgeom.inference.neighbours import NeighbourMean, Neighbours


def pair(n=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.standard_normal((n, 6)) + np.eye(6)[labels]
    return x, x + 0.8 * rng.standard_normal((n, 6)), labels


def units(x):
    return unit_rows(torch.as_tensor(x))


def slow_nearest(x, k):
    cosine = x @ x.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1))
    np.fill_diagonal(cosine, -2)
    return np.argsort(-cosine, axis=1)[:, :k]


def slow_shared(x, y, k):
    return np.array([len(set(a) & set(b)) / k for a, b in zip(slow_nearest(x, k), slow_nearest(y, k), strict=True)])


def slow_votes(x, labels, k):
    found = []
    for own, near in zip(labels, slow_nearest(x, k), strict=True):
        counts = np.bincount(labels[near])
        # Of equal votes the label wins whose nearest voter is nearer.
        winner = next(label for label in labels[near] if counts[label] == counts.max())
        found.append(float(winner == own))
    return np.array(found)


def slow_error(read, n, seed):
    """√ of the mean over splits of (mean of one half − mean of the other)² / 4, times the variance of rows among all over in halves."""
    random = torch.Generator().manual_seed(seed)
    squares, variances = [], []
    for _ in range(SPLITS):
        half = (torch.randperm(n, generator=random) % 2).numpy()
        first, second = read(half == 0), read(half == 1)
        squares.append((first.mean() - second.mean()) ** 2 / 4)
        variances.append(np.r_[first, second].var(ddof=1))
    return np.sqrt(np.mean(squares) * read(np.ones(n, bool)).var(ddof=1) / np.mean(variances))


@pytest.mark.parametrize("k", [1, 4, 10])
def test_values_and_errors_are_those_of_the_public_functions(k):
    x, y, labels = pair()
    near = Neighbours(units(x), k, seed=3)
    shared, votes = near.shared_with(units(y)), near.votes(torch.as_tensor(labels))
    assert shared.value == pytest.approx(rg.mutual_knn(x, y, k=k), rel=1e-12)
    assert votes.value == pytest.approx(rg.knn_accuracy(x, labels, k=k), rel=1e-12)
    slow = slow_error(lambda rows: slow_shared(x[rows], y[rows], k), len(x), 3)
    assert shared.error == pytest.approx(slow, rel=1e-9)
    slow = slow_error(lambda rows: slow_votes(x[rows], labels[rows], k), len(x), 3)
    assert votes.error == pytest.approx(slow, rel=1e-9)


def test_errors_of_halves_are_scaled_by_how_rows_vary_among_all():
    splits = halves(60, 2, 0)
    of_halves = torch.tensor(np.random.default_rng(0).standard_normal((SPLITS, 60)))
    of_all = of_halves[0] * (of_halves.var(1).mean() / of_halves[0].var()).sqrt()
    plain = np.sqrt(
        np.mean([float(v[h == 0].mean() - v[h == 1].mean()) ** 2 for v, h in zip(of_halves, splits, strict=True)]) / 4
    )
    assert error_of_mean(of_all, of_halves, splits) == pytest.approx(plain)
    assert error_of_mean(3 * of_all, of_halves, splits) == pytest.approx(3 * plain)
    # Rows that are all alike say nothing of what other rows would read; halves do.
    assert error_of_mean(torch.ones(60), of_halves, splits) == pytest.approx(plain)
    assert error_of_mean(of_all, torch.ones(SPLITS, 60), splits) == 0


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
    # An error below that of 300 independent rows is chance, and so is none at all: then theirs is known without halves.
    for value, error in ((0.4, 0.001), (1.0, 0.0)):
        right = NeighbourMean(value, error, 300).estimate(0.95, share_of_rows=True)
        assert (right.low, right.high) == pytest.approx(wilson(value, 300, normal_quantile(0.95)))


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
