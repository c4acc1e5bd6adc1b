"""One measurement: which interval and which test fits each kind."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from drift_reference import ABS

from repgeom.inference.intervals import tango
from repgeom.robustness.measurement import Measurement


def of(samples, kind="mean"):
    return Measurement.mean("m", torch.as_tensor(samples, dtype=torch.float64), kind)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_are_the_published_ones(confidence, rng):
    z, t = scipy.stats.norm.ppf((1 + confidence) / 2), scipy.stats.t.ppf((1 + confidence) / 2, 19)
    for hits in (0, 1, 13, 20):
        wilson = scipy.stats.binomtest(hits, 20).proportion_ci(confidence, method="wilson")
        assert of([1] * hits + [0] * (20 - hits), "binary").interval(confidence) == pytest.approx(wilson, abs=ABS)
    for up, down in ((5, 2), (0, 0), (20, 0)):
        changes = [1] * up + [-1] * down + [0] * (20 - up - down)
        assert of(changes, "change").interval(confidence) == pytest.approx(tango(torch.tensor(changes), z), abs=ABS)
    x = rng.exponential(size=20)
    student = scipy.stats.ttest_1samp(x, 0).confidence_interval(confidence)
    assert of(x).interval(confidence) == pytest.approx(student, abs=ABS)
    half = t * scipy.stats.sem(x) / x.mean()
    expected = x.mean() * math.exp(-half), x.mean() * math.exp(half)
    assert of(x, "positive").interval(confidence) == pytest.approx(expected, abs=ABS)


def test_differences_are_paired(rng):
    a, b = rng.normal([[0], [0.5]], 1, (2, 30))
    test, row = scipy.stats.ttest_rel(b, a), of(a).difference(of(b), 0.9)
    assert (row["p_value"], row["low"], row["high"]) == pytest.approx((test.pvalue, *test.confidence_interval(0.9)))
    a, b = rng.random((2, 40)) < [[0.4], [0.8]]
    row = of(a, "binary").difference(of(b, "binary"), 0.9)
    better, worse = (b & ~a).sum(), (a & ~b).sum()
    assert row["p_value"] == pytest.approx(scipy.stats.binomtest(better, better + worse).pvalue)
    assert (row["low"], row["high"]) == pytest.approx(of(b * 1.0 - a, "change").interval(0.9))
    assert row["difference"] == pytest.approx((better - worse) / 40)
    assert of(a, "binary").difference(of(a, "binary"), 0.9)["p_value"] == 1
    assert of([1, 2, 3]).difference(of([1, 2, 3]), 0.9)["p_value"] == 1


@pytest.mark.parametrize("value", [-0.4, 0.0, 0.7, 0.99])
def test_similarities_have_the_interval_of_fishers_z(value, rng):
    noise = torch.tensor(rng.standard_normal(50)) * 0.1
    one = Measurement("m", value, 50, value + noise - noise.mean(), "similarity")
    half = scipy.stats.t.ppf(0.95, 49) * float(noise.std()) / math.sqrt(50) / (1 - value**2)
    expected = np.tanh(np.arctanh(value) + np.array([-half, half]))
    assert one.interval(0.9) == pytest.approx(tuple(expected), abs=ABS)
    assert -1 < one.interval(0.9999999)[0] < one.interval(0.9999999)[1] < 1


def test_similarity_one_has_no_width():
    assert Measurement("m", 1.0, 9, torch.ones(9, dtype=torch.float64), "similarity").interval(0.95) == (1, 1)


def test_shares_end_at_0_and_1():
    below = torch.tensor([4.0, 1, 1, 1, 1, 1], dtype=torch.float64)
    above = below * torch.tensor([1.0, 0, 1, 1, 1, 1])
    low, high = Measurement.ratio("m", above, below, "share").interval(0.95)
    assert (0 < low < 8 / 9, high) == (True, 1)


def test_groups_of_hits_have_wilsons_interval_of_as_many_samples_as_scatter_so_much():
    pseudo = torch.tensor([0.2, 0.9, 0.6, 0.3, 0.5], dtype=torch.float64)
    error = float(pseudo.std()) / math.sqrt(5)
    n, share = 0.25 / error**2, 0.5
    z = scipy.stats.t.ppf(0.975, 4)
    middle, scale = (share + z * z / (2 * n)) / (1 + z * z / n), 1 + z * z / n
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    one = Measurement("m", 0.5, 100, pseudo, "binary")
    assert one.interval(0.95) == pytest.approx((middle - half, middle + half), abs=ABS)


@pytest.mark.parametrize("without", [0, 1])
def test_a_difference_with_one_interval_missing_has_none(without):
    pair = [of([1.0, 2, 4]), of([2.0, 2, 5])]
    pair[without] = pair[without].without_interval("no interval: a reason")
    row = pair[0].difference(pair[1], 0.95)
    assert (row["test"], row["difference"]) == ("", pytest.approx(2 / 3))
    assert all(math.isnan(row[name]) for name in ("low", "high", "p_value"))
