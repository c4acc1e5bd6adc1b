"""How unevenly rows weigh: each step of what two halves say of each other, by slow definitions and planted weights."""

import numpy as np
import pytest
import torch
from estimate_reference import decaying, normal, power, rotation, sample
from scipy import optimize

from repgeom.data.sources import source_of
from repgeom.inference.population import EVEN
from repgeom.inference.row_weights import _bounded, _split, _without_noise, split_in_halves, weights_of
from repgeom.spectral.directions import directions_of


def directions(rows):
    return directions_of(source_of(torch.as_tensor(rows), "x"), center=True, normalize=None, tail=False)


# Halves --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "most"), [(100, 8, 100), (101, 8, 101), (5000, 8, 4096), (5000, 1024, 4096), (5000, 1025, 2048)]
)
def test_rows_fall_into_two_halves_of_some_of_them(n, d, most):
    first, second = _split(np.arange(1.0, n + 1), d, None)
    assert len(np.union1d(first, second)) == len(first) + len(second) == most
    assert abs(len(first) - len(second)) <= 1
    assert (np.diff(first) > 0).all()
    # At random: a neighbour in length is in the same half as often as any row, and neither half is longer.
    assert np.isin(first + 1, first).mean() == pytest.approx(len(first) / n, abs=2 / len(first) ** 0.5)
    assert first.mean() == pytest.approx(second.mean(), rel=0.25)


@pytest.mark.parametrize("sizes", [[3] * 40, [1] * 30 + [30], [2, 5, 1, 9, 4, 4, 7, 2, 6, 3] * 6, [50, 1, 1]])
def test_groups_fall_into_one_half_whole_and_halves_are_as_even_as_they_can_be(sizes):
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)) * 7, sizes))
    first, second = _split(normal(len(groups), 1)[:, 0] ** 2, 8, groups)
    assert len(first) + len(second) == len(groups)
    assert not set(groups[first]) & set(groups[second])
    assert min(len(first), len(second)) > 0
    assert abs(len(first) - len(second)) <= max(sizes)


def test_one_group_leaves_no_second_half():
    first, second = _split(np.ones(40), 8, np.zeros(40, int))
    assert (len(first), len(second)) == (40, 0)


def test_halves_do_not_feel_the_order_of_rows_the_names_of_groups_or_the_rounding_of_equal_lengths():
    squares, groups = normal(120, 1)[:, 0] ** 2, np.arange(120) // 2
    squares[groups < 20] = 1.0
    first = _split(squares, 8, groups)[0]
    order = np.random.default_rng(1).permutation(120)
    names = np.random.default_rng(2).permutation(1000)[:60]
    kept = groups >= 20
    renamed = _split(squares[kept][order[order < kept.sum()]], 8, names[groups[kept]][order[order < kept.sum()]])[0]
    assert set(order[order < kept.sum()][renamed]) == set(_split(squares[kept], 8, groups[kept])[0])
    rounded = squares * (1 + 1e-13 * normal(120, 1, 5)[:, 0])
    assert _split(rounded, 8, groups)[0].tolist() == first.tolist()


def slow_split(squares, most, groups):
    """Groups by length, in that order a lot for each, rows by lot, cut at the end of a group that is nearest the middle."""
    lengths = {code: round(sum(squares[groups == code]), 9) for code in sorted(set(groups))}
    lots = np.random.default_rng(0).permutation(len(lengths))
    lot = dict(zip(sorted(lengths, key=lengths.__getitem__), lots, strict=True))
    rows = sorted(range(len(groups)), key=lambda i: lot[groups[i]])[:most]
    ends = [i for i in range(1, len(rows)) if groups[rows[i]] != groups[rows[i - 1]]]
    cut = min(ends, key=lambda end: abs(end - len(rows) / 2))
    return sorted(rows[:cut]), sorted(rows[cut:])


@pytest.mark.parametrize("sizes", [[1] * 60, [3] * 20, [2, 5, 1, 9, 4, 4, 7, 2, 6, 3] * 2])
@pytest.mark.parametrize(("d", "most"), [(8, 4096), (8, 41), (9, 30)])
def test_halves_by_their_definition(sizes, d, most, monkeypatch):
    monkeypatch.setattr("repgeom.inference.row_weights._WIDE", 8)
    monkeypatch.setattr(
        "repgeom.inference.row_weights._MOST_ROWS" if d == 8 else "repgeom.inference.row_weights._FEW_ROWS", most
    )
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)) * 7, sizes))
    squares = (normal(len(groups), 1)[:, 0] ** 2).round(1)  # with equal lengths
    found = _split(squares, d, None if max(sizes) == 1 else groups)
    wanted = slow_split(squares, most, np.arange(60) if max(sizes) == 1 else groups)
    assert tuple(half.tolist() for half in found) == wanted


@pytest.mark.parametrize(("n", "given"), [(15, False), (16, True)])
def test_halves_are_of_eight_rows_at_least(n, given):
    rows = torch.as_tensor(normal(n, 3))
    found = split_in_halves(rows, directions(rows), np.arange(1.0, n + 1), None)
    assert (found is not None) == given
    # One group and seven rows may leave seven rows on one side, be it the first or the second.
    uneven, shorter = np.r_[np.zeros(n - 7, int), np.arange(1, 8)], set()
    for place in range(8):
        squares = np.r_[np.full(n - 7, (place + 0.5) / (n - 7)), np.arange(1.0, 8)]
        first, second = _split(squares, 3, uneven)
        if min(len(first), len(second)) < 8:
            shorter.add(len(first) < len(second))
            assert split_in_halves(rows, directions(rows), squares, uneven) is None
    assert shorter == {True, False}


def test_halves_of_many_narrow_rows_are_of_4096_rows():
    rows = torch.as_tensor(normal(2100, 2))
    assert len(split_in_halves(rows, directions(rows), rows.square().sum(1).numpy(), None).index) == 2100


def test_a_half_that_does_not_vary_leaves_none():
    rows = torch.zeros(40, 3, dtype=torch.float64)
    rows[0] = 1
    assert split_in_halves(rows, directions(rows), np.ones(40), None) is None
    # A feature that does not vary among others that do is no reason.
    rows[:, 1] = torch.as_tensor(normal(40, 1)[:, 0])
    assert split_in_halves(rows, directions(rows), np.ones(40), None) is not None


def test_halves_have_the_variances_of_their_rows():
    rows = torch.as_tensor(decaying(60, 5))
    whole, squares = directions(rows), normal(60, 1)[:, 0] ** 2
    found = split_in_halves(rows, whole, squares, None)
    assert found.freedom == (29, 29)
    for part, half in zip(_split(squares, 5, None), found.variances, strict=True):
        expected = np.linalg.eigvalsh(np.cov(rows[torch.as_tensor(part)].numpy().T))[::-1]
        assert half == pytest.approx(expected / expected[0], rel=1e-9)
    assert found.index.tolist() == np.concatenate(_split(squares, 5, None)).tolist()


# Less noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.01, 0.2, 0.6, 1.2])
def test_what_remains_has_the_mean_square_that_exceeds_the_noise(noise):
    means = normal(500, 1, 3)[:, 0] * 1.2
    found = _without_noise(means, noise)
    assert (found**2).mean() == pytest.approx((means**2).mean() - noise, rel=1e-9)
    assert (np.sign(found) * np.sign(means) >= 0).all()
    assert (np.abs(found) <= np.abs(means)).all()
    # All squares lose the same, down to zero.
    loss = means**2 - found**2
    assert loss[found != 0] == pytest.approx(np.full((found != 0).sum(), loss.max()), rel=1e-6)


@pytest.mark.parametrize("noise", [0.001, 0.3, 0.9, 1.3])
def test_the_limit_by_halving(noise):
    means = normal(80, 1, 5)[:, 0] * np.r_[np.ones(79), 4.0]
    low, high = 0.0, (means**2).max()
    for _ in range(200):
        middle = (low + high) / 2
        if sum(max(0, m * m - middle) for m in means) / 80 > (means**2).mean() - noise:
            low = middle
        else:
            high = middle
    wanted = [np.sign(m) * max(0, m * m - low) ** 0.5 for m in means]
    assert _without_noise(means, noise) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_far_values_stay_and_noise_alone_vanishes():
    means = np.r_[0.1 * normal(400, 1)[:, 0], 5.0, -7.0]
    found = _without_noise(means, (0.1 * 0.1))
    assert found[-2:] == pytest.approx([5.0, -7.0], rel=2e-3)
    assert np.abs(found[:-2]).max() < 0.3
    for noise in ((means**2).mean(), 100.0):
        assert _without_noise(means, noise).tolist() == [0.0] * 402
    assert _without_noise(means, 0.0) == pytest.approx(means, rel=1e-9)
    assert _without_noise(np.ones(5), 0.36) == pytest.approx(np.full(5, 0.8))


# Weights -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1.1, 1.5, 3.0])
def test_weights_are_bounded_in_their_mean_square(most):
    logs = normal(300, 1)[:, 0] * 1.3
    whole = np.exp(logs) / np.exp(logs).mean()
    assert (whole**2).mean() > 3
    found = _bounded(logs, most)
    assert found.mean() == pytest.approx(1)
    assert (found**2).mean() == pytest.approx(most, rel=1e-6)
    # A share of the logarithms: all in their order and proportion.
    share = np.polyfit(logs, np.log(found), 1)[0]
    assert np.log(found) == pytest.approx(share * (logs - logs.mean()) + np.log(found).mean(), rel=1e-6)


@pytest.mark.parametrize("most_of_all", [0.3, 0.97])
def test_the_share_of_the_logarithms_is_the_root_of_the_bound(most_of_all):
    logs = np.r_[normal(50, 1)[:, 0], 4.0]
    most = most_of_all * (np.exp(logs) ** 2).mean() / np.exp(logs).mean() ** 2

    def mean_square(share):
        weights = [np.exp(share * log) for log in logs]
        return np.mean(np.square(weights)) / np.mean(weights) ** 2

    share = optimize.brentq(lambda share: mean_square(share) - most, 0, 1)
    weights = np.exp(share * logs)
    found = _bounded(logs, most)
    assert found == pytest.approx(weights / weights.mean(), rel=1e-8)
    assert (found**2).mean() <= most


def test_weights_within_the_bound_are_those_of_their_logarithms():
    logs = np.array([-400.0, 0.0, 800.0, 799.0])
    found = _bounded(logs, 4.0)
    assert found == pytest.approx(4 * np.exp(logs - 800) / np.exp(logs - 800).sum(), rel=1e-12)
    assert _bounded(np.zeros(5), 1.0).tolist() == [1.0] * 5
    logs = normal(30, 1)[:, 0]
    whole = np.exp(logs - logs.max())
    whole /= whole.mean()
    assert _bounded(logs, float((whole**2).mean())).tolist() == whole.tolist()
    assert _bounded(np.array([0.0, 1.0]), 1.0) == pytest.approx([1, 1], rel=1e-6)


@pytest.mark.parametrize(("kurtosis", "most"), [(-1.0, 1.2), (0.0, 1.2), (0.1, 1.5), (0.5, 2.7)])
def test_the_fourth_moment_bounds_how_unevenly_rows_weigh(kurtosis, most):
    logs = np.r_[np.zeros(990), np.full(10, 6.0)]
    found = weights_of(logs, kurtosis, np.ones(1000), 0.0)
    assert found.mean_square == pytest.approx(most, rel=1e-3)
    assert found.shares @ found.values == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_groups_weigh_as_the_eigenvalues_of_their_correlation(correlation):
    """E[w^k] over rows is the mean of the k-th powers of the correlation matrix's eigenvalues."""
    groups = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 4, 5])
    sizes = np.bincount(groups)[groups].astype(float)
    found = weights_of(np.zeros(12), 0.0, sizes, correlation)
    matrix = np.where(groups[:, None] == groups, correlation, 0.0)
    np.fill_diagonal(matrix, 1.0)
    eigenvalues = np.linalg.eigvalsh(matrix)
    for k in (1, 2, 3):
        assert found.shares @ found.values**k == pytest.approx((eigenvalues**k).mean(), rel=1e-9)


def test_weights_of_rows_in_groups_by_their_definition(monkeypatch):
    """One eigenvalue of 1 + (m − 1) ρ in m rows and m − 1 of 1 − ρ, each times what the row weighs."""
    monkeypatch.setattr("repgeom.inference.row_weights.binned", lambda values, shares: (values, shares))
    logs, sizes, correlation, bound = normal(6, 1)[:, 0], [1, 2, 2, 3, 3, 3], 0.4, 1 + 3 * 0.02 + 0.2
    weights = _bounded(logs, bound)
    values, shares = weights_of(logs, 0.02, np.array(sizes, float), correlation)
    wanted = [(w * (1 + (m - 1) * 0.4), 1 / m / 6) for w, m in zip(weights, sizes, strict=True)]
    wanted += [(w * 0.6, (m - 1) / m / 6) for w, m in zip(weights, sizes, strict=True)]
    assert values == pytest.approx([value for value, _ in wanted], rel=1e-12)
    assert shares == pytest.approx([share for _, share in wanted], rel=1e-12)


def test_rows_of_one_weight_are_even():
    assert weights_of(np.zeros(50), 3.0, np.ones(50), 0.0) is EVEN
    assert weights_of(np.full(50, -7.0), 3.0, np.ones(50), 0.0) is EVEN


# Of samples ----------------------------------------------------------------------------------------------------------


def test_weights_of_a_sample_are_those_that_were_planted():
    planted = np.random.default_rng(1).choice([0.4, 1.0, 4.0], 800, p=[0.5, 0.4, 0.1])
    planted /= planted.mean()
    s = sample(normal(800, 100) * power(100, 0.25) * np.sqrt(planted)[:, None], ["effective_rank"])
    assert s.weights.mean_square == pytest.approx((planted**2).mean(), rel=0.1)
    assert sample(normal(800, 100), ["effective_rank"]).weights.mean_square < 1.05
    assert sample(normal(15, 100), ["effective_rank"]).weights is EVEN


def test_logarithms_of_a_group_are_its_mean():
    """A group is one draw, so its rows weigh alike."""
    groups = np.repeat(np.arange(200), 3)
    planted = np.random.default_rng(1).choice([0.5, 3.0], 200, p=[0.8, 0.2])[groups]
    x = decaying(600, 80, 0.25) * np.sqrt(planted)[:, None]
    s = sample(x, ["effective_rank"], groups)
    assert s.correlation < 0.05
    logs = s.halves.log_weights
    codes = groups[s.halves.index]
    means = np.array([logs[codes == code].mean() for code in codes])
    wanted = np.exp(means) / np.exp(means).mean()
    assert s.weights.mean_square == pytest.approx((wanted**2).mean(), rel=0.02)


def test_rows_of_groups_weigh_by_the_mean_logarithm_and_the_size_of_their_group(monkeypatch):
    seen = []
    monkeypatch.setattr("repgeom.inference.sample.weights_of", lambda *given: seen.append(given) or EVEN)
    groups = np.r_[np.zeros(5, int), np.repeat(np.arange(1, 20), 2), np.arange(20, 37)]
    s = sample(decaying(60, 30) * np.exp(normal(60, 1, 1)), ["effective_rank"], groups)
    assert s.weights is EVEN
    ((logs, _, sizes, correlation),) = seen
    own, codes = s.halves.log_weights, groups[s.halves.index]
    assert own.any()
    assert logs == pytest.approx([own[codes == code].mean() for code in codes], rel=1e-12, abs=1e-15)
    assert sizes.tolist() == [(groups == code).sum() for code in codes]
    assert correlation == s.correlation


def test_a_rotation_leaves_the_weights():
    x = decaying(300, 20) * np.exp(normal(300, 1, 4) / 2)
    one, other = (sample(y, ["effective_rank"]).weights for y in (x, x @ rotation(20) * 7 + 3))
    assert other.values == pytest.approx(one.values, rel=1e-6)


@pytest.mark.parametrize("grouped", [False, True])
def test_of_many_rows_those_drawn_keep_their_places(grouped, monkeypatch):
    monkeypatch.setattr("repgeom.inference.sample._DRAWN_ROWS", 400)
    groups = np.repeat(np.arange(600), 2)
    planted = np.where(np.arange(1200) // 2 % 4 == 0, 6.0, 0.5)
    s = sample(decaying(1200, 60, 0.25) * np.sqrt(planted)[:, None], ["effective_rank"], groups if grouped else None)
    logs, heavy = s.halves.log_weights, planted[s.halves.index] > 1
    assert len(logs) == 400
    assert len(set(s.halves.index)) == 400
    assert s.halves.index.max() > 1100
    if grouped:  # drawn whole
        assert set(np.bincount(groups[s.halves.index])) == {0, 2}
    assert logs[heavy].mean() - logs[~heavy].mean() > np.log(6)
    assert s.weights.mean_square == pytest.approx((planted**2).mean() / planted.mean() ** 2, rel=0.25)
