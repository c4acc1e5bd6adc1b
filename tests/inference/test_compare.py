"""Differences of two representations."""

import numpy as np
import pytest
import torch
from estimate_reference import (
    SMOOTH,
    assert_same,
    decaying,
    gaussian,
    likenesses,
    normal,
    power,
    rank_one,
    rotation,
)

import repgeom as rg


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("measure", SMOOTH)
def test_swapping_turns_the_difference_round(paired, measure):
    a, b = decaying(400, 12), decaying(400, 8, 0.9)
    there, back = rg.compare(a, b, measure, paired=paired), rg.compare(b, a, measure, paired=paired)
    assert there.difference == pytest.approx(there.second.value - there.first.value)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert (back.ratio, back.ratio_low) == pytest.approx((1 / there.ratio, 1 / there.ratio_high))
    assert back.p_value == pytest.approx(there.p_value, rel=1e-6)
    assert there.ratio_low < there.ratio < there.ratio_high
    assert there.paired is paired


def test_pairing_narrows_what_rows_share_and_nothing_else():
    a = decaying(400, 12)
    b = a + 0.05 * normal(400, 12, 5)
    paired, apart = rg.compare(a, b, paired=True), rg.compare(a, b)
    assert paired.difference == apart.difference
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)
    shuffled = rg.compare(a, b[np.random.default_rng(0).permutation(400)], paired=True)
    assert shuffled.high - shuffled.low == pytest.approx(apart.high - apart.low, rel=0.1)


def test_the_same_features_do_not_differ():
    x = decaying(400, 12)
    paired, apart = rg.compare(x, x, paired=True), rg.compare(x, x)
    assert (paired.difference, paired.p_value) == (0, 1)
    assert -0.001 * paired.first.value < paired.low < 0 < paired.high < 0.001 * paired.first.value
    assert (apart.difference, apart.p_value) == (0, 1)
    assert apart.low < 0 < apart.high


def test_rotated_features_do_not_differ():
    x = decaying(600, 12)
    assert rg.compare(x, x @ rotation(12), paired=True).p_value > 0.05


@pytest.mark.parametrize("width", [1, 12])
def test_paired_with_collapsed_features(width):
    c = rg.compare(normal(600, 12), rank_one(600, width), paired=True)
    assert c.difference == pytest.approx(-11, rel=0.01)
    assert c.p_value < 1e-9


def test_unpaired_with_collapsed_features():
    c = rg.compare(normal(600, 12), rank_one(600, 12))
    assert c.difference == pytest.approx(-11, rel=0.01)
    assert c.p_value < 1e-9


def test_groups_count_in_both_directions():
    a, b, groups = decaying(600, 5), np.repeat(decaying(150, 5, seed=9), 4, 0), np.repeat(np.arange(150), 4)
    there, back = (rg.compare(*pair, paired=True, groups=groups) for pair in ((a, b), (b, a)))
    assert there.high - there.low == pytest.approx(back.high - back.low, rel=0.02)


def test_difference_of_numbers_of_components_is_that_of_the_estimates():
    c = rg.compare(normal(600, 12), decaying(600, 12), "n_components_90")
    assert c.difference == pytest.approx(c.second.value - c.first.value)


def test_comparison_without_interval_says_why_for_each():
    c = rg.compare(normal(20, 12), normal(400, 12, 1))
    assert (c.low, c.high, c.p_value, c.ratio_low, c.ratio_high) == (None,) * 5
    assert c.warnings
    assert all(w.startswith("a: ") for w in c.warnings)


def test_comparison_of_files_types_and_sizes(tmp_path):
    a, b = decaying(400, 12), decaying(300, 6)
    np.save(tmp_path / "a.npy", a)
    assert rg.compare(tmp_path / "a.npy", torch.tensor(b)) == rg.compare(a, b)
    with pytest.raises(ValueError, match="`a` has 400 rows and `b` 300"):
        rg.compare(a, b, paired=True)
    with pytest.raises(ValueError, match="`b` has 3 rows"):
        rg.compare(a, b[:3])


def test_groups_of_a_comparison():
    x, groups = likenesses(150, 4) * np.arange(1, 11) ** -0.5, np.repeat(np.arange(150), 4)
    y = likenesses(150, 4, seed=3) * np.arange(1, 11) ** -0.7
    for paired, given in ((True, groups), (False, (groups, groups)), (False, [groups, groups.tolist()])):
        c, alone = rg.compare(x, y, paired=paired, groups=given), rg.compare(x, y, paired=paired)
        assert_same(c.first, rg.estimate(x, groups=groups))
        assert c.high - c.low > 1.3 * (alone.high - alone.low)
    for given in (groups, [groups] * 3, np.stack([groups, groups])):
        with pytest.raises(ValueError, match="must be a pair"):
            rg.compare(x, y, groups=given)
    pairs = np.arange(600) // 2
    c = rg.compare(x, y, groups=(groups, pairs))
    assert_same(c.first, rg.estimate(x, groups=groups))
    assert_same(c.second, rg.estimate(y, groups=pairs))
    assert c.first.se != pytest.approx(rg.estimate(x, groups=pairs).se, rel=1e-3)


def test_paired_comparisons_see_more():
    rng, variances = np.random.default_rng(3), power(16, 1.0)
    a = gaussian(rng, 1000, variances)
    b = 0.95 * a + 0.31 * gaussian(rng, 1000, variances)
    paired, apart = (rg.compare(a, b, paired=paired) for paired in (True, False))
    assert paired.difference == apart.difference == pytest.approx(paired.second.value - paired.first.value)
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)
    back = rg.compare(b, a, paired=True)
    assert back.difference == -paired.difference
    assert (back.low, back.high) == pytest.approx((-paired.high, -paired.low))
    assert back.ratio == pytest.approx(1 / paired.ratio)
    shuffled = rg.compare(a, rng.permutation(b), paired=True)
    assert shuffled.high - shuffled.low == pytest.approx(apart.high - apart.low, rel=0.15)


def test_equal_representations_do_not_differ():
    rng = np.random.default_rng(4)
    x = gaussian(rng, 500, power(10, 1.0))
    turned = x @ np.linalg.qr(rng.standard_normal((10, 10))).Q
    c = rg.compare(x, turned, paired=True)
    assert c.difference == pytest.approx(0, abs=1e-9)
    assert rg.compare(x, x, paired=True).p_value == 1.0
