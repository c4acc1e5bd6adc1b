"""Estimates of rows that repeat: which reading is taken, what is said of it, and when it leaves no interval."""

import dataclasses
import math

import numpy as np
import pytest
from estimate_reference import decaying, normal, power, sample
from scipy import stats

import repgeom as rg
from repgeom.inference.correction import Corrected, _of_both_readings, corrected

SMOOTH = ["effective_rank", "effective_rank_sigma", "participation_ratio"]


def repeating(n=400, d=8, repeats=20, noise=0.0):
    x = decaying(n, d)
    x[n - repeats :] = x[:repeats] + noise * normal(repeats, d, 5)
    return x


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_copies_are_taken_for_one_row(measure, noise):
    x = repeating(noise=noise)
    found, distinct = rg.estimate(x, measure), rg.estimate(x[:380], measure)
    independent = rg.estimate(x, measure, groups=range(400))
    assert found.value == pytest.approx(distinct.value, rel=1e-4)
    note = (
        "20 of 400 rows repeat earlier ones; copies are taken for one row (as independent rows they would read "
        f"{independent.value:.4g}; `groups` can say which is right)"
    )
    assert found.warnings[0] == note
    assert (found.low is None) == (distinct.low is None)
    if found.low is not None:
        assert found.se == pytest.approx(distinct.se, rel=1e-3)


@pytest.mark.parametrize("measure", SMOOTH)
def test_a_rows_influence_is_shared_out_among_its_copies(measure):
    """The spread over rows, copies together, is that over the distinct rows."""
    x = repeating()
    s = sample(x, [measure])
    found, distinct = corrected(s, measure), corrected(sample(x[:380], [measure], range(380)), measure)
    assert found.groups is s.copies
    assert found.influence[:20] == pytest.approx(found.influence[-20:], rel=1e-12)
    sums = np.bincount(s.copies, found.influence)[s.copies[:380]]
    assert sums * 380 / 400 == pytest.approx(distinct.influence, rel=1e-4, abs=1e-6)
    assert found.influence[30] * 380 / 400 == pytest.approx(distinct.influence[30], rel=1e-4)


def given(log, error=0.01, degrees=50):
    return Corrected(log, np.zeros(4), error, 0.0, degrees, "method", (), None)


@pytest.mark.parametrize(("share", "kept"), [(0.999, True), (1.001, False), (-0.999, True), (-1.001, False)])
def test_readings_that_differ_by_more_than_half_of_the_interval_leave_none(share, kept):
    s = sample(repeating(), ["effective_rank"])
    half = stats.t.ppf(0.975, 50) * 0.01
    found = _of_both_readings(given(1.0 + share * half, error=9.0), given(1.0), s)
    assert found.log == 1.0
    assert (found.error is not None) == kept
    assert f"as independent rows they would read {math.exp(1.0 + share * half):.4g};" in found.warnings[0]
    if not kept:
        why = "no interval: it hangs on whether rows that repeat are copies or just alike; say so by `groups`"
        assert found.warnings[-1] == why
        assert (found.beyond, found.degrees) == (0.0, 0)
    none = dataclasses.replace(given(1.0), error=None, warnings=("no interval: x",))
    assert _of_both_readings(given(1.0), none, s).warnings[1:] == ("no interval: x",)


@pytest.mark.parametrize(("repeats", "mostly"), [(200, False), (201, True)])
def test_rows_of_which_most_repeat_are_taken_for_independent(repeats, mostly):
    x = decaying(400, 6)
    x[400 - repeats :] = x[np.arange(repeats) % (400 - repeats)]
    s = sample(x, ["effective_rank"])
    assert (s.repeats, s.mostly_alike) == (repeats, mostly)
    e = rg.estimate(x)
    words = (
        "copies are taken for independent rows (as one row"
        if mostly
        else "copies are taken for one row (as independent"
    )
    assert words in e.warnings[0]
    told = rg.estimate(x, groups=range(400))
    assert (e.value == pytest.approx(told.value, rel=1e-9)) == mostly
    if mostly:
        assert e.low is None


@pytest.mark.parametrize("groups", [range(400), np.arange(400) // 2, np.r_[np.arange(380), np.arange(20)]])
def test_rows_that_were_told_apart_or_together_are_not_searched(groups):
    assert not any("repeat" in w for w in rg.estimate(repeating(), groups=groups).warnings)


def test_too_many_rows_to_hold_are_read_as_groups_of_copies(monkeypatch):
    monkeypatch.setattr("repgeom.inference.sample._DRAWN_ROWS", 300)
    x = repeating() * power(8, 0.5)
    s = sample(x, SMOOTH)
    assert s.distinct is None
    assert s.repeats == 20
    for measure in SMOOTH:
        e = rg.estimate(x, measure)
        assert "20 of 400 rows repeat earlier ones; copies are taken for one row" in e.warnings[0]
        assert e.value == pytest.approx(rg.estimate(x[:380], measure).value, rel=0.01)
        assert e.low is not None
