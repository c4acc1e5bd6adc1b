"""Intervals that are as wide as they must be and no wider: closed forms, spreads of many draws, Student's t."""

import math

import numpy as np
import pytest
from estimate_reference import sample
from scipy import stats

import repgeom as rg
from repgeom.inference.compare import comparison_of
from repgeom.inference.correction import corrected
from repgeom.measures.measure import named


def degrees_of(influence):
    """Those of normal values with as uncertain a variance."""
    return min(len(influence) - 1, int(2 * len(influence) / (stats.kurtosis(influence, fisher=False) - 1)))


def influences(x, measure="effective_rank", groups=None):
    """What each row, or group of rows, adds."""
    found = corrected(sample(x, [measure], groups), measure).influence
    return found if groups is None else np.bincount(groups, found)


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def power(d, exponent):
    return np.arange(1, d + 1.0) ** (-exponent / 2)


# Closed forms for many Gaussian rows ------------------------------------------------------------------------------


def slopes(measure, variances):
    """Of the logarithm of the measure by that of each variance, from either side."""
    found = []
    for i in range(len(variances)):
        sides = [
            named(measure).value(rg.Spectrum.from_variances(variances * factor)) for factor in around(i, variances)
        ]
        found.append(math.log(sides[1] / sides[0]) / 2e-5)
    return np.array(found)


def around(i, variances):
    for step in (-1e-5, 1e-5):
        yield np.where(np.arange(len(variances)) == i, math.exp(step), 1)


def assert_is_error(error, expected):
    """How far the halves of the rows drift apart is part of an error, and makes it a little larger."""
    assert 0.97 < error / expected < 1.12


@pytest.mark.parametrize("measure", ["effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank"])
def test_standard_errors_of_many_rows(measure):
    """The logarithm of a sample's variance has variance 2 / n, and those of two directions vary independently."""
    n, deviations = 8000, power(4, 1.0)
    e = rg.estimate(normal(n, 4) * deviations, measure)
    expected = math.sqrt(2 / n * np.sum(slopes(measure, deviations**2) ** 2))
    assert_is_error(e.se / e.value, expected)


def test_standard_errors_of_many_groups():
    """Rows of m that correlate by r are worth 1 / (1 + (m − 1) r²) of as many independent ones."""
    codes, deviations, r = np.repeat(np.arange(3000), 3), power(4, 1.0), 0.8
    x = r**0.5 * normal(3000, 4)[codes] + (1 - r) ** 0.5 * normal(9000, 4, 1)
    e = rg.estimate(x * deviations, groups=codes)
    expected = math.sqrt(2 / 9000 * (1 + 2 * r**2) * np.sum(slopes("effective_rank", deviations**2) ** 2))
    assert_is_error(e.se / e.value, expected)


@pytest.mark.parametrize("paired", [True, False])
def test_errors_of_differences_of_many_rows(paired):
    """What correlates by r in each direction moves the two variances alike by r²."""
    n, r, first, second = 8000, 0.9, power(4, 0.7), power(4, 1.2)
    x = normal(n, 4)
    y = r * x + math.sqrt(1 - r**2) * normal(n, 4, 1)
    c = rg.compare(x * first, y * second, paired=paired)
    a, b = slopes("effective_rank", first**2), slopes("effective_rank", second**2)
    shared = r**2 if paired else 0
    in_logs = math.sqrt(2 / n * np.sum(a**2 + b**2 - 2 * shared * a * b))
    a, b = a * c.first.value, b * c.second.value
    plain = math.sqrt(2 / n * np.sum(a**2 + b**2 - 2 * shared * a * b))
    z = stats.norm.ppf(0.975)
    assert_is_error(math.log(c.ratio_high / c.ratio) / z, in_logs)
    assert_is_error((c.high - c.low) / 2 / z, plain)


def test_standard_errors_of_a_flat_spectrum_are_of_second_order():
    """Rows add nothing of first order there; what is left has variance (d − 1)(d + 2) / (d n)²."""
    n, d = 400, 40
    told = [e.se / e.value for e in (rg.estimate(normal(n, d, seed)) for seed in range(12))]
    second = math.sqrt((d - 1) * (d + 2)) / d / n
    assert 0.95 * second < np.mean(told) < 1.3 * second  # and the drift between halves, which errs as well


# Where rows are few: against spreads that many draws showed, each known to about 4 % ---------------------------------

EFFECTIVE, PARTICIPATION = "effective_rank", "participation_ratio"
# n, d, exponent: the standard deviation of the estimate's logarithm over 400 sets of rows; how far errors may lie above it
SPREADS = [
    (EFFECTIVE, 102, 34, 0.5, 0.0204, 1.35),  # the drift between halves is added, and a flat spectrum has little else
    (EFFECTIVE, 100, 25, 1.0, 0.0555, 1.1),
    (PARTICIPATION, 128, 26, 0.5, 0.0432, 1.1),
]


def root_mean_square(errors):
    return np.sqrt(np.mean(np.square(errors)))


@pytest.mark.parametrize(("measure", "n", "d", "exponent", "spread", "most"), SPREADS)
def test_standard_errors_are_the_spread_of_values_where_rows_are_few(measure, n, d, exponent, spread, most):
    found = [rg.estimate(normal(n, d, seed) * power(d, exponent), measure) for seed in range(20)]
    errors = [e.se / e.value for e in found if e.se is not None]
    assert len(errors) >= 19
    assert 0.9 < root_mean_square(errors) / spread < most


def test_standard_errors_of_groups_are_the_spread_of_values():
    codes, errors = np.repeat(np.arange(110), 3), []
    for seed in range(12):
        x = 0.8**0.5 * normal(110, 12, seed)[codes] + 0.2**0.5 * normal(330, 12, 1000 + seed)
        e = rg.estimate(x * power(12, 1.0), groups=codes)
        errors.append(e.se / e.value)
    assert 0.87 < root_mean_square(errors) / 0.0410 < 1.2  # the spread of 300


def test_errors_of_differences_are_their_spread_where_rows_are_few():
    n, d, told, halves = 104, 40, [], []
    for seed in range(16):
        x = normal(n, d, seed)
        y = 0.9 * x + math.sqrt(1 - 0.81) * normal(n, d, 1000 + seed)
        # What `compare` does; the population of each is fitted once.
        both = [sample(rows, ["effective_rank"]) for rows in (x * power(d, 0.7), y * power(d, 1.2))]
        c = comparison_of(*both, "effective_rank", True, 0.95)
        logs = [corrected(s, "effective_rank").influence for s in both]
        t = stats.t.ppf(0.975, degrees_of(logs[1] - logs[0]))
        told.append(math.log(c.ratio_high / c.ratio) / t)
        t = stats.t.ppf(0.975, degrees_of(c.second.value * logs[1] - c.first.value * logs[0]))
        halves.append((c.high - c.low) / 2 / t)
    assert 0.85 < root_mean_square(told) / 0.0517 < 1.1  # spreads of 300 ratios and differences
    assert 0.85 < root_mean_square(halves) / 0.760 < 1.1


# Student's t ------------------------------------------------------------------------------------------------------


def test_an_interval_has_the_degrees_of_what_rows_or_groups_add():
    x = normal(200, 6) * power(6, 1.0)
    pairs = np.arange(200) % 100
    for e, degrees in (
        (rg.estimate(x), degrees_of(influences(x))),
        (rg.estimate(x, groups=pairs), degrees_of(influences(x, groups=pairs))),
        (rg.estimate(x, groups=range(200)), degrees_of(influences(x))),
    ):
        assert degrees < 180
        half = stats.t.ppf(0.975, degrees) * e.se / e.value
        assert (math.log(e.high / e.value), math.log(e.value / e.low)) == pytest.approx((half, half), rel=1e-9)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_difference_of_strangers_has_satterthwaites_degrees_and_both_errors(swapped):
    pair = [normal(100, 6) * power(6, 1.0), normal(3000, 6, 1) * power(6, 1.2)]
    pair = pair[::-1] if swapped else pair
    c = rg.compare(*pair, confidence=0.9)
    a, b = c.first, c.second
    own = [degrees_of(influences(x)) for x in pair]

    def joined(errors):
        return sum(e**2 for e in errors) ** 2 / sum(e**4 / k for e, k in zip(errors, own, strict=True))

    degrees = joined((a.se, b.se))
    assert min(own) < degrees < sum(own)
    error = math.hypot(a.se, b.se, 1e-4 * max(a.value, b.value))
    t = stats.t.ppf(0.95, degrees)
    assert c.difference == b.value - a.value
    assert (c.low, c.high) == pytest.approx((c.difference - t * error, c.difference + t * error), rel=1e-9)
    assert c.p_value == pytest.approx(2 * stats.t.sf(abs(c.difference) / error, degrees), rel=1e-9)
    logs = a.se / a.value, b.se / b.value
    factor = math.exp(stats.t.ppf(0.95, joined(logs)) * math.hypot(*logs))
    assert c.ratio == b.value / a.value
    assert (c.ratio_low, c.ratio_high) == pytest.approx((c.ratio / factor, c.ratio * factor), rel=1e-9)


def test_a_paired_difference_has_the_degrees_of_the_difference():
    x = normal(200, 6) * power(6, 1.0)
    y = x + 0.3 * normal(200, 6, 1)
    for groups in (None, np.arange(200) % 100):
        wide, narrow = (rg.compare(x, y, paired=True, groups=groups, confidence=c) for c in (0.99, 0.5))
        values = wide.first.value, wide.second.value
        degrees = degrees_of(values[1] * influences(y, groups=groups) - values[0] * influences(x, groups=groups))
        widths = (wide.high - wide.low) / (narrow.high - narrow.low)
        assert widths == pytest.approx(stats.t.ppf(0.995, degrees) / stats.t.ppf(0.75, degrees), rel=1e-9)
        error = (wide.high - wide.low) / 2 / stats.t.ppf(0.995, degrees)
        assert wide.p_value == pytest.approx(2 * stats.t.sf(abs(wide.difference) / error, degrees), rel=1e-9)


@pytest.mark.parametrize("paired", [False, True])
def test_a_difference_that_rests_on_few_rows_has_no_interval_and_says_so(paired):
    x = normal(400, 6)
    y = x + 0.01 * normal(400, 6, 1)
    # Nothing but five rows tells the two apart, and each estimate stands for itself.
    y[:5] = x[:5] + 2.5 * normal(5, 6, 2)
    c = rg.compare(x * power(6, 1.0), y * power(6, 1.0), paired=paired)
    assert c.first.low is not None
    assert c.second.low is not None
    assert (c.low is None) == paired
    assert any(w.startswith("no interval: its error rests on about ") for w in c.warnings) == paired
    assert (c.p_value is None) == (c.ratio_low is None) == paired


# What an error is at least ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["effective_rank", "effective_rank_sigma", "participation_ratio"])
def test_what_the_grid_leaves_open_is_part_of_the_error(measure):
    """Rows of one direction leave nothing else open."""
    for n, d in ((200, 8), (1000, 20)):
        e = rg.estimate(np.outer(normal(n, 1), np.arange(1.0, d + 1)), measure)
        assert e.se == pytest.approx(1e-4, rel=0.05 if measure == "participation_ratio" else 0.01)


# From which rows on -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "measure", "given"),
    [
        (99, 3, "effective_rank", False),
        (100, 3, "effective_rank", True),
        (114, 60, "effective_rank", True),  # two rows a feature, of which five in a hundred may be missing
        (113, 60, "effective_rank", False),
        (114, 60, "participation_ratio", True),
        (113, 60, "participation_ratio", False),
        (114, 60, "effective_rank_sigma", True),
        (113, 60, "effective_rank_sigma", False),
        (114, 30, "stable_rank", True),  # four
        (113, 30, "stable_rank", False),
    ],
)
def test_intervals_are_given_from_the_row_that_is_named(n, d, measure, given):
    x = normal(n, d)
    x[:, 0] *= 1 + 3 * (measure == "stable_rank")  # a leading variance that stands clear
    e = rg.estimate(x, measure)
    assert (e.low is not None) == given
    if not given:
        assert any(words in e.warnings[-1] for words in ("and it needs 100", "rows per feature, and it holds from"))


def test_groups_count_as_groups():
    x = normal(400, 4)
    assert rg.estimate(x, groups=np.arange(400) // 4).low is not None
    few = rg.estimate(x, groups=np.arange(400) // 5)
    assert few.low is None
    assert "80 groups, and it needs 100" in few.warnings[-1]


@pytest.mark.parametrize(("factor", "given"), [(0.24, True), (0.26, False)])
def test_a_row_that_holds_a_quarter_of_the_variance_takes_the_interval_away(factor, given):
    x = normal(400, 5)
    x -= x.mean(0)
    rest = (x[1:] ** 2).sum()
    x[0] = np.eye(5)[0] * math.sqrt(factor / (1 - factor) * rest)
    e = rg.estimate(x, center=False)
    assert ("one row holds more than a quarter of the variance" in e.warnings[-1]) == (not given)
    assert e.method == ("Marchenko-Pastur inversion" if given else "not corrected")
    assert e.warnings[0] == f"row 0 holds {factor:.0%} of the variance"
    if not given:
        assert e.value == pytest.approx(e.in_these_rows, rel=1e-9)


def test_the_row_that_weighs_most_is_named_from_a_tenth_on():
    for share, is_named in ((0.09, False), (0.11, True)):
        x = normal(400, 5)
        x -= x.mean(0)
        x[7] = 0
        x[7, 2] = math.sqrt(share / (1 - share) * (x**2).sum())
        assert any(w.startswith("row 7 holds") for w in rg.estimate(x, center=False).warnings) == is_named


# Values -----------------------------------------------------------------------------------------------------------


def test_likeness_within_groups_is_what_was_planted():
    """Independent rows behind n rows: n over the mean square of the eigenvalues of their correlation."""
    codes, rho = np.repeat(np.arange(3000), 4), 0.5
    x = rho**0.5 * normal(3000, 8)[codes] + (1 - rho) ** 0.5 * normal(12_000, 8, 1)
    e = rg.estimate(x, groups=codes)
    assert e.value == pytest.approx(8, rel=0.003)
    weights = np.r_[1 + 3 * rho, [1 - rho] * 3]
    found = sample(x[:400], ["effective_rank"], codes[:400])
    assert found.independent == pytest.approx(400 / np.mean(weights**2), rel=0.1)


@pytest.mark.parametrize("measure", ["n_components_50", "n_components_90", "n_components_99"])
def test_numbers_of_components_are_whole_and_those_of_the_population(measure):
    variances = np.r_[np.ones(20), np.full(20, 0.1)]
    share = int(measure[-2:]) / 100
    true = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share) + 1)
    found = [rg.estimate(normal(800, 40, seed) * np.sqrt(variances), measure).value for seed in range(4)]
    assert all(value == int(value) for value in found)
    assert np.mean(found) == pytest.approx(true, abs=1.01)


def test_an_estimate_reads_as_text():
    e = rg.estimate(normal(400, 10))
    assert (
        str(e)
        == f"{e.value:.4g} (95 % interval {e.low:.4g} to {e.high:.4g}; these 400 rows alone read {e.in_these_rows:.4g})"
    )
    few = rg.estimate(normal(40, 10))
    assert str(few) == f"{few.value:.4g} (no interval; these 40 rows alone read {few.in_these_rows:.4g})"
