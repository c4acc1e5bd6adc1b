"""Values of the population and their intervals: planted populations, closed forms, invariances, and the audit's forms."""

import html as markup
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.cli.main import main
from repgeom.data.arrays import CHUNK_VALUES
from repgeom.presenting.page import html
from repgeom.presenting.text import estimated, table

SMOOTH = ["effective_rank", "effective_rank_sigma", "participation_ratio"]
MEASURES = [*SMOOTH, "stable_rank", "n_components_90"]
PLAIN = {
    "effective_rank": rg.effective_rank,
    "effective_rank_sigma": lambda x: rg.effective_rank(x, of="singular_values"),
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
    "n_components_90": rg.n_components,
}


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def decaying(n, d, power=0.5, seed=0):
    """Standard deviations i^-power."""
    return normal(n, d, seed) * np.arange(1, d + 1) ** -float(power)


def rank_one(n, d, seed=0):
    return normal(n, 1, seed) * np.arange(1.0, d + 1)


def rotation(d, seed=9):
    return np.linalg.qr(normal(d, d, seed))[0]


def population_value(deviations, measure):
    v = np.asarray(deviations, float) ** 2
    q = {"effective_rank": v, "effective_rank_sigma": v**0.5}.get(measure)
    if q is not None:
        q = q / q.sum()
        return float(np.exp(-(q * np.log(q)).sum()))
    return float(v.sum() ** 2 / (v**2).sum()) if measure == "participation_ratio" else float(v.sum() / v.max())


def numbers(e):
    return np.array([np.nan if v is None else v for v in (e.value, e.naive, e.low, e.high, e.se)], float)


def assert_same(first, second, rtol=1e-9):
    np.testing.assert_allclose(numbers(first), numbers(second), rtol=rtol)
    assert (first.n, first.method) == (second.n, second.method)


def assert_sane(e, d):
    assert 1 <= e.value <= d
    assert 1 - 1e-12 <= e.naive <= d * (1 + 1e-12)
    assert (e.low is None) == (e.high is None) == (e.se is None)
    if e.low is None:
        assert "no interval: " in e.warnings[-1]
    else:
        assert 1 <= e.low <= e.value <= e.high <= d
        assert np.isfinite(e.se)
        assert e.se >= 0


# Planted populations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", SMOOTH)
@pytest.mark.parametrize(("n", "d"), [(2000, 20), (400, 100), (200, 200)])
def test_flat_population_reads_its_width(measure, n, d):
    e = rg.estimate(normal(n, d), measure)
    assert e.value == pytest.approx(d, rel=0.02)
    assert e.naive < e.value
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
        assert abs(bias) < abs(np.mean([e.naive for e in found]) / truth - 1)


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


# Agreement and invariances --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("n", "d"), [(300, 12), (40, 60)])
def test_naive_is_the_plain_function(measure, n, d):
    x = decaying(n, d) + 0.3
    assert rg.estimate(x, measure).naive == pytest.approx(PLAIN[measure](x), rel=1e-10)


def test_naive_follows_center_and_normalize():
    x = decaying(200, 10) + 1
    assert rg.estimate(x, center=False).naive == pytest.approx(rg.effective_rank(x, center=False), rel=1e-10)
    assert rg.estimate(x, normalize="l2").naive == pytest.approx(rg.effective_rank(x, normalize="l2"), rel=1e-10)


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
    assert e.warnings[0] == "100 rows repeat earlier ones and are taken for independent"
    assert "give `groups`" in e.warnings[1]
    np.testing.assert_allclose(rg.influence(path), rg.influence(x), atol=1e-4)


# Odd shapes and values ------------------------------------------------------------------------------------------------


def on_sphere(n, d):
    x = normal(n, d)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def with_a_huge_row(factor):
    x = normal(300, 10)
    x[7] *= factor
    return x


ODD = {
    "n = 4": normal(4, 3),
    "n = 4, one column": normal(4, 1),
    "n = 4, wide": normal(4, 50),
    "n < d": normal(40, 60),
    "n = d": normal(50, 50),
    "a huge row": with_a_huge_row(1e3),
    "an enormous row": with_a_huge_row(1e12),
    "one row differs": np.r_[np.zeros((99, 5)), np.ones((1, 5))],
    "two points": np.repeat(normal(2, 5), 100, 0),
    "sphere": on_sphere(300, 12),
    "one-hot": np.eye(8)[np.arange(200) % 8],
    "signs": np.random.default_rng(0).choice([-1.0, 1.0], (200, 3)),
    "Cauchy": np.random.default_rng(0).standard_cauchy((300, 8)),
    "Cauchy, n < d": np.random.default_rng(0).standard_cauchy((50, 80)),
    "steep": normal(200, 30) * 10.0 ** (-4 * np.arange(30)),
    "mostly zero rows": np.r_[normal(100, 5), np.zeros((200, 5))],
    "rank one, wide": rank_one(20, 60),
    "bytes": np.random.default_rng(0).integers(0, 255, (200, 9)).astype(np.uint8),
}


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
    assert rg.estimate(normal(400, 200)).low is not None
    assert rg.estimate(normal(398, 200)).low is None
    assert rg.estimate(normal(400, 100), "participation_ratio").low is not None
    assert rg.estimate(normal(398, 100), "participation_ratio").low is None
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
    e = rg.estimate(decaying(300, 12), confidence=0.9)
    assert np.log(e.high / e.low) / 2 == pytest.approx(1.65 * e.se / e.value, rel=0.005)


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


# Groups ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_rows_repeated_exactly_say_no_more_than_once(measure):
    x = decaying(300, 10, 0.6)
    once = rg.estimate(x, measure)
    for repeated in (np.repeat(x, 3, 0), np.tile(x, (3, 1)), (np.tile(x, (3, 1)) + 50).astype(np.float32)):
        _, copies = np.unique(repeated, axis=0, return_inverse=True)
        e = rg.estimate(repeated, measure, groups=copies)
        assert e.value == pytest.approx(once.value, rel=0.01)
        assert e.se == pytest.approx(once.se, rel=0.05)
        assert e.warnings == ()
        untold = rg.estimate(repeated, measure)
        assert untold.low is None
        assert untold.warnings[0] == "600 rows repeat earlier ones and are taken for independent"


@pytest.mark.parametrize("measure", SMOOTH)
def test_groups_of_copies_are_found_to_be_copies(measure):
    x, groups = decaying(300, 10, 0.6), np.repeat(np.arange(300), 3)
    told = rg.estimate(np.repeat(x, 3, 0), measure, groups=groups)
    assert told.se == pytest.approx(rg.estimate(x, measure).se, rel=0.05)


def likenesses(n_groups, size, seed=0, d=10):
    """Rows of a group share most of what they are; effective rank d."""
    random = np.random.default_rng(seed)
    shared = np.repeat(random.standard_normal((n_groups, d)), size, 0)
    return 0.9 * shared + 0.19**0.5 * random.standard_normal((n_groups * size, d))


def test_groups_of_alike_rows_widen_the_interval_and_strangers_do_not():
    x, groups = likenesses(200, 5) * np.arange(1, 11) ** -0.5, np.repeat(np.arange(200), 5)
    alone, together = rg.estimate(x), rg.estimate(x, groups=groups)
    assert together.se > 1.4 * alone.se
    strangers = rg.estimate(x, groups=np.tile(np.arange(200), 5))
    assert strangers.se == pytest.approx(alone.se, rel=0.2)


def test_groups_of_any_kind_and_order_read_alike():
    x, codes = likenesses(150, 2), np.repeat(np.arange(150), 2)
    wanted = rg.estimate(x, groups=codes)
    other = np.random.default_rng(0).permutation(150)[codes]
    for groups in (
        codes.tolist(),
        [f"clip {i}" for i in codes],
        torch.tensor(codes),
        codes[:, None],
        other,
        codes * 1.0,
    ):
        assert_same(wanted, rg.estimate(x, groups=groups), 1e-9)
    order = np.random.default_rng(1).permutation(300)
    assert_same(wanted, rg.estimate(x[order], groups=codes[order]), 1e-9)


def test_one_group_has_no_interval():
    e = rg.estimate(normal(300, 5), groups=["a"] * 300)
    assert e.low is None
    assert "and it needs 100" in e.warnings[-1]


@pytest.mark.parametrize("measure", ["effective_rank", "effective_rank_sigma", "stable_rank"])
def test_groups_of_one_row_are_no_groups(measure):
    x = decaying(300, 10, 1)
    assert_same(rg.estimate(x, measure), rg.estimate(x, measure, groups=np.arange(300)))


def test_groups_of_one_row_are_no_groups_for_the_participation_ratio():
    x = decaying(300, 10, 0.6)
    none, single = (rg.estimate(x, "participation_ratio", groups=g) for g in (None, np.arange(300)))
    assert single.value == pytest.approx(none.value, rel=1e-6)


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        (np.arange(29), ValueError, "`groups` has 29 entries and `features` 30 rows"),
        ([], ValueError, "`groups` has 0 entries"),
        (np.full(30, np.nan), ValueError, "`groups` has 30 values that are not finite"),
        ([None] * 30, ValueError, "`groups` has 30 missing values"),
        (np.arange(30) / 7, ValueError, "different fractions"),
        (np.zeros((15, 2)), ValueError, "shape"),
        (np.zeros(30, complex), TypeError, "whole numbers or text"),
    ],
)
def test_groups_that_are_none_are_refused(groups, error, words):
    x = normal(30, 3)
    for call in (
        lambda: rg.estimate(x, groups=groups),
        lambda: rg.compare(x, x, groups=groups, paired=True),
        lambda: rg.compare(x, x, groups=(groups, None)),
        lambda: rg.audit(x, groups=groups),
    ):
        with pytest.raises(error, match=words):
            call()


# Influence ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_influence_is_what_leaving_a_row_out_does(measure):
    x, n = decaying(400, 8, 1) + 0.3, 400
    plain = PLAIN[measure]
    moved = np.array([plain(np.delete(x, i, 0)) for i in range(n)]) - plain(x)
    found = rg.influence(x, measure)
    assert np.corrcoef(found, -(n - 1) * moved)[0, 1] > 0.999
    np.testing.assert_allclose(found, -(n - 1) * moved, atol=0.05 * np.abs(found).max())


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"normalize": "l2"}])
def test_influence_has_mean_zero(measure, options):
    for name in ("n = 4", "n < d", "an enormous row", "one-hot", "rank one, wide"):
        found = rg.influence(ODD[name], measure, **options)
        assert found.shape == (len(ODD[name]),)
        assert found.dtype == np.float64
        assert abs(found.mean()) <= 1e-10 * max(1, np.abs(found).max())


def test_influence_is_a_tensor_for_a_tensor_only():
    x = torch.tensor(normal(30, 3), dtype=torch.float32)
    found = rg.influence(x)
    assert (type(found), found.dtype, found.device.type) == (torch.Tensor, torch.float64, "cpu")
    np.testing.assert_allclose(found.numpy(), rg.influence(x.numpy()), atol=1e-12)
    assert isinstance(rg.influence(x.tolist()), np.ndarray)


def test_influence_spread_is_the_standard_error_of_many_rows():
    x = decaying(20_000, 5, 1)
    for measure in SMOOTH:
        assert rg.influence(x, measure).std() / 20_000**0.5 == pytest.approx(rg.estimate(x, measure).se, rel=0.02)


# Comparisons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("measure", SMOOTH)
def test_swapping_turns_the_difference_round(paired, measure):
    a, b = decaying(400, 12), decaying(400, 8, 0.9)
    there, back = rg.compare(a, b, measure, paired=paired), rg.compare(b, a, measure, paired=paired)
    assert there.difference == pytest.approx(there.second.value - there.first.value)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert (back.ratio, back.ratio_low) == pytest.approx((1 / there.ratio, 1 / there.ratio_high))
    assert back.p_value == pytest.approx(there.p_value, rel=1e-6)
    assert there.ratio_low < there.ratio < there.ratio_high
    assert there.paired is paired


def test_pairing_narrows_what_rows_share_and_nothing_else():
    a = decaying(400, 12)
    b = a + 0.05 * normal(400, 12, 5)
    paired, apart = rg.compare(a, b, paired=True), rg.compare(a, b)
    assert paired.difference == apart.difference
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)
    shuffled = rg.compare(a, b[np.random.default_rng(0).permutation(400)], paired=True)
    assert shuffled.high - shuffled.low == pytest.approx(apart.high - apart.low, rel=0.1)


def test_the_same_features_do_not_differ():
    x = decaying(400, 12)
    paired, apart = rg.compare(x, x, paired=True), rg.compare(x, x)
    assert (paired.difference, paired.p_value) == (0, 1)
    assert -0.001 * paired.first.value < paired.low < 0 < paired.high < 0.001 * paired.first.value
    assert (apart.difference, apart.p_value) == (0, 1)
    assert apart.low < 0 < apart.high


def test_rotated_features_do_not_differ():
    x = decaying(600, 12)
    assert rg.compare(x, x @ rotation(12), paired=True).p_value > 0.05


@pytest.mark.parametrize("width", [1, 12])
def test_paired_with_collapsed_features(width):
    c = rg.compare(normal(600, 12), rank_one(600, width), paired=True)
    assert c.difference == pytest.approx(-11, rel=0.01)
    assert c.p_value < 1e-9


def test_unpaired_with_collapsed_features():
    c = rg.compare(normal(600, 12), rank_one(600, 12))
    assert c.difference == pytest.approx(-11, rel=0.01)
    assert c.p_value < 1e-9


def test_groups_count_in_both_directions():
    a, b, groups = decaying(600, 5), np.repeat(decaying(150, 5, seed=9), 4, 0), np.repeat(np.arange(150), 4)
    there, back = (rg.compare(*pair, paired=True, groups=groups) for pair in ((a, b), (b, a)))
    assert there.high - there.low == pytest.approx(back.high - back.low, rel=0.02)


def test_difference_of_numbers_of_components_is_that_of_the_estimates():
    c = rg.compare(normal(600, 12), decaying(600, 12), "n_components_90")
    assert c.difference == pytest.approx(c.second.value - c.first.value)


def test_comparison_without_interval_says_why_for_each():
    c = rg.compare(normal(20, 12), normal(400, 12, 1))
    assert (c.low, c.high, c.p_value, c.ratio_low, c.ratio_high) == (None,) * 5
    assert c.warnings
    assert all(w.startswith("a: ") for w in c.warnings)


def test_comparison_of_files_types_and_sizes(tmp_path):
    a, b = decaying(400, 12), decaying(300, 6)
    np.save(tmp_path / "a.npy", a)
    assert rg.compare(tmp_path / "a.npy", torch.tensor(b)) == rg.compare(a, b)
    with pytest.raises(ValueError, match="`a` has 400 rows and `b` 300"):
        rg.compare(a, b, paired=True)
    with pytest.raises(ValueError, match="`b` has 3 rows"):
        rg.compare(a, b[:3])


def test_groups_of_a_comparison():
    x, groups = likenesses(150, 4) * np.arange(1, 11) ** -0.5, np.repeat(np.arange(150), 4)
    y = likenesses(150, 4, seed=3) * np.arange(1, 11) ** -0.7
    for paired, given in ((True, groups), (False, (groups, groups)), (False, [groups, groups.tolist()])):
        c, alone = rg.compare(x, y, paired=paired, groups=given), rg.compare(x, y, paired=paired)
        assert_same(c.first, rg.estimate(x, groups=groups))
        assert c.high - c.low > 1.3 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="must be a pair"):
        rg.compare(x, y, groups=groups)


# Sample size ----------------------------------------------------------------------------------------------------------


def test_curve_ends_at_the_estimate_of_all_rows(tmp_path):
    x = decaying(200, 10)
    np.save(tmp_path / "x.npy", x)
    curve, e = rg.sample_size_curve(x, sizes=[200, 40, 40], draws=3), rg.estimate(x)
    assert list(curve.columns) == ["n_samples", "draw", "naive", "corrected", "low", "high"]
    assert curve.n_samples.tolist() == [40, 40, 40, 200]
    assert curve.draw.tolist() == [0, 1, 2, 0]
    assert curve.iloc[-1, 2:].tolist() == pytest.approx([e.naive, e.value, e.low, e.high])
    assert curve.low[:3].isna().all()
    assert curve.corrected.nunique() == 4
    assert curve.equals(rg.sample_size_curve(tmp_path / "x.npy", sizes=[200, 40], draws=3))
    assert not curve.equals(rg.sample_size_curve(x, sizes=[200, 40], draws=3, seed=1))


@pytest.mark.parametrize(("n", "first", "count"), [(16, 16, 1), (17, 16, 2), (200, 16, 10), (6400, 100, 10)])
def test_sizes_by_default(n, first, count):
    sizes = rg.sample_size_curve(normal(n, 2), draws=1).n_samples.unique()
    assert (sizes[0], sizes[-1], len(sizes)) == (first, n, count)


@pytest.mark.parametrize(("sizes", "draws"), [([3], 1), ([201], 1), ([], 1), ([-1], 1), ([20], 0)])
def test_sizes_and_draws_out_of_range_are_refused(sizes, draws):
    with pytest.raises(ValueError, match=r"`sizes` must be whole numbers between 4 and the 200 rows|`draws` must be"):
        rg.sample_size_curve(normal(200, 3), sizes=sizes, draws=draws)


@pytest.mark.parametrize(("sizes", "draws"), [([100.7], 1), (["a"], 1), ([20], 2.5), ([20], None)])
def test_sizes_and_draws_of_another_kind_are_refused_in_words(sizes, draws):
    with pytest.raises((ValueError, TypeError), match=r"`sizes`|`draws`"):
        rg.sample_size_curve(normal(200, 3), sizes=sizes, draws=draws)


def test_curve_is_drawn_by_its_means():
    curve = rg.sample_size_curve(normal(200, 5), sizes=[20, 200], draws=4)
    axes = plt.subplots(1, 2)[1]
    ax = rg.plot_sample_size_curve(curve, ax=axes[0])
    assert ax is axes[0]
    assert [line.get_label() for line in ax.lines] == ["corrected", "naive"]
    for line, column in zip(ax.lines, ("corrected", "naive"), strict=True):
        assert line.get_xdata().tolist() == [20, 200]
        assert line.get_ydata() == pytest.approx(curve.groupby("n_samples")[column].mean().to_numpy())
    rg.plot_sample_size_curve({"a": curve, "b": curve}, ax=axes[1])
    words = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert words == ["a: corrected", "a: naive", "b: corrected", "b: naive"]
    plt.close("all")


# Audits ---------------------------------------------------------------------------------------------------------------

AUDITED = {
    "healthy": normal(400, 12),
    "collapsed": normal(600, 12) * np.r_[1, np.full(11, 0.05)],
    "near a threshold": normal(150, 20) * np.exp(-1.2 * np.arange(20)),
    "wide": decaying(60, 100),
    "n = 2": normal(2, 3),
    "n = 3": normal(3, 3),
    "n = 4": normal(4, 3),
    "one column": normal(300, 1),
    "rank one": rank_one(300, 6),
    "repeats": np.repeat(normal(150, 10), 2, 0),
    "sphere": on_sphere(300, 20),
    "Cauchy": np.random.default_rng(0).standard_cauchy((300, 10)),
    "half": normal(300, 20).astype(np.float16),
    "huge": normal(300, 8) * 1e150,
    "tiny": normal(300, 8) * 1e-150,
}


@pytest.fixture(scope="module")
def reports():
    return {name: rg.audit(x, name=name) for name, x in AUDITED.items()}


@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_estimates_as_estimate_does(reports, name):
    for v in reports[name].values:
        if v.estimate is not None:
            assert_same(v.estimate, rg.estimate(AUDITED[name], v.name), 1e-6)
            assert v.estimate.naive == pytest.approx(v.value, rel=1e-9)
            assert_sane(v.estimate, AUDITED[name].shape[1])
    assert (reports[name]["effective_rank"].estimate is None) == (len(AUDITED[name]) < 4)


@pytest.mark.parametrize("name", AUDITED)
def test_dictionary_frame_text_and_page_say_the_same(reports, name):
    def refuse(constant):
        raise AssertionError(constant)

    r = reports[name]
    frame, text, page = r.to_frame(), str(r), markup.unescape(r.to_html())
    plain = json.loads(r.to_json(), parse_constant=refuse)
    assert plain == r.to_dict()
    for v in r.values:
        read, row = plain["measures"][v.name]["estimate"], frame.loc[v.name]
        if v.estimate is None:
            assert read is None
            assert row[["corrected", "low", "high"]].isna().all()
            continue
        assert [read[k] for k in ("value", "low", "high", "se")] == [
            getattr(v.estimate, k) for k in ("value", "low", "high", "se")
        ]
        np.testing.assert_array_equal(row[["corrected", "low", "high"]].astype(float), numbers(v.estimate)[[0, 2, 3]])
        words = estimated(v.estimate)
        assert ("[" in words) == (v.estimate.low is not None)
        assert re.search(rf"{re.escape(v.label)} +{re.escape(words)}", text)
        assert f'{v.label}</td><td class="n v">{words}</td>' in page


@pytest.mark.parametrize("name", AUDITED)
def test_a_threshold_is_crossed_where_the_whole_interval_lies_beyond(reports, name):
    for f in reports[name].findings:
        ends = [f.value] if f.low is None else [f.low, f.high]
        sign = 1 if f.worse == "above" else -1
        beyond = [level for level in ("warn", "fail") if getattr(f, level) is not None
                  and all(sign * end > sign * getattr(f, level) for end in ends)]  # fmt: skip
        assert f.level == ("fail" if "fail" in beyond else "warn" if beyond else "ok")
        assert min(ends) <= f.value <= max(ends)


def test_the_same_value_is_judged_by_how_sure_it_is():
    x = normal(3000, 20) * np.exp(-np.arange(20))
    share = next(f for f in rg.audit(x).findings if f.name == "rank_share")
    limit = (share.value + share.high) / 2  # above the value, inside the interval
    found = rg.audit(x, thresholds={"rank_share": (limit, None)}).findings
    doubted = next(f for f in found if f.name == "rank_share")
    assert doubted.level == "ok"
    assert "not sure enough for warn" in doubted.reason
    sure = rg.audit(x, thresholds={"rank_share": (share.high * 1.001, None)}).findings
    assert next(f for f in sure if f.name == "rank_share").level == "warn"


def test_groups_of_an_audit(tmp_path):
    x, codes = likenesses(150, 3), np.repeat(np.arange(150), 3)
    wanted = rg.estimate(x, groups=codes)
    np.save(tmp_path / "g.npy", codes)
    (tmp_path / "g.csv").write_text("clip\n" + "\n".join(f"clip {i}" for i in codes) + "\n")
    for groups in (codes, tmp_path / "g.npy", str(tmp_path / "g.csv"), [f"clip {i}" for i in codes]):
        assert_same(rg.audit(x, groups=groups)["effective_rank"].estimate, wanted, 1e-7)
    holed = np.insert(x, 7, np.nan, axis=0)
    dropped = rg.audit(holed, groups=np.insert(codes, 7, 999), drop_nonfinite=True)
    assert_same(dropped["effective_rank"].estimate, wanted, 1e-7)


def test_rank_retained_is_the_paired_comparison():
    x = normal(400, 12)
    student = x @ np.diag(np.arange(1, 13) ** -0.7)
    r, c = rg.audit(student, reference=x), rg.compare(x, student, paired=True)
    kept = r["rank_retained"].estimate
    assert (kept.value, kept.low, kept.high) == pytest.approx((c.ratio, c.ratio_low, c.ratio_high), rel=1e-6)
    assert kept.naive == pytest.approx(rg.effective_rank(student) / rg.effective_rank(x))
    assert_same(r["reference_effective_rank"].estimate, rg.estimate(x), 1e-7)
    f = next(f for f in r.findings if f.name == "rank_retained")
    assert (f.value, f.low, f.high) == (kept.value, kept.low, kept.high)


def test_reports_compare_by_row_where_they_have_as_many():
    x = decaying(400, 12)
    y = x + 0.1 * normal(400, 12, 4)
    first, second, short = rg.audit(x, name="one"), rg.audit(y, name="two"), rg.audit(y[:300], name="three")
    c = second.compare(first)
    wanted = rg.compare(x, y, paired=True)
    assert (c.difference, c.low, c.high) == pytest.approx((wanted.difference, wanted.low, wanted.high), rel=1e-5)
    assert c.paired
    assert not short.compare(first).paired
    assert rg.audit(normal(3, 3)).compare(first) is None
    text, page = table([first, second, short]), html([first, second, short])
    for words in ("Effective rank against one", "(row i of both taken for one sample)", "(not paired)"):
        assert words in text
        assert words in page


def test_reports_that_dropped_different_rows_are_not_paired_out_of_step():
    x = decaying(400, 10)
    first, second = (np.where(np.arange(400)[:, None] == row, np.nan, x) for row in (3, 300))
    c = rg.audit(second, drop_nonfinite=True).compare(rg.audit(first, drop_nonfinite=True))
    wide = rg.compare(x, x)
    assert not c.paired or c.high - c.low < 0.3 * (wide.high - wide.low)


def test_reports_of_which_one_knows_groups_compare_alike_both_ways():
    x, y = decaying(600, 10), likenesses(150, 4) * np.arange(1, 11) ** -0.7
    plain, grouped = rg.audit(x), rg.audit(y, groups=np.repeat(np.arange(150), 4))
    there, back = plain.compare(grouped), grouped.compare(plain)
    assert there.high - there.low == pytest.approx(back.high - back.low, rel=0.02)


@pytest.mark.parametrize("swapped", [False, True])
def test_collapsed_features_are_audited_against_a_reference(swapped):
    pair = [rank_one(300, 6), normal(300, 12)]
    x, reference = pair[::-1] if swapped else pair
    assert rg.audit(x, reference=reference).level in ("ok", "warn", "fail")


def test_collapsed_and_healthy_features_are_shown_side_by_side():
    assert "p < 0.0001" in table([rg.audit(normal(300, 6)), rg.audit(rank_one(300, 6))])


def test_command_line_with_groups_and_several_files(tmp_path, capsys):
    x, y = likenesses(150, 2), likenesses(150, 2, seed=1) * np.arange(1, 11) ** -0.5
    paths = [str(tmp_path / name) for name in ("x.npy", "y.npy", "g.npy")]
    for path, values in zip(paths, (x, y, np.repeat(np.arange(150), 2)), strict=True):
        np.save(path, values)
    assert main(["audit", *paths[:2], "--groups", paths[2]]) == 0
    out = capsys.readouterr().out
    assert estimated(rg.estimate(x, groups=np.repeat(np.arange(150), 2))) in out
    assert "Effective rank against" in out
    assert main(["audit", *paths[:2], "--reference", paths[0], "--groups", paths[2], "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["measures"]["rank_retained"]["estimate"]["value"] == 1


@pytest.mark.parametrize(
    "arguments", [["-"], ["/dev/stdin"], ["{x}", "--groups", "nowhere.csv"], ["{x}", "--groups", "{x}"]]
)
def test_command_line_errors_are_one_line(tmp_path, capsys, arguments):
    np.save(tmp_path / "x.npy", normal(30, 3))
    assert main(["audit", *(a.format(x=tmp_path / "x.npy") for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("repgeom: error: ")
    assert error.count("\n") == 1


# Simulations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", SMOOTH)
def test_intervals_hold_the_planted_value(measure):
    deviations, held, draws = np.arange(1, 21) ** -0.5, 0, 150
    truth = population_value(deviations, measure)
    for seed in range(draws):
        e = rg.estimate(normal(160, 20, seed) * deviations, measure)
        held += e.low <= truth <= e.high
    assert 0.90 * draws <= held <= 0.995 * draws


def test_intervals_of_groups_hold_the_planted_value():
    deviations, held, draws = np.arange(1, 11) ** -0.5, 0, 100
    truth, groups = population_value(deviations, "effective_rank"), np.repeat(np.arange(120), 4)
    for seed in range(draws):
        e = rg.estimate(likenesses(120, 4, seed) * deviations, groups=groups)
        held += e.low <= truth <= e.high
    assert held >= 0.88 * draws


@pytest.mark.parametrize("paired", [False, True])
def test_no_difference_is_rarely_found_where_there_is_none(paired):
    deviations, found, draws = np.arange(1, 11) ** -0.5, 0, 80
    for seed in range(draws):
        x = normal(200, 10, seed)
        y = 0.6 * x + 0.8 * normal(200, 10, 1000 + seed) if paired else normal(200, 10, 1000 + seed)
        found += rg.compare(x * deviations, y * deviations, paired=paired).p_value < 0.05
    assert found <= 0.12 * draws
