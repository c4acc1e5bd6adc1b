"""Rows of groups that depend on each other."""

import numpy as np
import pytest
import torch
from estimate_reference import SMOOTH, assert_same, decaying, gaussian, likenesses, normal, power

import repgeom as rg


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_rows_repeated_exactly_say_no_more_than_once(measure):
    x = decaying(300, 10, 0.6)
    once = rg.estimate(x, measure)
    for repeated in (np.repeat(x, 3, 0), np.tile(x, (3, 1)), (np.tile(x, (3, 1)) + 50).astype(np.float32)):
        _, copies = np.unique(repeated, axis=0, return_inverse=True)
        e = rg.estimate(repeated, measure, groups=copies)
        assert e.value == pytest.approx(once.value, rel=0.01)
        assert e.se == pytest.approx(once.se, rel=0.05)
        assert e.warnings == ()
        untold = rg.estimate(repeated, measure)
        assert untold.low is None
        assert untold.value == pytest.approx(rg.estimate(repeated, measure, groups=range(900)).value, rel=1e-6)
        note = "600 of 900 rows repeat earlier ones; copies are taken for independent rows (as one row they would read "
        assert untold.warnings[0].startswith(note)
        read = float(untold.warnings[0].removeprefix(note).split(";")[0])
        assert read == pytest.approx(once.value, rel=1e-3)


@pytest.mark.parametrize("measure", SMOOTH)
def test_groups_of_copies_are_found_to_be_copies(measure):
    x, groups = decaying(300, 10, 0.6), np.repeat(np.arange(300), 3)
    told = rg.estimate(np.repeat(x, 3, 0), measure, groups=groups)
    assert told.se == pytest.approx(rg.estimate(x, measure).se, rel=0.05)


def test_groups_of_alike_rows_widen_the_interval_and_strangers_do_not():
    x, groups = likenesses(200, 5) * np.arange(1, 11) ** -0.5, np.repeat(np.arange(200), 5)
    alone, together = rg.estimate(x), rg.estimate(x, groups=groups)
    assert together.se > 1.4 * alone.se
    strangers = rg.estimate(x, groups=np.tile(np.arange(200), 5))
    assert strangers.se == pytest.approx(alone.se, rel=0.2)


def test_groups_of_any_kind_and_order_read_alike():
    x, codes = likenesses(150, 2), np.repeat(np.arange(150), 2)
    wanted = rg.estimate(x, groups=codes)
    other = np.random.default_rng(0).permutation(150)[codes]
    for groups in (
        codes.tolist(),
        [f"clip {i}" for i in codes],
        torch.tensor(codes),
        codes[:, None],
        other,
        codes * 1.0,
    ):
        assert_same(wanted, rg.estimate(x, groups=groups), 1e-9)
    order = np.random.default_rng(1).permutation(300)
    assert_same(wanted, rg.estimate(x[order], groups=codes[order]), 1e-9)


def test_one_group_has_no_interval():
    e = rg.estimate(normal(300, 5), groups=["a"] * 300)
    assert e.low is None
    assert "and it needs 100" in e.warnings[-1]


@pytest.mark.parametrize("measure", ["effective_rank", "effective_rank_sigma", "stable_rank"])
def test_groups_of_one_row_are_no_groups(measure):
    x = decaying(300, 10, 1)
    assert_same(rg.estimate(x, measure), rg.estimate(x, measure, groups=np.arange(300)))


def test_groups_of_one_row_are_no_groups_for_the_participation_ratio():
    x = decaying(300, 10, 0.6)
    none, single = (rg.estimate(x, "participation_ratio", groups=g) for g in (None, np.arange(300)))
    assert single.value == pytest.approx(none.value, rel=1e-6)


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        (np.arange(29), ValueError, "`groups` has 29 entries and `features` 30 rows"),
        ([], ValueError, "`groups` has 0 entries"),
        (np.full(30, np.nan), ValueError, "`groups` has 30 of 30 values that are not finite"),
        ([None] * 30, ValueError, "`groups` has 30 of 30 values that are missing"),
        (np.arange(30) / 7, ValueError, "different fractions"),
        (np.zeros((15, 2)), ValueError, "shape"),
        (np.zeros(30, complex), TypeError, "whole numbers or text"),
    ],
)
def test_groups_that_are_none_are_refused(groups, error, words):
    x = normal(30, 3)
    for call in (
        lambda: rg.estimate(x, groups=groups),
        lambda: rg.compare(x, x, groups=groups, paired=True),
        lambda: rg.compare(x, x, groups=(groups, None)),
        lambda: rg.audit(x, groups=groups),
    ):
        with pytest.raises(error, match=words):
            call()


def test_copies_count_once_when_told():
    x = gaussian(np.random.default_rng(6), 300, power(10, 0.5))
    once, twice = rg.estimate(x), rg.estimate(np.r_[x, x], groups=[*range(300), *range(300)])
    assert twice.in_these_rows == pytest.approx(once.in_these_rows)
    assert twice.value == pytest.approx(once.value, rel=0.005)
    assert twice.se == pytest.approx(once.se, rel=0.15)
    assert not once.warnings


def test_independent_groups_change_little():
    x = gaussian(np.random.default_rng(7), 600, power(10, 0.5))
    alone, grouped = rg.estimate(x), rg.estimate(x, groups=[f"video {i // 3}" for i in range(600)])
    assert grouped.value == pytest.approx(alone.value, rel=0.01)
    assert grouped.se == pytest.approx(alone.se, rel=0.2)
