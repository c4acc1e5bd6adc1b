"""Where an interval stops being given, and what its error adds up from: both sides of every limit."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from estimate_reference import normal
from scipy import stats

from repgeom.data.sources import source_of
from repgeom.inference.correction import (
    _drift_between_halves,
    corrected,
    counted_once,
    mean_variance,
    rests_on_few_rows,
    second_order,
)
from repgeom.inference.population import EVEN, Population, RowWeights
from repgeom.inference.sample import Sample, sample_of, unbiased_traces
from repgeom.measures.measure import functional

MEASURES = ["effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank"]


def sample(n=200, d=6, groups=None, exponent=0.5) -> Sample:
    rows = normal(n, d) * np.arange(1, d + 1.0) ** -exponent
    return sample_of(source_of(torch.as_tensor(rows), "x"), MEASURES, center=True, normalize=None, groups=groups)


def with_scores(s: Sample, **changed) -> Sample:
    """The same sample with other scores."""
    made = dataclasses.replace(s, scores=dataclasses.replace(s.scores, **changed))
    made.__dict__.update(fit=s.fit, fits_of_halves=s.fits_of_halves)
    return made


def with_weights(s: Sample, mean_square: float) -> Sample:
    """The same sample whose rows weigh so unevenly."""
    spread = math.sqrt(mean_square - 1)
    weights = RowWeights(np.array([1 - spread, 1 + spread]), np.array([0.5, 0.5]))
    made = dataclasses.replace(s)
    made.__dict__["fit"] = dataclasses.replace(s.fit, weights=weights)
    return made


def without_halves(s: Sample) -> Sample:
    """The same sample of which halves say nothing."""
    return dataclasses.replace(s, halves=None)


# Limits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "given"), [(0.2499, True), (0.2501, False)])
def test_an_error_of_a_quarter_is_the_largest_that_is_told(wanted, given):
    s, measure = without_halves(sample()), "effective_rank"
    before = corrected(s, measure)
    variance = mean_variance(before.influence, s.n)[0]
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
    s = sample(groups=np.arange(200) % 100)
    leverages = np.zeros(200)
    leverages[17] = leverage
    found = corrected(with_scores(s, leverages=leverages), "effective_rank")
    assert (found.error is not None) == given
    assert found.warnings == (() if given else ("no interval: single groups decide directions",))
    # A row that nobody put into a group may decide one.
    assert corrected(with_scores(sample(), leverages=leverages), "effective_rank").warnings == ()


@pytest.mark.parametrize(
    ("measure", "needed"),
    [("effective_rank", 0.5), ("participation_ratio", 0.5), ("effective_rank_sigma", 0.5), ("stable_rank", 1.0)],
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
    places = with_scores(dataclasses.replace(s, rows=1000 + np.arange(100)), squares=squares)
    assert corrected(places, "effective_rank").warnings == (
        (f"row 1017 holds {share:.0%} of the variance",) if named else ()
    )


@pytest.mark.parametrize(("groups", "given"), [(100, True), (99, False)])
def test_an_interval_needs_a_hundred_groups(groups, given):
    found = corrected(sample(n=400, groups=np.arange(400) % groups), "effective_rank")
    assert (found.error is not None) == given
    if not given:
        assert found.warnings[-1] == "no interval: 99 groups, and it needs 100"


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
    assert mean_variance(influence, 40)[0] == pytest.approx(np.var(influence, ddof=1) / 40)
    sums = [-1.0, 4.0, -2.5]
    groups = np.array([0, 0, 1, 2, 2])
    assert mean_variance(influence, 40, groups)[0] == pytest.approx(np.square(sums).sum() * 1.5 / (5 * 40))
    assert mean_variance(influence, 40, np.zeros(5, int)) == pytest.approx((0.25 / (5 * 40), 0))


def test_degrees_are_those_of_normal_values_with_as_uncertain_a_variance():
    """Satterthwaite: 2 n over the kurtosis less one, from one to n − 1."""
    for influence in (
        normal(400, 1)[:, 0],
        np.exp(normal(400, 1, 1)[:, 0]),
        np.random.default_rng(2).uniform(size=400),
    ):
        kurtosis = stats.kurtosis(influence, fisher=False)
        assert mean_variance(influence, 400)[1] == min(399, int(2 * 400 / (kurtosis - 1)))
    assert mean_variance(np.exp(normal(400, 1, 1)[:, 0]), 400)[1] < 60
    assert mean_variance(np.tile([-1.0, 1.0], 200), 400)[1] == 399  # kurtosis 1: the variance is known
    assert mean_variance(np.r_[np.zeros(399), 1.0], 400)[1] == 2
    assert mean_variance(np.zeros(400), 400)[1] == 399
    groups = np.arange(400) // 4
    sums = np.exp(normal(400, 1, 1)[:, 0]).reshape(100, 4).sum(1)
    found = mean_variance(np.exp(normal(400, 1, 1)[:, 0]), 400, groups)[1]
    assert found == int(2 * 100 / (stats.kurtosis(sums, fisher=False) - 1))
    # The spread of simulated variances is that of a χ² with so many degrees.
    draws = np.random.default_rng(3).laplace(size=(4000, 200)).var(1, ddof=1)
    assert 2 * draws.mean() ** 2 / draws.var() == pytest.approx(2 * 200 / 5, rel=0.1)


@pytest.mark.parametrize(
    ("degrees", "n", "why"),
    [
        (20, 400, ""),
        (19, 400, "its error rests on about 19 of 400 rows"),
        (32, 1025, "its error rests on about 32 of 1,025 rows"),
        (0.5, 9, "its error rests on about 1 of 9 rows"),
        (3, 9, ""),
    ],
)
def test_an_error_rests_on_few_rows_below_their_square_root(degrees, n, why):
    assert rests_on_few_rows(degrees, n) == why


@pytest.mark.parametrize("measure", ["effective_rank", "participation_ratio", "stable_rank"])
def test_a_few_rows_that_carry_the_error_take_the_interval_away(measure):
    s = sample(exponent=1.0)
    influence = s.scores.influence[measure].copy()
    influence[:5] *= 12
    found = corrected(with_scores(s, influence={measure: influence}), measure)
    degrees = mean_variance(influence, 200)[1]
    assert 1 < degrees < 200**0.5
    assert found.error is None
    assert found.warnings[-1].startswith("no interval: its error rests on about ")
    assert corrected(s, measure).error is not None


def test_few_groups_are_counted_among_groups():
    """Fifteen degrees are more than the root of a hundred groups and less than that of four hundred rows."""
    s, groups = sample(n=400, groups=np.arange(400) // 4), np.arange(400) // 4
    influence = s.scores.influence["effective_rank"].copy()
    heavy = np.abs(np.bincount(groups, influence)).argmax()
    assert mean_variance(influence, 400, groups)[1] > 20
    while mean_variance(influence, 400, groups)[1] > 15:
        influence[groups == heavy] *= 1.02
    assert mean_variance(influence, 400, groups)[1] > 10
    assert corrected(with_scores(s, influence={"effective_rank": influence}), "effective_rank").error is not None
    while mean_variance(influence, 400, groups)[1] >= 10:
        influence[groups == heavy] *= 1.02
    found = corrected(with_scores(s, influence={"effective_rank": influence}), "effective_rank")
    assert found.warnings[-1] == "no interval: its error rests on about 9 of 100 rows"


# Drift between halves ------------------------------------------------------------------------------------------------


def slow_value(f, fit):
    """The sample's own value, moved by what the fit says, less the shift of real Gaussian rows."""
    shift = f.log(fit.corrected.variances, fit.corrected.counts) - f.log(fit.plain.variances, fit.plain.counts)
    bend = f.bend(fit.corrected.variances, fit.corrected.counts, fit.corrected.alone)
    return f.log(fit.variances, np.ones(len(fit.variances))) + shift - fit.weights.mean_square * bend / fit.n


def with_drift(s: Sample, measure: str, drift: float) -> Sample:
    """The same sample whose halves read so much less than all rows; a half is half of them."""
    f = functional(measure)
    assert [fit.n for fit in s.fits_of_halves] == [s.n // 2] * 2
    off = slow_value(f, s.fit) - drift - np.mean([slow_value(f, fit) for fit in s.fits_of_halves])
    made = with_scores(s)
    # A bend moves a value by itself over n.
    moved = [dataclasses.replace(fit, weights=Shifted(fit, f, off)) for fit in s.fits_of_halves]
    made.__dict__["fits_of_halves"] = tuple(moved)
    return made


class Shifted:
    """Weights whose mean square moves the value of a fit by `off`."""

    def __init__(self, fit, f, off):
        bend = f.bend(fit.corrected.variances, fit.corrected.counts, fit.corrected.alone)
        self.mean_square = fit.weights.mean_square - off * fit.n / bend


@pytest.mark.parametrize("measure", ["effective_rank", "effective_rank_sigma"])
@pytest.mark.parametrize(
    ("drift", "given"), [(0.0, True), (0.03, True), (-0.0499, True), (0.0501, False), (-0.0501, False)]
)
def test_what_halves_read_otherwise_is_part_of_the_error_up_to_a_twentieth(measure, drift, given):
    s = sample(n=400)
    found = corrected(with_drift(s, measure, drift), measure)
    plain = slow_value(functional(measure), s.fit)
    still = corrected(without_halves(s), measure)
    if given:
        assert found.log == pytest.approx(plain, rel=1e-9)
        assert found.error == pytest.approx(math.hypot(with_drift_error(s, measure), drift), rel=1e-6)
        assert found.method == still.method == "Marchenko-Pastur inversion"
    else:
        assert found.log == pytest.approx(min(plain + drift, math.log(6)), rel=1e-9)
        assert found.error is None
        assert found.method == "Marchenko-Pastur inversion, extrapolated from halves"
        words = f"no interval: the value still moves with the number of rows, by {drift:+.0%} from half of them"
        assert found.warnings == (words,)


def with_drift_error(s: Sample, measure: str) -> float:
    """What rows and grid alone leave open."""
    variance = s.scores.influence[measure].var(ddof=1) / s.n
    beyond = second_order(functional(measure), s.fit.corrected, s.fit.weights, s.n)
    return math.hypot(counted_once(variance, beyond) ** 0.5, 1e-4)


@pytest.mark.parametrize(
    ("measure", "n", "counts"),
    [
        ("effective_rank", 24, True),
        ("effective_rank", 20, False),
        ("effective_rank_sigma", 48, True),
        ("effective_rank_sigma", 40, False),
    ],
)
def test_halves_say_nothing_of_drift_with_fewer_rows_than_features(measure, n, counts):
    """A row for a feature, and two where the smallest variances matter."""
    s = sample(n=n, d=12)
    of_halves = np.mean([slow_value(functional(measure), fit) for fit in s.fits_of_halves])
    plain = slow_value(functional(measure), s.fit)
    found = _drift_between_halves(functional(measure), s, plain)
    assert found == pytest.approx(plain - of_halves if counts else 0.0, rel=1e-6)
    assert found != 0.0 or not counts


def test_uneven_halves_are_extrapolated_from_as_many_rows_as_they_have_on_average():
    """Values that err by c / n are extrapolated to the value without error."""
    s, f = sample(n=400), functional("effective_rank")
    made = with_scores(s)
    # Halves of all rows' scores that are drawn from some of the rows.
    halves = tuple(dataclasses.replace(fit, n=100) for fit in s.fits_of_halves)
    made.__dict__["fits_of_halves"] = halves
    of_halves = np.mean([slow_value(f, fit) for fit in halves])
    log = slow_value(f, s.fit)
    # log = v + c / 400 and of_halves = v + c / 100, so v = log + (log − of_halves) / 3.
    assert _drift_between_halves(f, made, log) == pytest.approx((log - of_halves) / 3, rel=1e-9)


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


def test_the_error_is_what_the_rows_add_the_grid_and_the_drift():
    s = sample(n=300, d=8)
    for measure in ("effective_rank", "effective_rank_sigma"):
        found = corrected(s, measure)
        f = functional(measure)
        drift = slow_value(f, s.fit) - np.mean([slow_value(f, fit) for fit in s.fits_of_halves])
        assert found.beyond == pytest.approx(second_order(f, s.fit.corrected, s.fit.weights, 300))
        assert found.error == pytest.approx(math.hypot(with_drift_error(s, measure), drift), rel=1e-6)
        assert found.degrees == mean_variance(s.scores.influence[measure], 300)[1]
    # Unbiased sums have no drift.
    found = corrected(s, "participation_ratio")
    beyond = second_order(functional("participation_ratio"), s.fit.corrected, s.fit.weights, 300)
    wanted = math.hypot(math.sqrt(found.influence.var(ddof=1) / 300 - beyond), 1e-4)
    assert found.error == pytest.approx(wanted, rel=1e-9)
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
