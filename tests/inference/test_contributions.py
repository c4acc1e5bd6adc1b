"""What of an estimate is kept for later comparisons, and sums over the same rows."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from estimate_reference import decaying

from repgeom.data.sources import source_of
from repgeom.inference.compare import _n_draws, combined, compared, contributions_of, paired_variance
from repgeom.inference.sample import sample_of


def contributions(n=200, power=0.5, groups=None, seed=0):
    source = source_of(torch.as_tensor(decaying(n, 6, power, seed)), "x")
    s = sample_of(source, ["effective_rank"], center=True, normalize=None, groups=groups)
    return contributions_of(s, "effective_rank", 0.95)


def test_compact_contributions_compare_as_whole_ones():
    groups = np.arange(200) // 2
    whole = [contributions(power=p, groups=groups) for p in (0.5, 0.8)]
    small = [c.compact() for c in whole]
    assert [c.corrected.influence.dtype for c in small] == [np.float32] * 2
    assert [c.groups.dtype for c in small] == [np.int32] * 2
    assert [c.n for c in small] == [200] * 2
    first, second = (compared(*pair, "effective_rank", True, 0.95, ("a", "b")) for pair in (whole, small))
    assert second.difference == first.difference
    assert (second.low, second.high, second.p_value) == pytest.approx((first.low, first.high, first.p_value), rel=1e-3)
    assert contributions().compact().groups is None
    few = contributions(n=40)
    assert few.corrected.error is None
    assert few.compact().corrected.influence.shape == (0,)


def test_sums_over_the_same_rows_add_influences_and_what_is_of_second_order():
    a, b = (contributions(power=p).corrected for p in (0.5, 0.8))
    influence, second_order = combined([(-2.0, a), (3.0, b)])
    assert influence == pytest.approx(3 * b.influence - 2 * a.influence)
    cosine = (a.influence @ b.influence) / math.sqrt((a.influence**2).sum() * (b.influence**2).sum())
    wanted = 4 * a.beyond + 9 * b.beyond - 2 * 6 * cosine**2 * math.sqrt(a.beyond * b.beyond)
    assert second_order == pytest.approx(wanted, rel=1e-9)
    assert combined([(1.0, a), (-1.0, a)])[1] == pytest.approx(0.0, abs=1e-12)
    # How alike they are does not hang on how large they are.
    small = [dataclasses.replace(c, influence=1e-6 * c.influence) for c in (a, b)]
    assert combined([(-2.0, small[0]), (3.0, small[1])])[1] == pytest.approx(wanted, rel=1e-9)
    still = dataclasses.replace(a, influence=np.zeros(200))
    assert combined([(1.0, a), (1.0, still)])[1] == pytest.approx(2 * a.beyond)


def test_the_variance_of_a_paired_sum_is_no_more_than_that_of_its_influence():
    assert paired_variance(5.0, 2.0) == 3.0
    assert paired_variance(3.0, 2.0) == 2.0
    assert paired_variance(1.0, 2.0) == 1.0


def test_groups_that_one_side_knows_hold_for_both_where_rows_are_the_same():
    groups = np.arange(200) // 2
    first, second = (contributions(power=p) for p in (0.5, 0.8))
    with_groups = [dataclasses.replace(c, groups=groups) for c in (first, second)]
    both = compared(*with_groups, "effective_rank", True, 0.95, ("a", "b"))
    for pair in ((with_groups[0], second), (first, with_groups[1])):
        assert compared(*pair, "effective_rank", True, 0.95, ("a", "b")) == both
    assert compared(first, second, "effective_rank", True, 0.95, ("a", "b")).high != pytest.approx(both.high, rel=1e-6)


@pytest.mark.parametrize("paired", [True, False])
def test_draws_of_rows_are_groups_and_those_of_the_smaller_side(paired):
    grouped, alone = contributions(groups=np.arange(200) // 2), contributions()
    assert _n_draws(grouped, alone, paired) == _n_draws(alone, grouped, paired) == 100
    assert _n_draws(alone, alone, paired) == 200
    if not paired:
        assert _n_draws(contributions(n=300), alone, paired) == _n_draws(alone, contributions(n=300), paired) == 200
