"""Values of the population: planted populations, agreement, odd shapes and values."""

import dataclasses

import numpy as np
import pytest
import torch
from estimate_reference import (
    MEASURES,
    ODD,
    PLAIN,
    SMOOTH,
    assert_same,
    assert_sane,
    decaying,
    gaussian,
    normal,
    population_value,
    power,
    rank_one,
    rotation,
    sample,
    with_a_huge_row,
)
from scipy import stats

import repgeom as rg
from repgeom.data.arrays import CHUNK_VALUES
from repgeom.data.sources import as_source
from repgeom.inference.correction import corrected

# --- Planted populations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", SMOOTH)
@pytest.mark.parametrize(("n", "d"), [(2000, 20), (400, 100), (200, 200)])
def test_flat_population_reads_its_width(measure, n, d):
    e = rg.estimate(normal(n, d), measure)
    assert e.value == pytest.approx(d, rel=0.02)
    assert e.in_these_rows < e.value
    assert_sane(e, d)


@pytest.mark.parametrize("measure", MEASURES[:3] + MEASURES[4:])
@pytest.mark.parametrize("n", [4, 10, 300])
def test_rank_one_reads_one(measure, n):
    e = rg.estimate(rank_one(n, 8), measure)
    if measure != "participation_ratio" or n == 300:
        assert e.value == pytest.approx(1, abs=1e-9)
    assert_sane(e, 8)


@pytest.mark.parametrize("n", [4, 10])
def test_participation_ratio_of_few_rows_of_rank_one_is_one(n):
    assert rg.estimate(rank_one(n, 8), "participation_ratio").value == pytest.approx(1, abs=1e-9)


def test_one_column_reads_one_and_is_sure():
    e = rg.estimate(normal(300, 1))
    assert e.value == e.low == e.high == 1


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_decaying_population_is_read_better_than_by_the_naive_value(measure):
    deviations = np.arange(1, 61) ** -0.75
    truth = population_value(deviations, measure)
    found = [rg.estimate(normal(300, 60, s) * deviations, measure) for s in range(12)]
    bias = np.mean([e.value for e in found]) / truth - 1
    assert abs(bias) < 0.03
    if measure != "stable_rank":
        assert abs(bias) < abs(np.mean([e.in_these_rows for e in found]) / truth - 1)


def test_half_a_row_per_feature_still_reads_a_planted_effective_rank():
    deviations = np.arange(1, 201) ** -0.25
    found = np.mean([rg.estimate(normal(100, 200, s) * deviations).value for s in range(6)])
    assert found == pytest.approx(population_value(deviations, "effective_rank"), rel=0.1)


def test_uncentred_measure_counts_the_mean_as_a_direction():
    x = normal(2000, 10) + 100
    assert rg.estimate(x, center=False).value == pytest.approx(1, abs=0.02)
    assert rg.estimate(x).value == pytest.approx(10, rel=0.01)


def test_low_rank_in_float32_far_from_the_origin_has_its_rank():
    x = (normal(2000, 2) @ rotation(10)[:2] + 1000).astype(np.float32)
    for measure in SMOOTH:
        e = rg.estimate(x, measure)
        assert e.value == pytest.approx(2, rel=0.02)
        assert_sane(e, 10)


# --- Agreement and invariances ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("n", "d"), [(300, 12), (40, 60)])
def test_naive_is_the_plain_function(measure, n, d):
    x = decaying(n, d) + 0.3
    assert rg.estimate(x, measure).in_these_rows == pytest.approx(PLAIN[measure](x), rel=1e-10)


def test_naive_follows_center_and_normalize():
    x = decaying(200, 10) + 1
    assert rg.estimate(x, center=False).in_these_rows == pytest.approx(rg.effective_rank(x, center=False), rel=1e-10)
    assert rg.estimate(x, normalize="l2").in_these_rows == pytest.approx(
        rg.effective_rank(x, normalize="l2"), rel=1e-10
    )


CHANGES = {
    "rotated": lambda x: x @ rotation(x.shape[1]),
    "huge": lambda x: x * 1e150,
    "tiny": lambda x: x * 1e-150,
    "moved": lambda x: x + 1e3,
    "rows permuted": lambda x: x[np.random.default_rng(3).permutation(len(x))],
    "columns reversed": lambda x: x[:, ::-1],
    "Fortran order": np.asfortranarray,
    "list": lambda x: x.tolist(),
    "tensor": torch.tensor,
    "tensor with gradient": lambda x: torch.tensor(x, requires_grad=True),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("measure", MEASURES)
def test_estimates_do_not_feel(change, measure):
    for x in (decaying(300, 12) + 0.3, decaying(40, 60)):
        assert_same(rg.estimate(x, measure), rg.estimate(CHANGES[change](x), measure), 1e-8)


@pytest.mark.parametrize(("kind", "rtol"), [(torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 3e-2)])
def test_narrower_types_read_nearly_the_same(kind, rtol):
    x = torch.tensor(decaying(400, 12))
    for measure in SMOOTH:
        assert_same(rg.estimate(x, measure), rg.estimate(x.to(kind), measure), rtol)


@pytest.mark.parametrize("n", [300, 40])
def test_scales_that_the_plain_functions_bear(n):
    x = decaying(n, 60, 0.5) * 1e160
    assert rg.effective_rank(x) == pytest.approx(rg.effective_rank(x / 1e160))
    assert rg.estimate(x).value == pytest.approx(rg.estimate(x / 1e160).value)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_float32_near_the_ends_of_its_range(scale):
    x = decaying(400, 12).astype(np.float32)
    assert_same(rg.estimate(x), rg.estimate(x * np.float32(scale)), 1e-5)


def test_columns_without_variance_add_no_dimension():
    x = decaying(300, 10, 1)
    padded = np.c_[x, np.full((300, 10), 7.0)]
    assert rg.estimate(padded).value == pytest.approx(rg.estimate(x).value, rel=0.02)


@pytest.mark.parametrize("options", [{}, {"center": False}, {"normalize": "l2"}, {"groups": np.arange(300) // 2}])
def test_a_file_reads_as_its_array(tmp_path, options):
    x = decaying(300, 12) + 0.2
    path = tmp_path / "features.npy"
    np.save(path, x)
    for given in (path, str(path)):
        assert_same(rg.estimate(x, **options), rg.estimate(given, **options), 1e-12)


def test_a_file_of_several_chunks_reads_as_its_array(tmp_path, monkeypatch):
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", CHUNK_VALUES >> 9)
    x = (decaying(3000, 40) + 1).astype(np.float32)
    x[2900:] = x[:100]  # repeats that lie in different chunks
    path = tmp_path / "features.npy"
    np.save(path, x)
    assert len(list(rg.open_source(path).chunks())) > 5
    e = rg.estimate(path)
    assert_same(e, rg.estimate(x), 1e-6)
    assert e.warnings[0].startswith(
        "100 of 3,000 rows repeat earlier ones; copies are taken for one row (as independent "
    )
    assert e.value == pytest.approx(rg.estimate(x[:2900]).value, rel=1e-6)
    assert e.low is not None
    np.testing.assert_allclose(rg.influence(path), rg.influence(x), atol=1e-4)


# --- Odd shapes and values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_odd_features_read_without_warnings_inside_the_limits(name):
    x = ODD[name]
    for measure in MEASURES:
        for options in ({}, {"center": False}, {"normalize": "l2"}):
            assert_sane(rg.estimate(x, measure, **options), x.shape[1])


def test_a_row_that_rules_is_named_and_takes_the_interval_away():
    e = rg.estimate(with_a_huge_row(1e3))
    assert e.low is None
    assert any(w.startswith("row 7 holds") for w in e.warnings)
    assert "one row holds more than a quarter of the variance" in e.warnings[-1]


@pytest.mark.parametrize("d", [3, 10, 30])
def test_a_clipped_value_is_no_more_than_the_width(d):
    """exp(log(3)) is above 3 by rounding."""
    found = [rg.estimate(normal(4 * d, d, seed), measure) for seed in range(8) for measure in SMOOTH]
    assert sum(e.value > d - 1e-9 for e in found) > 0
    assert all(e.value <= d for e in found)


def test_stable_rank_of_rank_one_is_one():
    assert rg.estimate(rank_one(600, 12), "stable_rank").value == pytest.approx(1, abs=1e-9)


def test_intervals_are_given_from_the_rows_that_the_docstring_names():
    for measure in SMOOTH:
        assert rg.estimate(normal(380, 200), measure).low is not None
        assert rg.estimate(normal(379, 200), measure).low is None
    assert rg.estimate(normal(400, 10), "stable_rank").low is None
    assert rg.estimate(decaying(400, 10, 1), "stable_rank").low is not None
    assert rg.estimate(normal(4000, 3), "n_components_90").low is None


def test_fewer_rows_than_features_are_named():
    assert rg.estimate(normal(40, 60)).warnings[0].startswith("40 rows for 60 features")


def test_wider_confidence_is_a_wider_interval_around_the_same_value():
    x = decaying(300, 12)
    found = [rg.estimate(x, confidence=c) for c in (0.5, 0.8, 0.95, 0.999)]
    assert len({(e.value, e.se) for e in found}) == 1
    widths = [e.high - e.low for e in found]
    assert widths == sorted(widths)
    assert widths[0] > 0


def test_width_of_the_interval_is_students():
    x = decaying(300, 12)
    e, influence = rg.estimate(x, confidence=0.9), corrected(sample(x), "effective_rank").influence
    degrees = int(600 / (stats.kurtosis(influence, fisher=False) - 1))
    assert np.log(e.high / e.low) / 2 == pytest.approx(stats.t.ppf(0.95, degrees) * e.se / e.value, rel=1e-9)


@pytest.mark.parametrize("confidence", [0, 1, -1, 95, "a", None, float("nan")])
def test_confidence_must_lie_between_0_and_1(confidence):
    for call in (
        lambda: rg.estimate(normal(30, 3), confidence=confidence),
        lambda: rg.compare(normal(30, 3), normal(30, 3), confidence=confidence),
        lambda: rg.sample_size_curve(normal(30, 3), sizes=[20], confidence=confidence),
    ):
        with pytest.raises(ValueError, match="`confidence` must lie between 0 and 1"):
            call()


@pytest.mark.parametrize(
    "measure", ["rankme", "", "EFFECTIVE_RANK", "n_components_00", "n_components_9", "n_components_100", None, 5]
)
def test_unknown_measures_are_refused_with_those_that_are_known(measure):
    for call in (rg.estimate, rg.influence, rg.sample_size_curve, lambda x, m: rg.compare(x, x, m)):
        with pytest.raises(ValueError, match="`measure` must be one of effective_rank,"):
            call(normal(30, 3), measure)


def test_a_list_of_measures_is_refused_in_words():
    with pytest.raises((ValueError, TypeError), match="`measure` must be"):
        rg.estimate(normal(30, 3), ["effective_rank"])


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (normal(3, 5), ValueError, "3 rows .* at least 4"),
        (np.ones((20, 3)), ValueError, "zero variance"),
        (np.zeros((20, 3)), ValueError, "zero variance"),
        (np.where(np.eye(20, 3) == 1, np.nan, 1.0), ValueError, "3 non-finite values; the first is nan at row 0"),
        (np.where(np.eye(20, 3) == 1, np.inf, 1.0), ValueError, "3 non-finite values; the first is inf at row 0"),
        (normal(20, 12).reshape(2, 10, 12), ValueError, "must be one array of n_samples x n_features"),
        (normal(20, 2) + 1j, TypeError, "is complex"),
        (np.ma.masked_less(normal(20, 2), 0), TypeError, "masked"),
        ("nowhere.npy", FileNotFoundError, "nowhere.npy"),
    ],
)
def test_what_cannot_be_estimated_is_refused(x, error, words):
    for call in (rg.estimate, lambda x: rg.compare(normal(20, 3), x)):
        with pytest.raises(error, match=words):
            call(x)


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


@pytest.mark.gpu
def test_a_gpu_reads_as_the_cpu_does(device):
    x = torch.tensor(gaussian(np.random.default_rng(10), 5000, power(64, 0.5)))
    here, there = rg.estimate(x), rg.estimate(x.to(device))
    assert (there.value, there.low, there.high) == pytest.approx((here.value, here.low, here.high), rel=1e-6)
    assert rg.influence(x.to(device)).device.type == device


def test_an_estimate_prints_in_one_line():
    e = rg.estimate(gaussian(np.random.default_rng(22), 300, np.ones(4)))
    assert (
        str(e)
        == f"{e.value:.4g} (95 % interval {e.low:.4g} to {e.high:.4g}; these 300 rows alone read {e.in_these_rows:.4g})"
    )
    assert "no interval" in str(rg.estimate(gaussian(np.random.default_rng(22), 10, np.ones(4))))
