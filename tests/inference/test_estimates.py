"""Values of the population and their intervals: planted populations, closed forms, brute force, small simulations."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.data.sources import as_source, source_of
from repgeom.inference import correction
from repgeom.inference.influence import score
from repgeom.inference.population import EVEN, Population, RowWeights, binned, drawn_in, population, standing_alone
from repgeom.inference.sample import sample_of, unbiased_traces
from repgeom.measures.measure import functional, named, names_of_estimable
from repgeom.spectral.directions import directions_of

SMOOTH = ("effective_rank", "effective_rank_sigma", "participation_ratio")


def power(d, exponent):
    return np.arange(1, d + 1.0) ** -exponent


def true_value(measure, variances):
    return named(measure).value(rg.Spectrum.from_variances(variances))


def gaussian(rng, n, variances):
    return rng.standard_normal((n, len(variances))) * np.sqrt(variances)


def sample(x, measures=SMOOTH, groups=None):
    source = source_of(torch.as_tensor(x), "x")
    return sample_of(source, measures, center=True, normalize=None, groups=groups)


# The population behind a spectrum ------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("measure", SMOOTH)
def test_with_endless_rows_the_population_is_the_sample(measure, exponent):
    variances, f = power(96, exponent), functional(measure)
    found = population(variances, 96, 10**12)
    assert f.log(found.variances, found.counts) == pytest.approx(f.log(variances, np.ones(96)), abs=1e-3)


@pytest.mark.parametrize(("n", "d"), [(801, 100), (401, 200), (201, 200), (101, 200), (201, 100)])
def test_isotropic_samples_come_from_an_isotropic_population(n, d):
    seen = np.asarray(rg.isotropic_baseline(np.zeros((n, d))).variances)
    seen = seen[seen > 0]
    found = population(seen, d, n - 1)
    f = functional("effective_rank")
    assert math.exp(f.log(seen, np.ones(len(seen)))) < 0.95 * d or n > 4 * d
    assert math.exp(f.log(found.variances, found.counts)) == pytest.approx(d, rel=0.01)
    assert found.counts.sum() == pytest.approx(d, rel=0.01)


def test_an_eigenvalue_that_stands_alone_is_one_direction():
    variances = np.r_[1000.0, np.ones(63)]
    alone = standing_alone(variances, 10_000, EVEN, np.zeros(10))
    assert alone == pytest.approx([1000.0], rel=0.01)
    found = population(variances, 64, 10_000, EVEN, alone)
    assert (found.variances[-1], found.counts[-1], found.alone) == (alone[0], 1.0, 1)
    assert standing_alone(variances, 10_000, EVEN, np.full(10, 0.5)).size == 0


def test_uneven_rows_weigh_as_fewer():
    weights = RowWeights(np.array([0.5, 1.5]), np.array([0.5, 0.5]))
    assert weights.mean_square == 1.25
    many = binned(np.random.default_rng(0).chisquare(3, 10_000) / 3)
    assert many.shares @ many.values == pytest.approx(1, rel=0.02)
    assert many.mean_square == pytest.approx(1 + 2 / 3, rel=0.05)
    assert binned(np.ones(50)) is EVEN


def test_only_real_kurtosis_is_kept():
    squares = np.random.default_rng(0).chisquare(2, 5000) / 2
    assert drawn_in(squares, -0.1).tolist() == [1.0] * 5000
    assert drawn_in(squares, 0.2).var() == pytest.approx(0.2)


# Closed forms and brute force ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_influence_is_what_leaving_a_row_out_does(measure):
    x = gaussian(np.random.default_rng(0), 400, power(6, 1.0))
    found, plain = rg.influence(x, measure), named(measure).value
    assert found.shape == (400,)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    whole = plain(rg.spectrum(x))
    for i in (0, 17, int(np.abs(found).argmax())):
        moved = (whole - plain(rg.spectrum(np.delete(x, i, 0)))) * 399
        assert found[i] == pytest.approx(moved, rel=0.08, abs=0.05)


@pytest.mark.parametrize("measure", SMOOTH)
def test_scores_are_of_the_covariance_without_the_row(measure):
    rng = np.random.default_rng(0)
    x = gaussian(rng, 60, power(8, 1.0)) * rng.uniform(0.5, 3, (60, 1))
    source = source_of(torch.as_tensor(x), "x")
    directions = directions_of(source, center=True, normalize=None, tail=True)
    found = score(directions, source, (measure,)).influence[measure]
    f, variances = functional(measure), directions.variances
    brute = []
    for i in range(60):
        rest = np.delete(x, i, 0)
        values, vectors = np.linalg.eigh(np.cov(rest.T) / directions.unit**2)
        y = ((x[i] - rest.mean(0)) / directions.unit @ vectors) ** 2
        brute.append(y @ f.slope(variances, np.ones(8), values))
    squares = ((x - x.mean(0)) ** 2).sum(1)
    brute = np.array(brute) - squares * np.mean(brute) / squares.mean()
    assert np.corrcoef(found, brute)[0, 1] > 0.999
    assert found.std() == pytest.approx(brute.std(), rel=0.02)


# Small simulations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("ratio", "most"), [(0.5, 0.1), (1, 0.04), (4, 0.03)])
def test_the_estimate_does_not_depend_on_the_number_of_rows(exponent, ratio, most):
    rng, variances = np.random.default_rng(1), power(48, exponent)
    found = [rg.estimate(gaussian(rng, int(48 * ratio), variances)) for _ in range(60)]
    true = true_value("effective_rank", variances)
    assert np.mean([e.value for e in found]) == pytest.approx(true, rel=most)
    assert np.mean([e.naive for e in found]) < (1 - 0.3 * min(0.2, 0.2 / ratio)) * true


def test_heavy_tails_are_seen_in_the_fourth_moment():
    rng, flat = np.random.default_rng(1), np.ones(48)
    rows = [gaussian(rng, 192, flat) / np.sqrt(rng.chisquare(5, 192) / 5)[:, None] for _ in range(30)]
    assert np.mean([rg.estimate(x).value for x in rows]) == pytest.approx(48, rel=0.03)
    even = [population(sample(x).variances, 48, 191) for x in rows]
    blind = np.mean([math.exp(functional("effective_rank").log(p.variances, p.counts)) for p in even])
    assert blind < 45  # what Gaussian weights would say


@pytest.mark.parametrize("measure", ["effective_rank", "participation_ratio", "stable_rank"])
def test_intervals_cover(measure):
    rng, variances = np.random.default_rng(2), power(16, 1.0)
    true = true_value(measure, variances)
    found = [rg.estimate(gaussian(rng, 400, variances), measure) for _ in range(150)]
    known = [e for e in found if e.low is not None]
    assert len(known) > 100
    assert 0.89 < np.mean([e.low <= true <= e.high for e in known]) < 0.995
    spread = np.std([e.value for e in known])
    assert np.median([e.se for e in known]) == pytest.approx(spread, rel=0.25)


def test_paired_comparisons_see_more():
    rng, variances = np.random.default_rng(3), power(16, 1.0)
    a = gaussian(rng, 1000, variances)
    b = 0.95 * a + 0.31 * gaussian(rng, 1000, variances)
    paired, apart = (rg.compare(a, b, paired=paired) for paired in (True, False))
    assert paired.difference == apart.difference == pytest.approx(paired.second.value - paired.first.value)
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)
    back = rg.compare(b, a, paired=True)
    assert back.difference == -paired.difference
    assert (back.low, back.high) == pytest.approx((-paired.high, -paired.low))
    assert back.ratio == pytest.approx(1 / paired.ratio)
    shuffled = rg.compare(a, rng.permutation(b), paired=True)
    assert shuffled.high - shuffled.low == pytest.approx(apart.high - apart.low, rel=0.15)


def test_equal_representations_do_not_differ():
    rng = np.random.default_rng(4)
    x = gaussian(rng, 500, power(10, 1.0))
    turned = x @ np.linalg.qr(rng.standard_normal((10, 10))).Q
    c = rg.compare(x, turned, paired=True)
    assert c.difference == pytest.approx(0, abs=1e-9)
    assert rg.compare(x, x, paired=True).p_value == 1.0


# Rows that depend on each other --------------------------------------------------------------------------------------


def test_groups_say_what_rows_alone_do_not():
    rng, variances = np.random.default_rng(5), power(16, 0.5)
    codes, true = np.repeat(np.arange(150), 6), true_value("effective_rank", power(16, 0.5))
    told, untold = [], []
    for _ in range(40):
        common = gaussian(rng, 150, variances)[codes]
        x = 0.9**0.5 * common + 0.1**0.5 * gaussian(rng, 900, variances)
        told.append(rg.estimate(x, groups=codes))
        untold.append(rg.estimate(x))
    assert np.mean([e.value for e in told]) == pytest.approx(true, rel=0.01)
    assert np.mean([e.low <= true <= e.high for e in told]) > 0.85
    assert np.mean([e.low <= true <= e.high for e in untold]) < 0.7


def test_copies_count_once_when_told():
    x = gaussian(np.random.default_rng(6), 300, power(10, 0.5))
    once, twice = rg.estimate(x), rg.estimate(np.r_[x, x], groups=[*range(300), *range(300)])
    assert twice.naive == pytest.approx(once.naive)
    assert twice.value == pytest.approx(once.value, rel=0.005)
    assert twice.se == pytest.approx(once.se, rel=0.15)
    assert not once.warnings


def test_rows_that_repeat_by_nature_do_when_told_so():
    rng = np.random.default_rng(6)
    signs = [np.sign(rng.standard_normal((400, 6))) for _ in range(40)]
    found = [rg.estimate(x, groups=range(400)) for x in signs]
    assert np.mean([e.value for e in found]) == pytest.approx(6, rel=0.01)
    assert np.mean([e.low <= 6 <= e.high for e in found]) > 0.9
    untold = rg.estimate(signs[0])
    assert (untold.low, untold.value) == (None, found[0].value)
    assert "give `groups`" in untold.warnings[-1]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_few_directions_far_above_the_rest_are_as_many_as_they_are(k):
    rng = np.random.default_rng(k)
    x = rng.standard_normal((2000, k)) @ np.linalg.qr(rng.standard_normal((64, k))).Q.T
    e = rg.estimate(x + 1e-3 * rng.standard_normal((2000, 64)))
    assert e.value == pytest.approx(k, rel=2e-3)


def test_independent_groups_change_little():
    x = gaussian(np.random.default_rng(7), 600, power(10, 0.5))
    alone, grouped = rg.estimate(x), rg.estimate(x, groups=[f"video {i // 3}" for i in range(600)])
    assert grouped.value == pytest.approx(alone.value, rel=0.01)
    assert grouped.se == pytest.approx(alone.se, rel=0.2)


# What cannot be had --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (lambda r: gaussian(r, 40, np.ones(20)), "40 rows, and it needs 100"),
        (lambda r: gaussian(r, 150, np.ones(100)), "1.5 independent rows per feature, and it holds from 2"),
        (lambda r: np.r_[gaussian(r, 300, np.ones(5)), [[1e4, 0, 0, 0, 0]]], "one row holds more than a quarter"),
        (lambda r: np.repeat(gaussian(r, 50, np.ones(5)), 6, 0), "rows repeat: give `groups`"),
    ],
)
def test_no_interval_where_none_holds(x, words):
    e = rg.estimate(x(np.random.default_rng(8)))
    assert (e.low, e.high, e.se) == (None, None, None)
    assert words in e.warnings[-1]
    assert 1 <= e.value <= 100


@pytest.mark.parametrize("measure", names_of_estimable())
@pytest.mark.parametrize("n", [4, 5, 30, 65, 200, 1000])
def test_values_lie_in_their_range(measure, n):
    x = gaussian(np.random.default_rng(n), n, power(64, 0.7))
    e = rg.estimate(x, measure)
    assert 1 <= e.value <= 64
    assert e.naive == pytest.approx(named(measure).value(rg.spectrum(x)), rel=1e-9)
    if e.low is not None:
        assert 1 <= e.low <= e.value <= e.high <= 64
    else:
        assert e.warnings[-1].startswith("no interval: ")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: rg.estimate(x[:3]), ValueError, "has 3 rows and an estimate of the population needs at least 4"),
        (
            lambda x: rg.estimate(x, "rank"),
            ValueError,
            "effective_rank, effective_rank_sigma.*n_components_NN.*got 'rank'",
        ),
        (lambda x: rg.estimate(x, "n_components_00"), ValueError, "n_components_NN"),
        (lambda x: rg.estimate(x * 0), ValueError, "zero variance"),
        (lambda x: rg.estimate(x, confidence=95), ValueError, "`confidence` must lie between 0 and 1"),
        (lambda x: rg.estimate(x, groups=[1, 2]), ValueError, "`groups` has 2 entries and `features` 100 rows"),
        (lambda x: rg.estimate(x[None]), ValueError, "Call once per layer"),
        (lambda x: rg.estimate(np.where(x > 2, np.nan, x)), ValueError, "non-finite"),
        (lambda x: rg.compare(x, x[:50], paired=True), ValueError, "`a` has 100 rows and `b` 50"),
        (lambda x: rg.compare(x, x, groups=np.zeros(100)), ValueError, "a pair"),
        (lambda x: rg.sample_size_curve(x, sizes=[200]), ValueError, "between 4 and the 100 rows"),
        (lambda x: rg.sample_size_curve(x[:10]), ValueError, "at least 16"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call(np.random.default_rng(0).standard_normal((100, 5)))


# The same answer by every way ----------------------------------------------------------------------------------------


def test_scale_rotation_and_a_far_mean_change_nothing():
    rng = np.random.default_rng(9)
    x = gaussian(rng, 300, power(12, 1.0))
    first = rg.estimate(x)
    turn = np.linalg.qr(rng.standard_normal((12, 12))).Q
    for other in (x * 1e150, x * 1e-150, x @ turn, x + 1e3, x[rng.permutation(300)]):
        again = rg.estimate(other)
        assert (again.value, again.low, again.high) == pytest.approx((first.value, first.low, first.high), rel=1e-6)


def test_a_file_reads_as_the_array_does(tmp_path):
    x = gaussian(np.random.default_rng(10), 40_000, power(64, 0.5)).astype(np.float32) + 3
    np.save(tmp_path / "x.npy", x)
    file, array = rg.estimate(tmp_path / "x.npy"), rg.estimate(x)
    assert (file.value, file.low, file.high) == pytest.approx((array.value, array.low, array.high), rel=1e-6)
    assert rg.estimate(torch.tensor(x)) == array
    assert rg.influence(tmp_path / "x.npy") == pytest.approx(rg.influence(x), abs=1e-3)


def test_a_stream_is_read_once_more_than_for_its_spectrum():
    x, seen = torch.as_tensor(gaussian(np.random.default_rng(10), 3000, power(40, 0.5))), []
    source = dataclasses.replace(as_source(x), read=lambda start, stop: seen.append(stop - start) or x[start:stop])
    e = rg.estimate(source)
    assert sum(seen) == 2 * 3000
    assert e.value == pytest.approx(rg.estimate(x).value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_reads_as_the_cpu_does():
    x = torch.tensor(gaussian(np.random.default_rng(10), 5000, power(64, 0.5)))
    here, there = rg.estimate(x), rg.estimate(x.cuda())
    assert (there.value, there.low, there.high) == pytest.approx((here.value, here.low, here.high), rel=1e-6)
    assert rg.influence(x.cuda()).is_cuda


def test_influence_comes_back_as_it_went_in():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    found = rg.influence(x)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float64
    assert isinstance(rg.influence(x.numpy()), np.ndarray)


# Curves and the audit ------------------------------------------------------------------------------------------------


def test_the_curve_is_level_where_the_naive_one_climbs():
    x = gaussian(np.random.default_rng(11), 800, np.ones(40))
    curve = rg.sample_size_curve(x, sizes=[40, 160, 800], draws=5, seed=1)
    assert list(curve.columns) == ["n_samples", "draw", "naive", "corrected", "low", "high"]
    assert curve.n_samples.value_counts().to_dict() == {40: 5, 160: 5, 800: 1}
    mean = curve.groupby("n_samples").mean()
    assert mean.corrected.tolist() == pytest.approx([40] * 3, rel=0.05)
    assert mean.naive.tolist() == pytest.approx([24, 35, 39], rel=0.05)
    assert mean.low.isna().tolist() == [True, False, False]
    again = rg.sample_size_curve(x, sizes=[40, 160, 800], draws=5, seed=1)
    assert curve.equals(again)


def test_plot_sample_size_curve_draws_what_is_in_the_table():
    curve = rg.sample_size_curve(gaussian(np.random.default_rng(12), 400, np.ones(10)), draws=2)
    ax = rg.plot_sample_size_curve({"x": curve})
    corrected, naive = ax.get_lines()
    mean = curve.groupby("n_samples").mean()
    assert corrected.get_ydata().tolist() == mean.corrected.tolist()
    assert naive.get_xdata().tolist() == mean.index.tolist()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["x: corrected", "x: naive"]
    assert ax.get_xscale() == "log"


def test_an_audit_estimates_as_the_function_does():
    x = gaussian(np.random.default_rng(13), 500, power(20, 1.0))
    report = rg.audit(x)
    for name in ("effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank", "n_components_90"):
        e, again = report[name].estimate, rg.estimate(x, name)
        assert (e.value, e.naive) == pytest.approx((again.value, again.naive), rel=1e-6)
        assert (e.low is None) == (again.low is None)
        if e.low is not None:
            assert (e.low, e.high) == pytest.approx((again.low, again.high), rel=1e-4)
    assert report["effective_rank"].value == pytest.approx(rg.effective_rank(x))
    row = report.to_frame().loc["effective_rank"]
    e = report["effective_rank"].estimate
    assert (row.value, row.corrected, row.low, row.high) == (report["effective_rank"].value, e.value, e.low, e.high)
    assert report.to_dict()["measures"]["effective_rank"]["estimate"]["low"] == e.low


def test_an_audit_of_many_rows_scores_a_sample_of_them():
    x = gaussian(np.random.default_rng(14), 40_000, power(16, 1.0)).astype(np.float32)
    report, whole = rg.audit(x, max_pair_rows=200), rg.estimate(x)
    e = report["effective_rank"].estimate
    assert e.value == pytest.approx(whole.value, rel=1e-3)
    assert e.high - e.low == pytest.approx(whole.high - whole.low, rel=0.05)
    assert any("8,192 of 40,000 rows" in note for note in report.notes)


def test_the_verdict_is_sure_of_what_it_says():
    rng = np.random.default_rng(15)
    x = gaussian(rng, 150, power(60, 2.2))  # a share near the threshold, and few rows
    sure = rg.audit(x, thresholds={"rank_share": (0.99, None)})
    f = next(f for f in sure.findings if f.name == "rank_share")
    assert (f.level, f.low < f.value < f.high) == ("warn", True)
    between = (f.value + f.high) / 2
    f = next(f for f in rg.audit(x, thresholds={"rank_share": (between, None)}).findings if f.name == "rank_share")
    assert f.level == "ok"
    assert "not sure enough for warn" in f.reason


def test_an_audit_compares_with_its_reference_by_row():
    rng = np.random.default_rng(16)
    teacher = gaussian(rng, 1000, power(16, 0.3))
    student = teacher[:, :4] @ rng.standard_normal((4, 16))
    report = rg.audit(student, reference=teacher)
    c = rg.compare(teacher, student, paired=True)
    e = report["rank_retained"].estimate
    assert (e.value, e.low, e.high) == pytest.approx((c.ratio, c.ratio_low, c.ratio_high), rel=1e-4)
    other = rg.audit(teacher)
    against = report.compare(other)
    assert against.paired
    assert (against.difference, against.low) == pytest.approx((c.difference, c.low), rel=1e-4)
    assert rg.audit(student[:500]).compare(other).paired is False
    assert rg.audit(student[:3]).compare(other) is None


def test_an_audit_takes_groups():
    rng = np.random.default_rng(17)
    codes = np.repeat(np.arange(120), 5)
    x = gaussian(rng, 120, power(10, 0.5))[codes] + 0.1 * rng.standard_normal((600, 10))
    told, untold = (rg.audit(x, groups=g)["effective_rank"].estimate for g in (codes, None))
    assert told.high - told.low > 1.8 * (untold.high - untold.low)
    assert told.value > untold.value


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32"])
def test_rounding_of_a_far_mean_does_not_hide_directions(kind):
    x = gaussian(np.random.default_rng(18), 800, power(32, 0.5))
    far = torch.tensor(x + {"bfloat16": 10, "float16": 30, "float32": 1e5}[kind]).to(getattr(torch, kind))
    e, plain = rg.estimate(far), rg.estimate(x)
    assert e.value == pytest.approx(plain.value, rel=0.03)
    assert e.low < plain.value < e.high


def test_a_row_that_rules_leaves_the_values_as_they_are():
    x = gaussian(np.random.default_rng(19), 400, power(12, 0.5))
    x[3] *= 1000
    for measure in (*SMOOTH, "stable_rank"):
        e = rg.estimate(x, measure)
        assert (e.value, e.low, e.method) == (pytest.approx(e.naive), None, "not corrected")


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_an_audit_bears_any_scale(scale):
    x = gaussian(np.random.default_rng(20), 400, power(12, 0.5))
    there, here = (rg.audit(y)["effective_rank"].estimate for y in (x * scale, x))
    assert (there.value, there.low) == pytest.approx((here.value, here.low))


def test_few_groups_are_too_few_samples_and_no_collapse():
    rng, codes = np.random.default_rng(21), np.repeat(np.arange(5), 400)
    x = rng.standard_normal((5, 64))[codes] + 0.05 * rng.standard_normal((2000, 64))
    report = rg.audit(x, groups=codes)
    found = {f.name: f for f in report.findings}
    assert "rank_share" not in found
    assert found["samples_per_feature"].level == "warn"
    assert "2,000 rows count as 5 for 64 features" in found["samples_per_feature"].reason


def test_an_estimate_prints_in_one_line():
    e = rg.estimate(gaussian(np.random.default_rng(22), 300, np.ones(4)))
    assert (
        str(e) == f"{e.value:.4g} (95 % interval {e.low:.4g} to {e.high:.4g}; these 300 rows alone read {e.naive:.4g})"
    )
    assert "no interval" in str(rg.estimate(gaussian(np.random.default_rng(22), 10, np.ones(4))))
