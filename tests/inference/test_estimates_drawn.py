"""Values over draws of planted populations: mean errors and ranges. How often intervals hold is for `python -m studies`."""

import math

import numpy as np
import pytest
import torch
from estimate_reference import gaussian, power, sample, true_value

import repgeom as rg
from repgeom.inference.population import population
from repgeom.measures.measure import functional, named, names_of_estimable


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("ratio", "most"), [(0.5, 0.1), (1, 0.04), (4, 0.03)])
def test_the_estimate_does_not_depend_on_the_number_of_rows(exponent, ratio, most):
    rng, variances = np.random.default_rng(1), power(48, exponent)
    found = [rg.estimate(gaussian(rng, int(48 * ratio), variances)) for _ in range(12)]
    true = true_value("effective_rank", variances)
    assert np.mean([e.value for e in found]) == pytest.approx(true, rel=most)
    assert np.mean([e.in_these_rows for e in found]) < (1 - 0.3 * min(0.2, 0.2 / ratio)) * true


def test_heavy_tails_are_seen_in_the_fourth_moment():
    rng, flat = np.random.default_rng(1), np.ones(48)
    rows = [gaussian(rng, 192, flat) / np.sqrt(rng.chisquare(5, 192) / 5)[:, None] for _ in range(8)]
    assert np.mean([rg.estimate(x).value for x in rows]) == pytest.approx(48, rel=0.03)
    even = [population(sample(x).variances, 48, 191) for x in rows]
    blind = np.mean([math.exp(functional("effective_rank").log(p.variances, p.counts)) for p in even])
    assert blind < 45  # what Gaussian weights would say


def test_groups_say_what_rows_alone_do_not():
    rng, variances = np.random.default_rng(5), power(16, 0.5)
    codes, r = np.repeat(np.arange(150), 6), 0.9
    told, untold = [], []
    for _ in range(6):
        common = gaussian(rng, 150, variances)[codes]
        x = r**0.5 * common + (1 - r) ** 0.5 * gaussian(rng, 900, variances)
        told.append(rg.estimate(x, groups=codes))
        untold.append(rg.estimate(x))
    assert np.mean([e.value for e in told]) == pytest.approx(true_value("effective_rank", variances), rel=0.01)
    # Six rows that correlate by r are worth 1 / (1 + 5 r²) of as many independent ones.
    wider = np.mean([e.se for e in told]) / np.mean([e.se for e in untold])
    assert wider == pytest.approx(math.sqrt(1 + 5 * r**2), rel=0.1)


def test_rows_that_repeat_by_nature_do_when_told_so():
    rng = np.random.default_rng(6)
    signs = [np.sign(rng.standard_normal((400, 6))) for _ in range(8)]
    found = [rg.estimate(x, groups=range(400)) for x in signs]
    assert np.mean([e.value for e in found]) == pytest.approx(6, rel=0.01)
    assert all(e.low is not None for e in found)
    untold = rg.estimate(signs[0])
    assert untold.low is None
    assert untold.value == pytest.approx(found[0].value, rel=1e-9)
    assert "rows repeat earlier ones; copies are taken for independent rows" in untold.warnings[0]
    assert untold.warnings[-1].endswith("copies or just alike; say so by `groups`")


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_few_directions_far_above_the_rest_are_as_many_as_they_are(k):
    rng = np.random.default_rng(k)
    x = rng.standard_normal((2000, k)) @ np.linalg.qr(rng.standard_normal((64, k))).Q.T
    e = rg.estimate(x + 1e-3 * rng.standard_normal((2000, 64)))
    assert e.value == pytest.approx(k, rel=2e-3)


@pytest.mark.parametrize("measure", names_of_estimable())
@pytest.mark.parametrize("n", [4, 5, 30, 65, 200, 1000])
def test_values_lie_in_their_range(measure, n):
    x = gaussian(np.random.default_rng(n), n, power(64, 0.7))
    e = rg.estimate(x, measure)
    assert 1 <= e.value <= 64
    assert e.in_these_rows == pytest.approx(named(measure).value(rg.spectrum(x)), rel=1e-9)
    if e.low is not None:
        assert 1 <= e.low <= e.value <= e.high <= 64
    else:
        assert e.warnings[-1].startswith("no interval: ")


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32"])
def test_rounding_of_a_far_mean_does_not_hide_directions(kind):
    x = gaussian(np.random.default_rng(18), 800, power(32, 0.5))
    far = torch.tensor(x + {"bfloat16": 10, "float16": 30, "float32": 1e5}[kind]).to(getattr(torch, kind))
    e, plain = rg.estimate(far), rg.estimate(x)
    assert e.value == pytest.approx(plain.value, rel=0.03)
    assert e.low < plain.value < e.high
