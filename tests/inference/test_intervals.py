"""Quantiles, intervals and tests against scipy and their definitions."""

import numpy as np
import pytest
import scipy.stats
import torch

from repgeom.inference.intervals import (
    check_confidence,
    holm,
    mcnemar,
    normal_quantile,
    p_value,
    quantile,
    share_interval,
    standard_error,
    tango,
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


def test_of_few_hits_or_misses_a_share_may_be_as_small_as_poissons_law_allows():
    z, n = scipy.stats.norm.ppf(0.975), 300
    for hits in (0, 1, 2, 3, 4, 150):
        low, high = share_interval(hits / n, n, 0.95, z)
        expected_low, expected_high = wilson(hits / n, n, z)
        if hits in (1, 2, 3):
            expected_low = scipy.stats.chi2.ppf(0.05, 2 * hits) / 2 / n
        assert (low, high) == pytest.approx((expected_low, expected_high), rel=1e-12)
        assert share_interval(1 - hits / n, n, 0.95, z) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    # With one hit it begins at −ln 0.95 / n: larger shares show a hit in more than 5 % of the draws.
    assert share_interval(1 / n, n, 0.95, z)[0] == pytest.approx(-np.log(0.95) / n)


def test_shares_at_their_ends_have_exact_ends():
    for n in (7, 20, 33.3):
        assert wilson(0.0, n, 1.96)[0] == 0
        assert wilson(1.0, n, 1.96)[1] == 1
        assert wilson(0.0, n, 1.96)[1] == pytest.approx(1.96**2 / (n + 1.96**2))
        assert wilson(1.0, n, 1.96)[0] == pytest.approx(n / (n + 1.96**2))
    for hits in (1, 13, 19):
        expected = scipy.stats.binomtest(hits, 20).proportion_ci(0.95, method="wilson")
        assert wilson(hits / 20, 20, scipy.stats.norm.ppf(0.975)) == pytest.approx(tuple(expected))


def changes(up, down, n):
    return torch.tensor([1] * up + [-1] * down + [0] * (n - up - down))


def slow_score(up, down, n, mean):
    """How many standard errors the mean of changes lies from another one, under which shares are the likeliest on a grid."""
    shares = np.linspace(max(0, -mean), (1 - mean) / 2, 200_001)[1:-1]  # of −1; those of 1 are larger by the mean
    logs = down * np.log(shares) + up * np.log(shares + mean) + (n - up - down) * np.log1p(-2 * shares - mean)
    likeliest = shares[np.argmax(logs)]
    return ((up - down) / n - mean) / np.sqrt((2 * likeliest + mean - mean**2) / n)


@pytest.mark.parametrize(("up", "down", "n"), [(5, 2, 20), (1, 7, 21), (10, 10, 20), (3, 1, 200)])
def test_the_interval_of_changes_ends_where_the_score_is_z(up, down, n):
    low, high = tango(changes(up, down, n), 1.96)
    assert slow_score(up, down, n, low) == pytest.approx(1.96, rel=1e-4)
    assert slow_score(up, down, n, high) == pytest.approx(-1.96, rel=1e-4)
    assert tango(changes(down, up, n), 1.96) == pytest.approx((-high, -low))


def test_the_interval_of_changes_is_that_of_a_published_example():
    """Fagerland, Lydersen & Laake (2014), children before and after a transplantation: −0.286 (−0.517 to −0.026)."""
    assert tango(changes(1, 7, 21), normal_quantile(0.95)) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_changes_that_are_all_alike_have_wilsons_ends():
    assert tango(changes(0, 0, 20), 1.96) == pytest.approx((-wilson(0, 20, 1.96)[1], wilson(0, 20, 1.96)[1]))
    assert tango(changes(20, 0, 20), 1.96) == pytest.approx((2 * wilson(1, 20, 1.96)[0] - 1, 1))
    assert tango(changes(0, 20, 20), 1.96) == pytest.approx((-1, 1 - 2 * wilson(1, 20, 1.96)[0]))


@pytest.mark.parametrize(("up", "down"), [(0.1, 0.05), (0.2, 0.1), (0.05, 0.3)])
def test_the_interval_of_changes_holds_as_often_as_asked(up, down):
    """Exactly, over all outcomes of 30 rows."""
    held, n = 0.0, 30
    outcomes = [(u, d) for u in range(n + 1) for d in range(n + 1 - u)]
    for u, d in outcomes:
        low, high = tango(changes(u, d, n), normal_quantile(0.95))
        if low <= up - down <= high:
            held += scipy.stats.multinomial.pmf([u, d, n - u - d], n, [up, down, 1 - up - down])
    assert 0.94 <= held <= 0.97


@pytest.mark.parametrize(("up", "down"), [(5, 2), (0, 0), (20, 0), (0, 20)])
def test_paired_changes_have_mcnemars_test(up, down):
    expected = scipy.stats.binomtest(up, up + down).pvalue if up + down else 1
    assert mcnemar(changes(up, down, 20)) == pytest.approx(expected)


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
