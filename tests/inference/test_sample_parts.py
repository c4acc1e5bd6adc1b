"""What is known of one set of rows, each part by a slow definition."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from estimate_reference import normal

from repgeom.data.sources import source_of
from repgeom.inference.influence import score
from repgeom.inference.population import EVEN, binned, drawn_in
from repgeom.inference.sample import row_weights, sample_of, scored, unbiased_traces

MEASURES = ("effective_rank", "participation_ratio")


def sample(rows, groups=None, center=True, normalize=None):
    source = source_of(torch.as_tensor(rows), "x")
    return sample_of(source, MEASURES, center=center, normalize=normalize, groups=groups)


def slow_correlation(rows, groups):
    """Products of all ordered pairs of one group, over what they would be if its rows were the same."""
    products = equal = 0.0
    for group in set(groups):
        members = rows[np.asarray(groups) == group]
        for i, j in itertools.permutations(range(len(members)), 2):
            products += members[i] @ members[j]
        equal += (len(members) - 1) * (members**2).sum()
    return products / equal


# How alike rows of a group are ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [[0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5], [7, 7, 7, 7, 7, 7, 1, 2, 3, 4, 5, 6]])
def test_correlation_is_that_of_all_pairs_within_groups(groups):
    rows = normal(12, 3, 4) + 2 * normal(8, 3, 5)[np.asarray(groups)]
    centred = rows - rows.mean(0)
    wanted = slow_correlation(centred, groups)
    assert 0.05 < wanted < 0.95
    assert sample(rows, groups).correlation == pytest.approx(wanted, rel=1e-9)
    about_zero = sample(rows + 1, groups, center=False).correlation
    assert about_zero == pytest.approx(slow_correlation(rows + 1, groups), rel=1e-9)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    on_sphere = sample(rows, groups, normalize="l2").correlation
    assert on_sphere == pytest.approx(slow_correlation(units - units.mean(0), groups), rel=1e-9)


def test_correlation_lies_between_strangers_and_the_same():
    rows = normal(10, 3)
    assert sample(np.r_[rows, -rows], np.r_[np.arange(10), np.arange(10)]).correlation == 0.0
    for seed in range(12):  # rounding lifts some of the sums above those of equal rows
        copies = np.repeat(normal(9, 3, seed), 3, 0)
        found = sample(copies, np.repeat(np.arange(9), 3)).correlation
        assert 1 - 1e-12 < found <= 1.0


def test_correlation_of_groups_without_pairs_or_variance_is_none():
    rows = normal(12, 3)
    assert sample(rows, np.arange(12)).correlation == 0.0
    rows[:4] = 0
    assert sample(rows, [0, 0, 1, 1, *range(2, 10)], center=False).correlation == 0.0


@pytest.mark.parametrize(("n", "exact"), [(8192, True), (8193, False)])
def test_correlation_is_read_from_8192_rows_in_whole_groups(n, exact):
    groups = np.minimum(np.arange(n) // 2, 4095)
    shared = normal(4096, 2, 1)[groups]
    rows = 0.6 * shared + 0.8 * normal(n, 2, 2)
    rows -= rows.mean(0)
    sums = np.stack([np.bincount(groups, column) for column in rows.T], 1)
    sizes, squares = np.bincount(groups), np.bincount(groups, (rows**2).sum(1))
    wanted = ((sums**2).sum() - squares.sum()) / (squares * (sizes - 1)).sum()
    found = sample(rows, groups).correlation
    assert found == pytest.approx(wanted, rel=0.01)
    assert (found == pytest.approx(wanted, rel=1e-9)) == exact


# What groups and tails do to the rows --------------------------------------------------------------------------------


def test_independent_rows_are_those_of_the_correlations_eigenvalues():
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5])
    s = sample(normal(12, 3, 4) + normal(6, 3, 5)[groups], groups)
    matrix = np.where(groups[:, None] == groups, s.correlation, 0.0)
    np.fill_diagonal(matrix, 1.0)
    eigenvalues = np.linalg.eigvalsh(matrix)
    assert s.independent == pytest.approx(12 / np.mean(eigenvalues**2), rel=1e-12)
    assert sample(normal(12, 3)).independent == 12.0
    weights = row_weights(s)
    tails = drawn_in(s.scores.squares, kurtosis(s))
    tails = np.array([tails[groups == g].mean() for g in range(6)])[groups]
    of_groups = np.full(12, 1 - s.correlation)
    for group in range(6):
        members = np.flatnonzero(groups == group)
        of_groups[members[0]] = 1 + (len(members) - 1) * s.correlation
    wanted = binned(tails * of_groups)
    assert weights.values == pytest.approx(wanted.values)
    assert weights.shares == pytest.approx(wanted.shares)


def kurtosis(s):
    square_of_trace, trace_of_square, q = unbiased_traces(s)
    return q / (square_of_trace + 2 * trace_of_square) - 1


def test_rows_of_a_heavy_law_weigh_unevenly():
    heavy = normal(400, 5) * np.random.default_rng(1).uniform(0.2, 2, (400, 1))
    s = sample(heavy)
    wanted = binned(drawn_in(s.scores.squares, kurtosis(s)))
    assert row_weights(s).mean_square == pytest.approx(wanted.mean_square)
    assert wanted.mean_square > 1.2
    assert row_weights(sample(np.random.default_rng(2).choice([-1.0, 1.0], (400, 5)))) is EVEN


def test_rows_of_a_group_are_left_out_as_many_copies_as_they_are_alike():
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5])
    rows = normal(12, 3, 4) + normal(6, 3, 5)[groups]
    source = source_of(torch.as_tensor(rows), "x")
    directions = sample(rows, groups).directions
    sizes = np.bincount(groups)[groups]
    found = scored(directions, source, MEASURES, groups, 0.3)
    wanted = score(directions, source, MEASURES, 1 + (sizes - 1) * 0.3)
    for measure in MEASURES:
        assert found.scores.influence[measure] == pytest.approx(wanted.influence[measure], rel=1e-12)
    assert found.scores.leverage == pytest.approx(wanted.leverage)
    assert found.told
    assert found.correlation == 0.3
    alone = scored(directions, source, MEASURES, np.arange(12), 0.3)
    assert alone.groups is None
    assert alone.told
    assert alone.independent == 12.0
    assert not scored(directions, source, MEASURES).told


@pytest.mark.parametrize("n", [4, 5, 9])
def test_traces_are_u_statistics_of_four_rows(n):
    x = normal(n, 3)
    s = sample(x)
    x = (x - x.mean(0)) / s.directions.unit
    pairs, lengths = [], []
    for a, b, c, d in itertools.permutations(range(n), 4):
        pairs.append(((x[a] - x[b]) @ (x[c] - x[d])) ** 2 / 4)
        lengths.append((x[a] - x[b]) @ (x[a] - x[b]) * ((x[c] - x[d]) @ (x[c] - x[d])) / 4)
    square_of_trace, trace_of_square, q = unbiased_traces(s)
    assert square_of_trace == pytest.approx(np.mean(lengths), rel=1e-9)
    assert trace_of_square == pytest.approx(np.mean(pairs), rel=1e-9)
    assert q == pytest.approx(((x**2).sum(1) ** 2).sum() / (n - 1), rel=1e-9)


# Counts --------------------------------------------------------------------------------------------------------------


def test_most_is_what_varies_where_rows_and_features_allow_more():
    assert sample(normal(20, 5)).most == 5
    assert sample(normal(5, 20)).most == 20
    assert sample(np.c_[normal(20, 3), np.ones((20, 2))]).most == 3
    assert sample(np.repeat(normal(3, 20), 4, 0)).most == 2


def test_repeats_are_rows_that_equal_an_earlier_one():
    rows = normal(30, 4)
    rows[[7, 20, 29]] = rows[3]
    rows[11] = rows[10]
    assert sample(rows).repeats == 4
    assert sample(normal(30, 4)).repeats == 0


def test_the_samples_own_variances_have_one_direction_each():
    s = sample(np.c_[normal(20, 3), np.ones((20, 2))])
    variances, counts = s.naive
    assert counts.tolist() == [1.0] * 3
    expected = np.linalg.eigvalsh(np.cov(normal(20, 3).T))[::-1]
    assert variances == pytest.approx(expected / expected[0], rel=1e-9)
    assert dataclasses.replace(s).n == 20
    assert s.n_features == 5
