"""Quantiles, intervals and tests against scipy and their definitions."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from repgeom.inference.intervals import (
    bonett_price,
    check_confidence,
    holm,
    mcnemar,
    normal_quantile,
    p_value,
    quantile,
    standard_error,
    wilson,
)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_quantiles_are_two_sided(confidence):
    for degrees in (1, 19, 10_000):
        assert quantile(confidence, degrees) == pytest.approx(scipy.stats.t.ppf((1 + confidence) / 2, degrees))
    assert normal_quantile(confidence) == pytest.approx(scipy.stats.norm.ppf((1 + confidence) / 2))


def test_a_t_test_is_students(rng):
    x = rng.normal(0.3, 1, 20)
    test = scipy.stats.ttest_1samp(x, 0)
    error = standard_error(torch.tensor(x))
    assert error == pytest.approx(scipy.stats.sem(x))
    assert p_value(x.mean(), error, 19) == p_value(-x.mean(), error, 19) == pytest.approx(test.pvalue)


def test_without_scatter_a_difference_is_certain():
    assert (p_value(0.0, 0.0, 9), p_value(1e-9, 0.0, 9)) == (1.0, 0.0)


def test_shares_at_their_ends_have_exact_ends():
    for n in (7, 20, 33.3):
        assert wilson(0.0, n, 1.96)[0] == 0
        assert wilson(1.0, n, 1.96)[1] == 1
        assert wilson(0.0, n, 1.96)[1] == pytest.approx(1.96**2 / (n + 1.96**2))
        assert wilson(1.0, n, 1.96)[0] == pytest.approx(n / (n + 1.96**2))
    for hits in (1, 13, 19):
        expected = scipy.stats.binomtest(hits, 20).proportion_ci(0.95, method="wilson")
        assert wilson(hits / 20, 20, scipy.stats.norm.ppf(0.975)) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(("up", "down"), [(5, 2), (0, 0), (20, 0), (0, 20)])
def test_paired_changes_have_walds_interval_after_one_more_either_way(up, down):
    changes = torch.tensor([1] * up + [-1] * down + [0] * (20 - up - down))
    p, m = (up + 1) / 22, (down + 1) / 22
    half = 2 * math.sqrt((p + m - (p - m) ** 2) / 22)
    assert bonett_price(changes, 2.0) == pytest.approx((max(-1, p - m - half), min(1, p - m + half)))
    expected = scipy.stats.binomtest(up, up + down).pvalue if up + down else 1
    assert mcnemar(changes) == pytest.approx(expected)


def test_holm_is_its_definition_and_passes_over_nan(rng):
    p = np.append(rng.random(9) ** 3, [0.9, np.nan, 0.9])
    known = np.sort(p[~np.isnan(p)])
    slow = [max(min(1, (11 - j) * q) for j, q in enumerate(known) if q <= v) if v == v else np.nan for v in p]
    assert holm(p) == pytest.approx(slow, nan_ok=True)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]).tolist() == []


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, "0.95", None, float("nan")])
def test_what_is_no_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match=r"`confidence` must lie between 0 and 1, such as 0.95, got "):
        check_confidence(confidence)
