"""One measure corrected: slopes and errors by closed forms and brute force, and where no interval is given."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from estimate_reference import SMOOTH, gaussian, normal, power, sample

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


def changed(s, fits=None, **scores):
    """The same sample with other scores, and other rows behind its halves."""
    made = dataclasses.replace(s, scores=dataclasses.replace(s.scores, **scores))
    halves = s.fits_of_halves
    if fits is not None:
        halves = tuple(dataclasses.replace(fit, n=n) for fit, n in zip(halves, fits, strict=True))
    made.__dict__.update(fit=s.fit, fits_of_halves=halves)
    return made


@pytest.mark.parametrize(
    ("fits", "counts"), [((19, 19), True), ((18, 18), False), ((18, 22), False), ((22, 18), False), ((19, 22), True)]
)
def test_the_smaller_half_must_have_nearly_as_many_rows_as_features(fits, counts):
    s, f = sample(normal(41, 20)), functional("effective_rank")
    assert (correction._drift_between_halves(f, changed(s, fits), 3.0) != 0) == counts
    assert correction._drift_between_halves(f, dataclasses.replace(s, halves=None), 3.0) == 0


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_two_features_have_errors_and_reasons_like_more(measure):
    x = normal(200, 2) * (1, 0.6)
    found = correction.corrected(sample(x, [measure]), measure)
    influence = found.influence
    assert found.degrees == min(199, correction.mean_variance(influence, 200)[1])
    assert found.error > 0.6 * np.std(influence) / 200**0.5
    few = influence.copy()
    few[np.abs(few).argsort()[-3:]] *= 6
    unsure = correction.corrected(changed(sample(x, [measure]), influence={measure: few}), measure)
    assert unsure.warnings[-1].startswith("no interval: its error rests on about ")


def test_two_features_alike_have_no_leading_one_and_drift():
    s = sample(normal(200, 2), ["stable_rank", "effective_rank"])
    flat = correction.corrected(s, "stable_rank")
    assert flat.warnings == ("no interval: the leading variance does not stand clear of the next",)
    assert flat.method == "Marchenko-Pastur inversion"
    moved = changed(s)
    of_halves = [dataclasses.replace(fit, variances=np.array([1.0, 0.3])) for fit in s.fits_of_halves]
    moved.__dict__["fits_of_halves"] = tuple(of_halves)
    found = correction.corrected(moved, "effective_rank")
    assert found.warnings[-1].startswith("no interval: the value still moves with the number of rows, by +")
    # Of the leading variance halves are not asked.
    assert correction.corrected(moved, "stable_rank").log == flat.log
    assert correction.corrected(moved, "stable_rank").method == flat.method


def test_sums_that_come_out_negative_leave_the_largest_ratio():
    """Lengths so uneven that tr Σ² comes out below zero."""
    s = changed(sample(normal(200, 6), ["participation_ratio"]), squares=np.full(200, 8.0))
    square_of_trace, trace_of_square, _ = unbiased_traces(s)
    assert trace_of_square < 0 < square_of_trace
    found = correction.corrected(s, "participation_ratio")
    assert found.log == pytest.approx(math.log(6), rel=1e-12)
    gain = (s.variances**2).sum() * 6 / square_of_trace
    assert found.influence == pytest.approx(gain * s.scores.influence["participation_ratio"], rel=1e-9)


def test_degrees_of_two_values_and_of_values_at_their_mean():
    assert correction.mean_variance(np.array([1.0, 2.0]), 2)[1] == 1
    # Kurtosis 200: 800 / 199.
    assert correction.mean_variance(np.r_[-1.0, np.zeros(398), 1.0], 400)[1] == 4


def test_numbers_of_components_have_no_interval_and_say_so():
    found = correction.corrected(sample(normal(400, 4), ["n_components_90"]), "n_components_90")
    assert found.error is None
    assert found.warnings == ("no interval: none is known for this measure",)
