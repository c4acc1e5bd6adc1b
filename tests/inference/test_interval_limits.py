"""Where an interval stops being given, and what its error adds up from: both sides of every limit."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from estimate_reference import normal

from repgeom.data.sources import source_of
from repgeom.inference.correction import corrected, counted_once, mean_variance, second_order
from repgeom.inference.population import EVEN, Population, RowWeights
from repgeom.inference.sample import Fit, Sample, sample_of, unbiased_traces
from repgeom.measures.measure import functional

MEASURES = ["effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank"]


def sample(n=200, d=6, groups=None, exponent=0.5) -> Sample:
    rows = normal(n, d) * np.arange(1, d + 1.0) ** -exponent
    return sample_of(source_of(torch.as_tensor(rows), "x"), MEASURES, center=True, normalize=None, groups=groups)


def with_scores(s: Sample, **changed) -> Sample:
    """The same sample with other scores."""
    made = dataclasses.replace(s, scores=dataclasses.replace(s.scores, **changed))
    made.__dict__["fit"] = s.fit
    return made


def with_weights(s: Sample, mean_square: float) -> Sample:
    """The same sample whose rows weigh so unevenly."""
    spread = math.sqrt(mean_square - 1)
    weights = RowWeights(np.array([1 - spread, 1 + spread]), np.array([0.5, 0.5]))
    made = dataclasses.replace(s)
    made.__dict__["fit"] = Fit(weights, s.fit.corrected, s.fit.plain)
    return made


# Limits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "given"), [(0.2499, True), (0.2501, False)])
def test_an_error_of_a_quarter_is_the_largest_that_is_told(wanted, given):
    s, measure = sample(), "effective_rank"
    before = corrected(s, measure)
    variance = mean_variance(before.influence, s)[0]
    factor = math.sqrt((wanted**2 - 1e-8 + before.beyond) / variance)
    found = corrected(with_scores(s, influence={measure: factor * s.scores.influence[measure]}), measure)
    assert (found.error is not None) == given
    if given:
        assert found.error == pytest.approx(wanted, rel=1e-9)
    else:
        assert found.warnings == ("no interval: its standard error would be 25%",)
        assert (found.beyond, found.degrees) == (0.0, 0)
    assert found.log == before.log


@pytest.mark.parametrize(("leverage", "given"), [(0.9, True), (0.9001, False)])
def test_groups_that_hold_nine_tenths_of_all_directions_take_the_interval_away(leverage, given):
    found = corrected(with_scores(sample(), leverage=leverage), "effective_rank")
    assert (found.error is not None) == given
    assert found.warnings == (() if given else ("no interval: single groups decide directions",))


@pytest.mark.parametrize(
    ("measure", "needed"), [("effective_rank", 0.5), ("participation_ratio", 4.0), ("effective_rank_sigma", 0.5)]
)
def test_rows_must_weigh_as_many_even_rows_as_the_measure_needs(measure, needed):
    s = sample(n=200, d=6)
    for factor, given in ((1.001, True), (0.999, False)):
        found = corrected(with_weights(s, 200 / (needed * 6 * factor)), measure)
        words = f"rows weigh so unevenly that 200 say no more than {needed * 6 * factor:,.0f}"
        assert any(words in w for w in found.warnings) == (not given)


@pytest.mark.parametrize(("share", "named"), [(0.19, False), (0.2, False), (0.21, True)])
def test_of_few_rows_one_is_named_from_twenty_even_shares_on(share, named):
    s = sample(n=100, d=6)
    squares = np.ones(100)
    squares[17] = share * 100
    found = corrected(with_scores(s, squares=squares), "effective_rank")
    assert found.warnings == ((f"row 17 holds {share:.0%} of the variance",) if named else ())
    places = dataclasses.replace(with_scores(s, squares=squares), rows=1000 + np.arange(100))
    places.__dict__["fit"] = s.fit
    assert corrected(places, "effective_rank").warnings == (
        (f"row 1017 holds {share:.0%} of the variance",) if named else ()
    )


@pytest.mark.parametrize(("groups", "given"), [(100, True), (99, False)])
def test_an_interval_needs_a_hundred_groups(groups, given):
    found = corrected(sample(n=400, groups=np.arange(400) % groups), "effective_rank")
    assert (found.error is not None) == given
    if not given:
        assert found.warnings[-1] == "no interval: 99 groups, and it needs 100"


@pytest.mark.parametrize(("repeats", "given"), [(10, True), (11, False)])
def test_one_row_in_a_hundred_may_repeat(repeats, given):
    prints = np.arange(1000.0) + 0j
    prints[:repeats] = prints[-repeats:]
    found = corrected(with_scores(sample(), fingerprints=prints), "effective_rank")
    assert found.warnings[0] == f"{repeats} rows repeat earlier ones and are taken for independent"
    assert (found.error is not None) == given


@pytest.mark.parametrize(("square", "method"), [(25.0, "Marchenko-Pastur inversion"), (25.01, "not corrected")])
def test_a_row_rules_beyond_a_quarter_of_the_variance(square, method):
    squares = np.ones(100)
    squares[17] = square
    s = with_scores(sample(n=100, d=6), squares=squares)
    found = corrected(s, "effective_rank")
    assert found.method == method
    if method == "not corrected":
        assert found.log == functional("effective_rank").log(*s.naive)


@pytest.mark.parametrize("n", [7, 6, 5])
def test_as_many_rows_as_features_are_named(n):
    found = corrected(sample(n=n, d=6), "effective_rank")
    named = any(w.startswith(f"{n} rows for 6 features: the value rests on the model") for w in found.warnings)
    assert named == (n <= 6)


# What the error adds up from -----------------------------------------------------------------------------------------


def test_the_variance_of_a_mean_counts_groups_and_all_rows():
    influence = np.array([1.0, -2.0, 4.0, 0.5, -3.0])
    alone = SimpleNamespace(n=40, groups=None)
    assert mean_variance(influence, alone) == pytest.approx((np.var(influence, ddof=1) / 40, 4))
    grouped = SimpleNamespace(n=40, groups=np.array([0, 0, 1, 2, 2]))
    sums = [-1.0, 4.0, -2.5]
    assert mean_variance(influence, grouped) == pytest.approx((np.square(sums).sum() * 1.5 / (5 * 40), 2))
    one = SimpleNamespace(n=40, groups=np.zeros(5, int))
    assert mean_variance(influence, one) == pytest.approx((0.25 / (5 * 40), 0))


def test_what_is_of_second_order_is_counted_once():
    assert counted_once(5.0, 2.0) == 3.0
    assert counted_once(3.0, 2.0) == 2.0
    assert counted_once(5.0, 0.0) == 5.0


@pytest.mark.parametrize("measure", ["effective_rank", "effective_rank_sigma", "participation_ratio"])
def test_second_order_by_its_definition(measure):
    """Divided differences of the slope over all pairs of directions; where variances are equal, its derivative."""
    f, v, counts, n = functional(measure), np.array([3.0, 1.0, 0.2]), np.array([2.0, 5.0, 1.5]), 300
    weights = RowWeights(np.array([0.5, 1.5]), np.array([0.5, 0.5]))

    def slope(x):
        return float(f.slope(v, counts, np.array([x]))[0])

    total = 0.0
    for i in range(3):
        for j in range(3):
            if i == j:
                bent = (slope(v[i] + 1e-6) - slope(v[i] - 1e-6)) / 2e-6
            else:
                bent = (slope(v[i]) - slope(v[j])) / (v[i] - v[j])
            total += counts[i] * counts[j] * (bent * v[i] * v[j]) ** 2
    used = (counts @ v) ** 2 / (counts @ v**2)
    free = (used - 1) * (used + 2) / used**2
    found = second_order(f, Population(v, counts), weights, n)
    assert found == pytest.approx(total * free * (1.25 / n) ** 2, rel=1e-5)
    assert second_order(f, Population(np.ones(1), np.full(1, 0.5)), EVEN, n) == 0.0


def test_the_error_is_what_the_rows_add_the_grid_and_the_doubt():
    s = sample(n=300, d=8)
    for measure, doubt in (("effective_rank", 0.0), ("effective_rank_sigma", 0.02 * 8 / 300)):
        found = corrected(s, measure)
        f = functional(measure)
        beyond = second_order(f, s.fit.corrected, s.fit.weights, 300)
        variance = s.scores.influence[measure].var(ddof=1) / 300
        assert found.beyond == pytest.approx(beyond)
        assert found.error == pytest.approx(math.hypot(math.sqrt(variance - beyond), 1e-4, doubt), rel=1e-9)
        assert found.degrees == 299
    assert corrected(s, "stable_rank").beyond == 0.0


# Values --------------------------------------------------------------------------------------------------------------


def test_the_participation_ratio_and_its_influence_are_of_unbiased_sums():
    s = sample(n=40, d=6, exponent=1.0)
    found = corrected(s, "participation_ratio")
    square_of_trace, trace_of_square, _ = unbiased_traces(s)
    assert found.log == pytest.approx(math.log(square_of_trace / trace_of_square))
    gain = (s.variances**2).sum() / trace_of_square
    assert gain > 1.02
    assert found.influence == pytest.approx(gain * s.scores.influence["participation_ratio"], rel=1e-12)
    assert found.method == "unbiased sums"
    grouped = corrected(sample(n=40, d=6, groups=np.arange(40) // 2), "participation_ratio")
    assert grouped.method == "Marchenko-Pastur inversion"


def test_a_leading_variance_that_stands_clear_is_read_by_itself():
    rows = normal(400, 6) * np.array([6.0, 1, 1, 1, 1, 1])
    s = sample_of(source_of(torch.as_tensor(rows), "x"), ["stable_rank"], center=True, normalize=None, groups=None)
    found = corrected(s, "stable_rank")
    first, others = s.variances[0], s.variances[1:]
    leading = first * (1 - s.fit.weights.mean_square * (others / (first - others)).sum() / 399)
    assert found.log == pytest.approx(math.log(s.variances.sum() / leading), rel=1e-12)
    assert found.method == "leading variance less the pull of the others"
    assert found.warnings == ()
    flat = corrected(sample(n=400, d=6, exponent=0.0), "stable_rank")
    assert flat.warnings == ("no interval: the leading variance does not stand clear of the next",)


def test_one_direction_has_rank_one_whatever_the_rows():
    rows = np.outer(normal(200, 1), [1.0, 2.0, 3.0])
    s = sample_of(source_of(torch.as_tensor(rows), "x"), MEASURES, center=True, normalize=None, groups=None)
    for measure in MEASURES:
        found = corrected(s, measure)
        assert found.log == 0.0
        assert found.degrees == 199
        assert found.warnings == ()
