"""Differences by standard errors, against scipy's Welch test, simulation, and the comparison of rows."""

import math

import numpy as np
import pytest
import scipy.stats

import repgeom as rg
from repgeom.inference.differences import difference_of, error_of, welch
from repgeom.inference.estimate import Estimate


def mean_of(x):
    se = x.std(ddof=1) / math.sqrt(len(x))
    half = scipy.stats.t.ppf(0.975, len(x) - 1) * se
    return Estimate(x.mean(), x.mean(), x.mean() - half, x.mean() + half, se, len(x), "", degrees=len(x) - 1.0)


@pytest.mark.parametrize("sizes", [(5, 40), (40, 5), (12, 12), (300, 3)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_a_difference_of_means_is_welchs(sizes, scale):
    rng = np.random.default_rng(sum(sizes))
    a, b = (scale * (5 + i + (i + 1) * rng.standard_normal(n)) for i, n in enumerate(sizes))
    found = difference_of(mean_of(a), mean_of(b))
    test = scipy.stats.ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert found.difference == pytest.approx(b.mean() - a.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.degrees == pytest.approx(test.df)


@pytest.mark.parametrize("measure", ["effective_rank", "participation_ratio", "effective_rank_sigma"])
def test_stored_numbers_say_what_rows_say_where_these_are_independent(measure):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((600, 12)) * np.arange(1, 13) ** -0.5, rng.standard_normal((400, 12))
    direct = rg.compare(x, y, measure)
    found = difference_of(direct.first, direct.second)
    for key in ("difference", "low", "high", "p_value", "degrees", "ratio", "ratio_low", "ratio_high"):
        assert getattr(found, key) == pytest.approx(getattr(direct, key), rel=1e-4), key


@pytest.mark.parametrize("missing", ["se", "degrees", "low"])
def test_without_an_error_there_is_a_difference_and_no_interval(missing):
    whole = {
        "value": 2.0,
        "in_these_rows": 2.0,
        "low": 1.0,
        "high": 3.0,
        "se": 0.5,
        "n": 9,
        "method": "",
        "degrees": 8.0,
    }
    first, second = Estimate(**whole), Estimate(**{**whole, missing: None, "value": 3.0})
    for found in (difference_of(first, second), difference_of(second, second)):
        assert found.low is found.high is found.p_value is found.degrees is found.ratio_low is None
    assert difference_of(first, second).difference == 1
    assert difference_of(first, second).ratio == 1.5


@pytest.mark.parametrize(("first", "second"), [(-1.0, 2.0), (0.0, 2.0), (1.0, 0.0), (-1.0, -2.0)])
def test_a_ratio_is_given_only_of_positive_numbers(first, second):
    a, b = (Estimate(v, v, v - 1, v + 1, 0.5, 9, "", degrees=8.0) for v in (first, second))
    found = difference_of(a, b)
    assert found.ratio is found.ratio_low is found.ratio_high is None
    assert found.low < second - first < found.high


def test_a_ratio_of_uncertain_numbers_has_no_interval():
    unsure, sure = (Estimate(1.0, 1.0, 0.1, 2.0, se, 9, "", degrees=8.0) for se in (0.3, 0.01))
    for pair in ((unsure, sure), (sure, unsure)):
        found = difference_of(*pair)
        assert found.ratio == 1
        assert found.ratio_low is None
        assert found.low is not None
    assert difference_of(sure, sure).ratio_low < 1 < difference_of(sure, sure).ratio_high


def test_a_share_of_1_is_not_known_without_error():
    """50 rows, all of them right: the next 50 will not surely be."""
    all_right = Estimate(1.0, 1.0, 0.92, 1.0, 0.0, 50, "", degrees=20.0)
    error, degrees = error_of(all_right)
    assert (error * scipy.stats.t.ppf(0.975, 20), degrees) == (pytest.approx(0.08), 20)
    found = difference_of(all_right, all_right)
    assert found.low < -0.08
    assert found.high > 0.08


def test_errors_of_zero_and_beyond_floats():
    assert welch(0.0, 5, 0.0, 9) == (0.0, 5)
    assert welch(1e-200, 5, 1e-200, 9)[1] == 5
    assert welch(1.0, 0, 0.0, 9)[1] == 1
    assert welch(3.0, 5, 4.0, 9)[0] == 5


def test_intervals_of_a_difference_hold_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(400):
        a, b = rng.standard_normal(8), 3 * rng.standard_normal(20) + 1
        found = difference_of(mean_of(a), mean_of(b))
        hits.append(found.low <= 1 <= found.high)
    assert 0.92 < np.mean(hits) < 0.98
