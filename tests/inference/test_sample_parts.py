"""What is known of one set of rows, each part by a slow definition."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from estimate_reference import normal

from repgeom.data.sources import source_of
from repgeom.inference.influence import score
from repgeom.inference.population import EVEN
from repgeom.inference.sample import excess_kurtosis, sample_of, scored, unbiased_traces
from repgeom.reading.sample import Drawn

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


def test_one_pair_of_short_rows_says_how_alike_rows_are():
    rows = normal(30, 3)
    rows[:2] = [[0.2, 0.1, 0.0], [0.1, 0.2, 0.1]]
    groups = np.r_[0, 0, 1 + np.arange(28)]
    s = sample(rows, groups, center=False)
    assert s.groups.tolist() == groups.tolist()
    assert s.correlation == pytest.approx(slow_correlation(rows, groups), rel=1e-9)


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
    assert s.weights is EVEN  # twelve rows are too few to be split


def test_excess_kurtosis_is_that_of_lengths_beyond_gaussian_rows():
    """E‖x‖⁴ of t rows with ν degrees is (ν − 2) / (ν − 4) times that of Gaussian ones."""
    gaussian = [excess_kurtosis(sample(normal(300, 6, seed))) for seed in range(20)]
    assert np.mean(gaussian) == pytest.approx(0, abs=0.02)
    rng = np.random.default_rng(1)
    tails = [normal(2000, 6, seed) / np.sqrt(rng.chisquare(12, (2000, 1)) / 12) for seed in range(10)]
    assert np.mean([excess_kurtosis(sample(x)) for x in tails]) == pytest.approx(10 / 8 - 1, abs=0.03)


@pytest.mark.parametrize("gaussian", [-1.0, 0.5])
def test_without_a_positive_moment_of_gaussian_rows_there_is_no_excess(gaussian):
    s = sample(normal(200, 6))

    def with_squares(square):
        return dataclasses.replace(s, scores=dataclasses.replace(s.scores, squares=np.full(200, square)))

    def moment(square):
        square_of_trace, trace_of_square, _ = unbiased_traces(with_squares(square))
        return square_of_trace + 2 * trace_of_square

    # It is linear in the squared squares.
    square = math.sqrt((gaussian - moment(0.0)) / (moment(1.0) - moment(0.0)))
    assert moment(square) == pytest.approx(gaussian, abs=1e-6)
    found = with_squares(square)
    q = square**2 * s.variances.sum() ** 2 * 199 / 200
    assert excess_kurtosis(found) == pytest.approx(q / gaussian - 1 if gaussian > 0 else 0.0, rel=1e-6)


def test_rows_of_a_group_are_left_out_as_many_copies_as_they_are_alike():
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5])
    rows = normal(12, 3, 4) + normal(6, 3, 5)[groups]
    source = source_of(torch.as_tensor(rows), "x")
    directions = sample(rows, groups).directions
    sizes = np.bincount(groups)[groups]
    some = Drawn(np.arange(12), {"rows": torch.as_tensor(rows)})
    found = scored(directions, source, MEASURES, some, groups, 0.3)
    wanted = score(directions, source, MEASURES, 1 + (sizes - 1) * 0.3)
    for measure in MEASURES:
        assert found.scores.influence[measure] == pytest.approx(wanted.influence[measure], rel=1e-12)
    assert found.scores.leverages == pytest.approx(wanted.leverages)
    assert found.told
    assert found.correlation == 0.3
    alone = scored(directions, source, MEASURES, some, np.arange(12), 0.3)
    assert alone.groups is None
    assert alone.told
    assert alone.independent == 12.0
    assert not scored(directions, source, MEASURES, some).told


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


def low_rank(n, rank, d, seed=0):
    return normal(n, rank, seed) @ normal(rank, d, 99)


def with_repeats(n, d, repeats, noise=0.0):
    x = normal(n, d)
    x[n - repeats :] = x[:repeats] + noise * normal(repeats, d, 5)
    return x


@pytest.mark.parametrize(
    ("rows", "most"),
    [
        (normal(20, 5), 5),
        (normal(5, 20), 20),
        (np.c_[normal(20, 3), np.ones((20, 2))], 3),
        (np.c_[normal(20, 30), np.ones((20, 12))], 30),
        (np.c_[normal(40, 30), np.zeros((40, 12))], 30),
        # Without a row it would be as low: that is the population's.
        (low_rank(30, 4, 40), 4),
        (low_rank(60, 4, 40) + 1000, 4),
        (np.c_[low_rank(30, 4, 40), np.zeros((30, 5))], 4),
        # A row that has a direction of its own says that more rows would bring more.
        (np.r_[low_rank(29, 4, 40), normal(1, 40, 7)], 40),
        # Rows that repeat leave fewer directions than rows and features allow, and are no bound.
        (with_repeats(30, 40, 1), 40),
        (with_repeats(30, 40, 3), 40),
        (with_repeats(30, 40, 3, 1e-9), 40),
        (np.c_[with_repeats(30, 30, 3), np.ones((30, 10))], 30),
        (np.repeat(normal(15, 40), 2, 0), 40),
        (np.tile(normal(15, 40), (3, 1)), 40),
    ],
)
def test_most_is_bounded_by_dead_columns_and_by_ranks_that_stay_without_any_row(rows, most):
    assert sample(rows).most == most
    assert sample((rows * 8).astype(np.float32)).most == most


def test_most_of_rows_in_groups_does_not_rest_on_a_group():
    """Twelve groups of three equal rows: without one of them a direction is lost."""
    rows, groups = np.repeat(normal(12, 20), 3, 0), np.repeat(np.arange(12), 3)
    assert sample(rows, groups).most == 20
    assert sample(low_rank(36, 4, 20), groups).most == 4


@pytest.mark.parametrize("state", ["single", "copies", "told groups", "told apart", "copies as groups"])
@pytest.mark.parametrize(("sum_of_both", "rests"), [(0.96, False), (0.989, False), (0.991, True)])
def test_a_rank_rests_on_a_row_whose_copies_have_all_leverage(state, sum_of_both, rests):
    """Leverage and share of the mean of a row with its copies; scores of told groups count the group already."""
    codes = np.r_[np.zeros(3, int), 1 + np.arange(57) // 3]
    s = dataclasses.replace(sample(normal(60, 5)), copies=np.arange(60), correlation=0.5)
    times = together = 1.0
    if state in ("copies", "copies as groups"):
        s, times, together = dataclasses.replace(s, copies=codes), 3.0, 3.0
    if state == "told groups":
        s, together = dataclasses.replace(s, groups=codes, told=True), 1 + 2 * 0.5
    if state == "told apart":
        s = dataclasses.replace(s, told=True)
    if state == "copies as groups":
        s = s.copies_as_groups
    leverages = np.full(60, 0.01)
    leverages[2] = (sum_of_both - together / 60) / times
    s = dataclasses.replace(s, scores=dataclasses.replace(s.scores, leverages=leverages))
    assert s._rank_rests_on_single_rows() == rests


def test_copies_are_one_row_in_the_sample_without_them():
    rows = normal(60, 8)
    rows[50:] = rows[:10]
    s, wanted = sample(rows), sample(rows[:50], range(50))
    assert (s.repeats, s.mostly_alike, s.told) == (10, False, False)
    assert s.distinct.variances == pytest.approx(wanted.variances, rel=1e-9)
    assert s.distinct.n == 50
    assert s.distinct.told
    for measure in MEASURES:
        found = s.distinct.scores.influence[measure][s.copies]
        assert found[:50] == pytest.approx(wanted.scores.influence[measure], rel=1e-6, abs=1e-9)
        assert found[50:].tolist() == found[:10].tolist()
    assert s.copies_as_groups.groups.tolist() == s.copies.tolist()
    assert s.copies_as_groups.correlation == 1.0
    # Ten groups of two: ten eigenvalues of 2 and ten of 0 beside forty of 1.
    assert s.copies_as_groups.independent == pytest.approx(60 / ((10 * 4 + 40) / 60), rel=1e-12)
    assert sample(normal(60, 8)).distinct is None
    assert sample(np.repeat(normal(3, 8), 20, 0)).distinct is None
    assert sample(np.repeat(normal(4, 8), 20, 0)).distinct.n == 4
    assert sample(rows, range(60)).distinct is None


def test_rows_that_were_told_apart_are_searched_for_no_copies_of_a_group():
    rows, groups = normal(60, 8), np.arange(60) // 2
    rows[50:] = rows[:10]
    for told in (groups, range(60)):
        assert sample(rows, told).told
        assert sample(rows, told).distinct is None


def test_halves_know_which_rows_they_are_and_keep_copies_together():
    rows = normal(100, 8)
    rows[80:] = rows[:20]
    s = sample(rows)
    index = s.halves.index
    assert sorted(index) == list(range(100))
    cut = s.halves.freedom[0] + 1
    halves = set(index[:cut]), set(index[cut:])
    for i in range(20):
        assert (i in halves[0]) == (80 + i in halves[0])
    assert s.halves.freedom[1] + 1 == len(halves[1])
    fits = s.fits_of_halves
    assert [fit.n for fit in fits] == [len(half) for half in halves]
    for fit, half in zip(fits, halves, strict=True):
        expected = np.linalg.eigvalsh(np.cov(rows[sorted(half)].T))[::-1]
        assert fit.variances == pytest.approx(expected / expected[0], rel=1e-9)
    assert sample(normal(15, 3)).fits_of_halves == ()


def test_halves_keep_told_groups_together_and_not_rows_that_are_just_alike():
    rows = normal(100, 8)
    rows[50:60] = rows[:10]
    groups = np.random.default_rng(0).permutation(np.arange(100) // 4)
    for x, codes, whole in ((rows, groups, True), (np.repeat(rows[:30], 4, 0)[:100], None, False)):
        s = sample(x, codes)
        first = s.halves.index[: s.halves.freedom[0] + 1]
        shares = [
            np.isin(np.flatnonzero((s.copies if codes is None else codes) == code), first).mean() for code in range(25)
        ]
        assert (set(shares) == {0.0, 1.0}) == whole


@pytest.mark.parametrize(
    "measures", [("effective_rank", "effective_rank_sigma"), ("effective_rank_sigma", "effective_rank")]
)
def test_the_smallest_variances_are_exact_where_one_of_the_measures_needs_them(measures):
    rows = normal(400, 12) * 10.0 ** (-0.7 * np.arange(12)) + 1
    rows[380:] = rows[:20]
    source = source_of(torch.as_tensor(rows), "x")
    s = sample_of(source, measures, center=True, normalize=None, groups=None)
    for found, x in ((s, rows), (s.distinct, rows[:380])):
        sigma = np.linalg.svd(x - x.mean(0), compute_uv=False)[: len(found.variances)]
        assert len(sigma) >= 10
        assert found.variances == pytest.approx((sigma / sigma[0]) ** 2, rel=1e-9, abs=0)


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
