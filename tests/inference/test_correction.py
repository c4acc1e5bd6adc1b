"""One measure corrected: slopes and errors by closed forms and brute force, and where no interval is given."""

import itertools
import math

import numpy as np
import pytest
from estimate_reference import SMOOTH, gaussian, power, sample

import repgeom as rg
from repgeom.inference import correction
from repgeom.inference.population import EVEN, Population
from repgeom.inference.sample import unbiased_traces
from repgeom.measures.measure import functional


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_slopes_are_derivatives_of_the_logarithm(measure):
    f, variances, ones = functional(measure), power(12, 1.3), np.ones(12)
    slope = f.slope(variances, ones, variances)
    for j in range(12):
        step = 1e-6 * variances[j] * (np.arange(12) == j)
        numeric = (f.log(variances + step, ones) - f.log(variances - step, ones)) / (2e-6 * variances[j])
        assert slope[j] == pytest.approx(numeric, rel=1e-4, abs=1e-6)
    assert slope @ variances == pytest.approx(0, abs=1e-9)


def test_second_order_of_a_flat_spectrum():
    d, n = 50, 400
    flat = Population(np.ones(1), np.full(1, float(d)))
    found = correction.second_order(functional("effective_rank"), flat, EVEN, n)
    assert found == pytest.approx((d - 1) * (d + 2) / d**2 / n**2, rel=1e-3)
    assert functional("effective_rank").bend(flat.variances, flat.counts, 0) == pytest.approx(1 / d - 0.5)
    rows = np.random.default_rng(0).standard_normal((300, n, d))
    seen = [math.log(rg.effective_rank(x)) for x in rows]
    assert np.var(seen) == pytest.approx(found, rel=0.3)


def test_participation_ratio_is_a_ratio_of_u_statistics():
    x = np.random.default_rng(0).standard_normal((7, 3))
    pairs = [(x[a] - x[b]) @ (x[c] - x[d]) for a, b, c, d in itertools.permutations(range(7), 4)]
    squares = [
        (x[a] - x[b]) @ (x[a] - x[b]) * ((x[c] - x[d]) @ (x[c] - x[d]))
        for a, b, c, d in itertools.permutations(range(7), 4)
    ]
    square_of_trace, trace_of_square, _ = unbiased_traces(sample(x))
    assert square_of_trace / trace_of_square == pytest.approx(np.mean(squares) / np.mean(np.square(pairs)), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (lambda r: gaussian(r, 40, np.ones(20)), "40 rows, and it needs 100"),
        (lambda r: gaussian(r, 150, np.ones(100)), "1.5 independent rows per feature, and it holds from 2"),
        (lambda r: np.r_[gaussian(r, 300, np.ones(5)), [[1e4, 0, 0, 0, 0]]], "one row holds more than a quarter"),
        (
            lambda r: np.repeat(gaussian(r, 50, np.ones(5)), 6, 0),
            "it hangs on whether rows that repeat are copies or just alike; say so by `groups`",
        ),
    ],
)
def test_no_interval_where_none_holds(x, words):
    e = rg.estimate(x(np.random.default_rng(8)))
    assert (e.low, e.high, e.se) == (None, None, None)
    assert words in e.warnings[-1]
    assert 1 <= e.value <= 100


def test_a_row_that_rules_leaves_the_values_as_they_are():
    x = gaussian(np.random.default_rng(19), 400, power(12, 0.5))
    x[3] *= 1000
    for measure in (*SMOOTH, "stable_rank"):
        e = rg.estimate(x, measure)
        assert (e.value, e.low, e.method) == (pytest.approx(e.in_these_rows), None, "not corrected")
