"""Which population shows these variances: each step against its definition, and both sides of every limit."""

import math

import numpy as np
import pytest
from estimate_reference import normal
from scipy.optimize import nnls

from repgeom.inference.population import (
    EVEN,
    Population,
    RowWeights,
    _gaps,
    _grid,
    _newton,
    _solve,
    binned,
    population,
    standing_alone,
)
from repgeom.measures.measure import functional

UNEVEN = RowWeights(np.array([0.2, 1.0, 4.0]), np.array([0.5, 0.4, 0.125]))


def effective_rank(found):
    return math.exp(functional("effective_rank").log(found.variances, found.counts))


# The fit -------------------------------------------------------------------------------------------------------------


def slow_population(variances, d, freedom, weights, alone):
    """Equation by equation: sixty points of the transform, two sums, and the number of directions above each gap."""
    positive = [v for v in variances if v > 0]
    mean, c = sum(positive) / d, d / freedom
    grid = _grid(np.array(positive[len(alone) :]), mean)
    z = 1j * np.geomspace(4 * positive[0], grid[0], 60)
    transform = [sum(v / (v - point) for v in positive) / d for point in z]
    s = z * _solve(c * np.array(transform), weights) / (c * np.array(transform))
    equations = []
    for point, value in zip(s, transform, strict=True):
        value -= sum(a / (a - point) for a in alone) / d
        row = [mean / (t - point) for t in grid]
        equations.append(([v.real for v in row] + [0], value.real))
        equations.append(([v.imag for v in row] + [0], value.imag))
    equations.append(([10] * len(grid) + [0], 10 * (1 - sum(alone) / sum(positive))))
    equations.append(([10 * mean / t for t in grid] + [10], 10 * (1 - len(alone) / d)))
    for k, cut in _gaps(np.array(positive), len(alone), freedom):
        equations.append(([100 * d / (k - len(alone)) * mean / t * (t > cut) for t in grid] + [0], 100))
    left, right = (np.array(side) for side in zip(*equations, strict=True))
    shares = nnls(left, right, maxiter=100_000)[0][:-1]
    return grid, d * shares * mean / grid


@pytest.mark.parametrize("weights", [EVEN, UNEVEN])
@pytest.mark.parametrize(
    ("alone", "rest", "d", "freedom"),
    [
        ([], np.linspace(2, 0.5, 30), 30, 90),
        ([], np.r_[np.linspace(2, 0.5, 20), np.zeros(20)], 40, 20),
        ([], np.r_[np.full(3, 40.0), np.linspace(2, 0.5, 30)], 33, 100),
        ([], np.r_[np.full(3, 40.0), np.linspace(2, 0.5, 15)], 33, 100),
        ([300.0], np.r_[np.full(2, 40.0), np.linspace(2, 0.5, 30)], 33, 200),
        ([900.0, 100.0], np.linspace(2, 0.5, 30) ** 3, 40, 60),
    ],
)
def test_the_fit_by_its_equations(alone, rest, d, freedom, weights):
    variances = np.r_[alone, rest]
    found = population(variances, d, freedom, weights, np.array(alone) * 0.99)
    grid, counts = slow_population(variances, d, freedom, weights, [0.99 * a for a in alone])
    kept = counts > 0
    assert found.variances == pytest.approx(np.r_[grid[kept], 0.99 * np.array(alone)], rel=1e-9)
    assert found.counts == pytest.approx(np.r_[counts[kept], np.ones(len(alone))], rel=1e-4, abs=1e-6)
    assert Population(found.variances, found.counts).alone == 0


@pytest.mark.parametrize(("n", "d"), [(900, 300), (200, 300)])
def test_rows_that_weigh_unevenly_come_from_the_population_behind_them(n, d):
    weights = np.repeat([0.25, 2.5], [2 * n // 3, n - 2 * n // 3])
    weights /= weights.mean()
    deviations = np.repeat([1.0, 0.4], [d // 3, d - d // 3])
    x = normal(n, d) * np.sqrt(weights)[:, None] * deviations
    seen = np.linalg.svd(x, compute_uv=False) ** 2 / n
    seen = seen[seen > 1e-12]
    true = math.exp(functional("effective_rank").log(deviations**2, np.ones(d)))
    values, counts = np.unique(weights, return_counts=True)
    assert effective_rank(population(seen, d, n, RowWeights(values, counts / n))) == pytest.approx(true, rel=0.03)
    assert effective_rank(population(seen, d, n)) < 0.95 * true


@pytest.mark.parametrize("alone", [[], [40.0], [40.0, 20.0]])
def test_sums_of_the_population_are_those_that_are_known(alone):
    variances = np.r_[alone, np.linspace(2, 0.5, 40)]
    found = population(variances, len(variances), 10**6, EVEN, np.array(alone))
    assert found.counts.sum() == pytest.approx(len(variances), rel=1e-3)
    assert found.counts @ found.variances == pytest.approx(variances.sum(), rel=1e-3)
    assert found.alone == len(alone)
    assert found.variances[len(found.variances) - len(alone) :].tolist() == alone
    assert found.counts[len(found.counts) - len(alone) :].tolist() == [1.0] * len(alone)


def test_next_to_a_large_variance_the_others_keep_their_sums():
    rest = np.linspace(2, 0.5, 40)
    found = population(np.r_[4000.0, rest], 41, 10**6, EVEN, np.array([4000.0]))
    assert found.counts[:-1].sum() == pytest.approx(40, rel=0.02)
    assert found.counts[:-1] @ found.variances[:-1] == pytest.approx(rest.sum(), rel=0.02)


def test_directions_without_variance_are_no_directions_of_the_population():
    found = population(np.ones(10), 40, 10**6)
    assert found.counts.sum() == pytest.approx(10, rel=1e-3)
    assert found.counts @ found.variances == pytest.approx(10, rel=1e-3)


def test_a_few_variances_above_a_gap_are_so_many_directions():
    variances = np.r_[np.full(3, 50.0), np.full(60, 1.0)]
    found = population(variances, 63, 400)
    assert found.counts[found.variances > 7].sum() == pytest.approx(3, abs=0.02)


@pytest.mark.parametrize("weights", [EVEN, UNEVEN])
def test_the_transform_of_the_weights_is_inverted_in_the_upper_half_plane(weights):
    wanted = 0.4 * np.exp(1j * np.linspace(0.3, 1.5, 20)) * np.geomspace(0.01, 1, 20)
    found = _solve(wanted, weights)
    below = 1 + found[:, None] * weights.values
    assert (weights.shares * found[:, None] * weights.values / below).sum(1) == pytest.approx(wanted, rel=1e-9)
    assert (found.imag > 0).all()


@pytest.mark.parametrize(
    ("start", "solution"),
    [
        (0.3 + 0.001j, 0.5 + 0.3j),
        (0.3 + 0.001j, -0.2 + 0.5j),
        (-0.6 + 0.01j, -0.2 + 0.5j),
        (-0.6 + 0.01j, 0.1 + 2j),
        # Of these, whole steps lead elsewhere or nowhere.
        (-1.343 + 0.091j, -0.952 + 0.413j),
        (-0.277 + 0.002j, -1.007 + 0.209j),
        (0.354 + 0.018j, -0.728 + 0.255j),
    ],
)
def test_steps_that_would_leave_the_upper_half_plane_are_shortened(start, solution):
    w, share = UNEVEN.values, UNEVEN.shares
    wanted = (share * solution * w / (1 + solution * w)).sum()
    assert _newton(start, wanted, UNEVEN) == pytest.approx(solution, rel=1e-9)


# Directions that stand alone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "count"), [(1.001, 1), (0.999, 0)])
@pytest.mark.parametrize("weights", [EVEN, UNEVEN])
def test_a_variance_stands_alone_five_errors_above_the_next(weights, factor, count):
    freedom = 4000
    limit = 1 + 5 * math.sqrt(2 * weights.mean_square / freedom)
    first = limit * factor
    for scale in (1.0, 4.0, 0.1):
        found = scale * standing_alone(np.r_[first, np.ones(5)] / scale, freedom, weights, np.zeros(6))
        assert len(found) == count
    if count:
        pull = weights.mean_square * 5 / (first - 1) / freedom
        assert found == pytest.approx([first * (1 - pull)], rel=1e-12)


def test_the_pull_of_all_others_is_taken_off_each():
    variances, freedom = np.array([100.0, 50.0, 1.0, 1.0, 0.5]), 300
    found = standing_alone(variances, freedom, UNEVEN, np.zeros(5))
    ms = UNEVEN.mean_square
    first = 100 * (1 - ms / freedom * (50 / 50 + 2 / 99 + 0.5 / 99.5))
    second = 50 * (1 - ms / freedom * (100 / -50 + 2 / 49 + 0.5 / 49.5))
    assert found == pytest.approx([first, second], rel=1e-12)


@pytest.mark.parametrize(("share", "count"), [(0.1, 2), (0.1001, 1)])
def test_a_row_that_makes_its_own_direction_ends_those_that_stand_alone(share, count):
    variances = np.array([100.0, 50.0, 1.0, 1.0])
    assert len(standing_alone(variances, 300, EVEN, np.array([0.0, share, 0.0, 0.0]))) == count


@pytest.mark.parametrize(("others", "count"), [(989, 1), (991, 0)])
def test_a_pull_of_more_than_a_tenth_is_left_to_the_fit(others, count):
    """Others of variance one pull a variance of 100 by others / 99 / freedom."""
    variances = np.r_[100.0, np.ones(others)]
    assert len(standing_alone(variances, 100, EVEN, np.zeros(10))) == count


def test_a_pull_downwards_of_more_than_a_tenth_is_left_to_the_fit_too():
    """The second of two is pulled by the first: 330 / (100 − 330) over ten degrees is −0.14, over twenty −0.07."""
    variances = np.r_[330.0, 100.0, np.ones(5)]
    assert len(standing_alone(variances, 10, EVEN, np.zeros(7))) == 1
    assert len(standing_alone(variances, 20, EVEN, np.zeros(7))) == 2


def test_the_last_variance_has_nothing_to_stand_above():
    assert len(standing_alone(np.array([1000.0, 30.0, 1.0]), 10_000, EVEN, np.zeros(10))) == 2
    assert standing_alone(np.array([1000.0]), 10_000, EVEN, np.zeros(1)).size == 0
    assert len(standing_alone(np.array([1000.0, 30.0, 1.0]), 10_000, EVEN, np.zeros(1))) == 1


# Steps ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "found"), [(10.001, [(3, math.sqrt(10.001))]), (10.0, []), (9.99, [])])
def test_a_gap_is_a_ratio_of_ten(ratio, found):
    assert _gaps(np.r_[np.full(3, ratio), np.ones(20)], 0, 400) == [pytest.approx(gap) for gap in found]


def test_gaps_are_looked_for_among_a_few_leading_variances():
    falling = 100.0 ** -np.arange(6.0)
    assert [k for k, _ in _gaps(falling, 0, 400)] == [1, 2, 3, 4, 5]
    assert [cut for _, cut in _gaps(falling, 0, 400)] == pytest.approx([10.0 ** (1 - 2 * k) for k in range(1, 6)])
    assert [k for k, _ in _gaps(falling, 2, 400)] == [3, 4, 5]
    assert [k for k, _ in _gaps(falling, 0, 15)] == [1, 2, 3]
    assert [k for k, _ in _gaps(falling, 0, 16)] == [1, 2, 3, 4]


def test_the_grid_spans_what_matters_in_steps_of_a_twentieth():
    grid = _grid(np.array([8.0, 4.0, 1.0, 1e-8]), 3.0)
    assert grid[-1] == pytest.approx(8.8)
    assert grid[0] == pytest.approx(0.05 * 3)
    assert len(grid) == int(math.log(8.8 / 0.15) / 0.05)
    low = _grid(np.array([8.0, 4.0, 0.1, 1e-8]), 3.0)
    assert low[0] == pytest.approx(0.3 * 0.1)
    assert _grid(np.array([1.0, 1e-9]), 100.0)[0] == pytest.approx(0.3)
    assert len(_grid(np.ones(5), 1.0)) == int(np.log(1.1 / 0.05) / 0.05)
    assert len(_grid(np.ones(5), 6.0)) == 30
    assert len(_grid(np.geomspace(1, 1e-12, 500), 1e-10)) == 400  # no more


@pytest.mark.parametrize("total", [1.0, 1e4])
@pytest.mark.parametrize(("share", "counts"), [(0.95e-6, False), (1.05e-6, True)])
def test_the_grid_starts_where_a_millionth_of_the_variance_is_left_out(share, counts, total):
    variances = total * np.array([0.6, 0.3, 0.1, share])
    low = _grid(variances, 100 * total)[0]
    assert low == pytest.approx(0.3 * (variances[3] if counts else variances[2]), rel=1e-9)


def test_binned_weights_are_means_of_neighbours():
    weights = np.random.default_rng(0).permutation(np.geomspace(0.1, 10, 500))
    found, ascending = binned(weights), np.sort(weights)
    sizes = np.round(found.shares * 500).astype(int)
    assert sizes.sum() == 500
    means = [part.mean() for part in np.split(ascending, sizes.cumsum()[:-1])]
    assert found.values == pytest.approx(np.array(means) / weights.mean())
    assert sizes[0] > 50
    assert sizes[-1] == 1
    assert 25 < len(sizes) <= 40
    assert (np.diff(sizes[sizes > 1]) <= 1).all()
    assert binned(np.array([1.0, 1.0, 4.0])).mean_square == pytest.approx(1.5)
    assert binned(np.array([1.0, 4.0, 4.0])).mean_square == pytest.approx(33 / 27)
    assert binned(np.array([-0.5, -0.1, 3.6])).values.min() == 0.0
    assert len(binned(weights, bins=5).values) == 5


def test_forty_bins_end_where_shares_of_larger_weights_fall_evenly_in_logarithms():
    weights = np.exp(normal(2000, 1, 4)[:, 0])
    ascending, edges = np.sort(weights), {0}
    for beyond in np.geomspace(1, 1 / 2000, 40):
        edges.add(sum((i + 1) / 2000 <= 1 - beyond + 1e-9 for i in range(2000)))
    parts = np.split(ascending, sorted(edges)[1:])
    found = binned(weights)
    assert found.values == pytest.approx([part.mean() / weights.mean() for part in parts], rel=1e-9)
    assert found.shares == pytest.approx([len(part) / 2000 for part in parts], rel=1e-9)


def test_binned_weights_count_by_their_shares():
    """As many equal weights as the shares say; those without a share do not exist."""
    values, times = np.array([0.2, 3.0, 1.0, 0.5, 100.0]), np.array([2, 3, 2, 3, 0])
    found, repeated = binned(values, times / 10), np.repeat(values, times)
    assert found.values[-1] == pytest.approx(3 / repeated.mean(), rel=1e-12)
    assert found.shares[-1] == pytest.approx(0.3, rel=1e-12)
    assert found.shares.sum() == pytest.approx(1, rel=1e-12)
    assert found.shares @ found.values == pytest.approx(1, rel=1e-12)
    # With values enough, bins are so fine that the mean square is kept.
    weights, times = np.exp(normal(400, 1, 2)[:, 0]), np.random.default_rng(3).integers(1, 6, 400)
    found, repeated = binned(weights, times / times.sum()), np.repeat(weights, times)
    assert found.mean_square == pytest.approx((repeated**2).mean() / repeated.mean() ** 2, rel=0.005)
    assert binned(np.array([1.0, 5.0, 1.0]), np.array([0.4, 0.0, 0.6])) is EVEN
