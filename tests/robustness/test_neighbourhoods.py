"""Neighbours of clean and corrupted rows: what a left-out group leaves, and how often the intervals hold."""

import math

import numpy as np
import pytest
import torch
from drift_reference import ABS, PAIRS, coverage, moved_pair, slow_pairs, table

from repgeom.data.arrays import unit_rows
from repgeom.robustness.drift import Clean
from repgeom.robustness.neighbourhoods import Neighbourhoods


def test_intervals_of_neighbours_hold_at_least_as_often_as_they_say():
    rng, found = np.random.default_rng(3), []
    turn = np.random.default_rng(7).standard_normal((16, 16)) * 0.15 + np.eye(16) * 0.8
    for _ in range(200):
        x = rng.standard_normal((60, 16)) + 2
        y = x @ turn + 0.4 * rng.standard_normal((60, 16))
        x, y = (unit_rows(torch.tensor(z)) for z in (x, y))
        found.append(Neighbourhoods(x, 10, 0).compared(y))
    for name, of_one in zip(PAIRS, zip(*found, strict=True), strict=True):
        # What neighbours say depends on the number of rows, so the truth is the mean of all draws.
        truth = np.mean([m.value for m in of_one])
        assert coverage([m.interval(0.95) for m in of_one], truth)[0] > 0.93, name


@pytest.mark.parametrize(("n", "k"), [(50, 4), (24, 10)])
def test_neighbours_without_a_group_are_those_of_the_other_rows(n, k, rng):
    x, y, _ = moved_pair(rng, n, 3)
    clean = Clean(torch.tensor(x), k=k)
    groups = clean.neighbourhoods.groups.numpy()
    found = {r.measure: r for r in clean.compared(torch.tensor(y))}
    n_groups, whole = min(20, n), slow_pairs(x, y, k)
    assert sorted(np.bincount(groups)) == sorted(len(part) for part in np.array_split(np.arange(n), n_groups))
    for g in range(n_groups):
        kept = groups != g
        without = slow_pairs(x[kept], y[kept], k)
        for name in whole:
            pseudo = n_groups * whole[name] - (n_groups - 1) * without[name]
            assert found[name].contributions[g].item() == pytest.approx(pseudo, abs=ABS), (name, g)


@pytest.mark.parametrize("shift", [1, 7])
def test_rows_in_another_order_find_nothing_of_their_own(shift, rng):
    x = rng.standard_normal((60, 8))
    found = table(x, np.roll(x, shift, 0)).loc["self_retrieval"]
    assert (found.value, found.low) == (0, 0)
    assert 0.04 < found.high < 0.1


def test_few_rows_have_no_interval_of_neighbours(rng):
    found = table(rng.standard_normal((19, 3)), rng.standard_normal((19, 3)), k=3)
    for name in PAIRS:
        assert (math.isnan(found.low[name]), found.note[name]) == (True, "no interval: fewer than 20 samples")
