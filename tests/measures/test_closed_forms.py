"""Numbers that can be had exactly: baselines at small widths, robust spread, rounding, and both sides of each boundary."""

import math

import numpy as np
import pytest
from scipy.special import iv

import repgeom as rg

EPS = np.finfo(float).eps


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


# What isotropic or unrelated features read --------------------------------------------------------------------------

# E exp(4 cos θ) of two independent points on the sphere, in closed form.
ON_SPHERES = {
    1: math.cosh(4),
    2: iv(0, 4),
    3: math.sinh(4) / 4,
    4: iv(1, 4) / 2,
    5: 3 * iv(1.5, 4) * (math.pi / 2) ** 0.5 / 8,
}
# Mean length of standard normal rows.
MEAN_LENGTHS = {
    1: math.sqrt(2 / math.pi),
    2: math.sqrt(math.pi / 2),
    3: math.sqrt(8 / math.pi),
    4: 3 * math.sqrt(math.pi / 8),
}


@pytest.mark.parametrize("d", ON_SPHERES)
def test_uniformity_of_the_sphere(d):
    assert rg.audit(normal(40, d))["uniformity"].baseline == pytest.approx(-4 + math.log(ON_SPHERES[d]), rel=1e-12)


@pytest.mark.parametrize("d", MEAN_LENGTHS)
def test_spread_of_normal_lengths(d):
    mean = MEAN_LENGTHS[d]
    assert rg.audit(normal(40, d))["norm_cv"].baseline == pytest.approx(math.sqrt(d - mean**2) / mean, rel=1e-9)


@pytest.mark.parametrize(("n", "d", "k", "n_classes"), [(40, 5, 3, 4), (31, 7, 6, 2)])
def test_baselines_and_ranges_in_closed_form(n, d, k, n_classes):
    labels = np.arange(n) % n_classes
    labels[: n // 2] = 0
    report = rg.audit(normal(n, d), reference=normal(n, d, 1), labels=labels, k=k)
    majority = np.bincount(labels).max() / n
    baselines = {
        "mean_cosine": 0,
        "feature_std": d**-0.5,
        "between_class_variance": (n_classes - 1) / (n - 1),
        "knn_accuracy": majority,
        "mutual_knn": k / (n - 1),
        "captured_variance": min(10, d) / d,
        "linear_cka": 0,
        "cosine_alignment": 0,
    }
    assert {name: report[name].baseline for name in baselines} == pytest.approx(baselines, rel=1e-12)
    ranges = {
        "effective_rank": (1, d),
        "mean_cosine": (-1 / (n - 1), 1),
        "uniformity": (-8, 0),
        "feature_std": (0, d**-0.5),
        "between_class_variance": (0, 1),
        "linear_cka": (-1, 1),
        "procrustes_distance": (0, 2),
        "mutual_knn": (0, 1),
    }
    for name, (low, high) in ranges.items():
        assert report[name].range == pytest.approx((low, high), rel=1e-12), name


def test_participation_ratio_of_isotropic_rows():
    """E tr² / E tr of S² for Wishart matrices: d / (1 + (d + 1) / (n − 1)), but for the ratio of means."""
    for n, d in ((400, 40), (2000, 100)):
        found = rg.participation_ratio(rg.isotropic_baseline(np.zeros((n, d))))
        assert found == pytest.approx(d / (1 + (d + 1) / (n - 1)), rel=2e-3)


# Extreme lengths ----------------------------------------------------------------------------------------------------


def extremes(lengths):
    return rg.health(np.asarray(lengths, float)[:, None]).extreme_norms


@pytest.mark.parametrize(("above", "extreme"), [(14.82, 0), (14.83, 1)])
def test_extreme_is_ten_robust_deviations(above, extreme):
    """Median 20, median deviation 1: a standard deviation of 1.4826."""
    lengths = [19.0] * 49 + [20.0] * 3 + [21.0] * 49
    assert extremes([*lengths, 20 + above]) == extreme
    assert extremes([*lengths, 20 - above]) == extreme


@pytest.mark.parametrize(("above", "extreme"), [(0.0999, 0), (0.1001, 1)])
def test_equal_lengths_vary_by_a_thousandth_of_the_median_at_least(above, extreme):
    assert extremes([10.0] * 20 + [10 + above]) == extreme


def test_extremes_are_beyond_the_limit_not_on_it():
    lengths = [1000.0] * 20  # whose limit is 1000 ± 10, without rounding
    assert extremes([*lengths, 1010.0]) == extremes([*lengths, 990.0]) == 0
    assert extremes([0.0] * 20) == 0


def test_medians_of_even_and_odd_counts():
    assert rg.norms([[1.0], [2.0], [4.0], [9.0]]).median == 3
    assert rg.norms([[1.0], [2.0], [9.0]]).median == 2


@pytest.mark.parametrize("size", [1, 2, 7, 30])
def test_an_audit_in_pieces_reads_the_cloud_as_the_functions_do(size):
    x = normal(60, 4) * np.r_[np.full(30, 1e-3), np.full(30, 10.0)][:, None]
    x[3], x[40] = 0, x[41]
    report = rg.audit(x[i : i + size] for i in range(0, 60, size))
    lengths = np.linalg.norm(x, axis=1)
    assert report["norm_mean"].in_these_rows == pytest.approx(lengths.mean(), rel=1e-12)
    assert report["norm_cv"].in_these_rows == pytest.approx(lengths.std() / lengths.mean(), rel=1e-12)
    assert report["mean_cosine"].in_these_rows == pytest.approx(rg.mean_cosine(x), rel=1e-9)
    assert report["feature_std"].in_these_rows == pytest.approx(rg.feature_std(x), rel=1e-9)
    assert report.health == rg.health(x)


# Ranks that rest on the smallest singular values ----------------------------------------------------------------------


def steep(n=3000, d=24, decades=5.5):
    """float32 rows whose standard deviations fall by so many decades."""
    rotation = np.linalg.qr(normal(d, d, 1))[0]
    return ((normal(n, d) * np.logspace(0, -decades, d)) @ rotation).astype(np.float32)


def in_float64(x):
    rows = x.astype(float)
    return np.linalg.svd(rows - rows.mean(0), compute_uv=False)


@pytest.mark.parametrize("order", [0.1, 0.25, 0.5, 0.9, 0.999])
def test_orders_below_one_rest_on_an_exact_tail(order):
    x = steep()
    p = in_float64(x) ** 2
    p /= p.sum()
    assert rg.hill_number(x, order=order) == pytest.approx((p**order).sum() ** (1 / (1 - order)), rel=1e-6)


def test_sigma_entropy_and_condition_number_rest_on_an_exact_tail():
    x = steep()
    sigma = in_float64(x)
    q = sigma / sigma.sum()
    assert rg.effective_rank(x, of="singular_values") == pytest.approx(math.exp(-(q * np.log(q)).sum()), rel=1e-6)
    assert rg.condition_number(x) == pytest.approx(sigma[0] / sigma[-1], rel=1e-4)


def test_an_inexact_tail_is_refused_by_those_that_rest_on_it_and_no_others():
    s = rg.Spectrum(np.array([3.0, 2.0, 1.0]), 50, 3, exact_tail=False)
    rests = {
        "hill": lambda: rg.hill_number(s, order=0.99),
        "rank": lambda: rg.numerical_rank(s),
        "sigma": lambda: rg.effective_rank(s, of="singular_values"),
        "condition": lambda: rg.condition_number(s),
    }
    for read in rests.values():
        with pytest.raises(ValueError, match="may be rounding"):
            read()
    for order in (1, 1.01, 2, math.inf):
        assert rg.hill_number(s, order=order) > 1
    assert rg.effective_rank(s) == rg.hill_number(s, order=1)


# Rounding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(1000, 10), (10, 1000)])
def test_rounding_of_known_singular_values_is_that_of_numpy(n, d):
    limit = max(n, d) * EPS
    for factor, rank in ((1 - 1e-6, 1), (1 + 1e-6, 2)):
        s = rg.Spectrum.from_singular_values([7.0, 7 * limit * factor], n_samples=n, n_features=d)
        assert rg.numerical_rank(s) == rank


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e200])
def test_rounding_of_features_is_four_units_of_their_own_type(dtype, centered, scale):
    """4 ε rms(x) (√n + √d), with the mean part of x where it was subtracted."""
    n, d, mean = 400, 9, np.full(9, 2.0) * scale
    sigma = np.array([5.0, 4, 3]) * scale
    square = (sigma / scale) @ (sigma / scale) / (n * d) + centered * 4.0
    limit = 4 * float(np.finfo(dtype).eps) * math.sqrt(square) * scale * (n**0.5 + d**0.5)
    for factor, rank in ((1 - 1e-4, 3), (1 + 1e-4, 4)):
        s = rg.Spectrum(np.r_[sigma, limit * factor], n, d, mean, centered, dtype=dtype)
        assert rg.numerical_rank(s) == rank


@pytest.mark.parametrize("tolerance", [0.0, 0.25, 0.5])
def test_a_tolerance_is_a_share_that_must_be_exceeded(tolerance):
    s = rg.Spectrum.from_singular_values([4.0, 2.0, 1.0, 0.0])
    assert rg.numerical_rank(s, tolerance=tolerance) == {0.0: 3, 0.25: 2, 0.5: 1}[tolerance]
    for bad in (-1e-9, 1.0):
        with pytest.raises(ValueError, match="in \\[0, 1\\)"):
            rg.numerical_rank(s, tolerance=bad)


def test_condition_number_counts_as_many_values_as_can_vary():
    for n, values, wanted in ((3, [4.0, 2.0, 1e-30], 2), (4, [4.0, 2.0, 0.5], 8), (None, [4.0, 2.0, 0.5], 8)):
        s = rg.Spectrum(np.array(values), n, 3)
        assert rg.condition_number(s) == pytest.approx(wanted)
    raw = rg.Spectrum(np.array([4.0, 2.0, 0.5]), 3, 3, centered=False)
    assert rg.condition_number(raw) == pytest.approx(8)
    assert rg.condition_number(rg.Spectrum(np.array([4.0, 0.0]), 1, 2)) == 1


# Power laws and components --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "last"), [(1, 10), (1, 30), (5, 14), (21, 30)])
def test_a_power_law_takes_ten_directions(first, last):
    s = rg.Spectrum.from_variances(np.arange(1.0, 31) ** -1.2)
    fit = rg.power_law(s, first=first, last=last)
    assert (fit.exponent, fit.r_squared) == pytest.approx((1.2, 1.0), rel=1e-9)
    assert (fit.first, fit.last) == (first, last)
    for a, b in ((first, first + 8), (0, 30), (22, 30), (22, 99)):
        with pytest.raises(ValueError, match="at least 10 directions"):
            rg.power_law(s, first=a, last=b)


def test_a_power_law_is_the_weighted_least_squares_of_its_formula():
    v = np.sort(np.random.default_rng(0).uniform(0.1, 5, 60))[::-1] * np.arange(1, 61) ** -0.8
    fit = rg.power_law(rg.Spectrum.from_variances(v), first=4, last=50)
    v = np.sort(v)[::-1][3:50]
    i = np.arange(4, 51)
    slope, at = np.polyfit(np.log(i), np.log(v), 1, w=i**-0.5)
    left = np.log(v) - slope * np.log(i) - at
    total = np.log(v) - np.average(np.log(v), weights=1 / i)
    assert fit.exponent == pytest.approx(-slope, rel=1e-9)
    assert fit.r_squared == pytest.approx(1 - (left**2 / i).sum() / (total**2 / i).sum(), rel=1e-9)


def test_a_flat_spectrum_has_exponent_zero_and_fits():
    fit = rg.power_law(rg.Spectrum.from_variances(np.ones(20)), first=1)
    assert (fit.exponent, fit.r_squared) == pytest.approx((0, 1), abs=1e-12)


def test_directions_that_do_not_vary_end_a_power_law():
    v = np.r_[np.arange(1.0, 21) ** -1.0, np.zeros(9)]
    assert rg.power_law(rg.Spectrum.from_variances(v), first=1).last == 20


@pytest.mark.parametrize(("share", "k"), [(0.5, 1), (0.5 + 1e-9, 2), (0.8, 2), (0.8 + 1e-9, 3), (1.0, 3)])
def test_components_reach_their_share_exactly(share, k):
    assert rg.n_components(rg.Spectrum.from_variances([5.0, 3.0, 2.0]), variance=share) == k


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.0 + 1e-9])
def test_a_share_outside_its_range_is_refused(bad):
    with pytest.raises(ValueError, match="in \\(0, 1\\]"):
        rg.n_components(rg.Spectrum.from_variances([5.0, 3.0, 2.0]), variance=bad)


def test_hill_numbers_by_hand():
    s = rg.Spectrum.from_variances([2.0, 1.0, 1.0, 0.0])
    for order, value in ((0, 3), (0.5, (math.sqrt(0.5) + 1) ** 2), (2, 8 / 3), (3, 0.15625**-0.5), (math.inf, 2)):
        assert rg.hill_number(s, order=order) == pytest.approx(value, rel=1e-12)
    batch = rg.Spectrum(np.array([[3.0, 1.0], [1.0, 1.0]]), None, 2)
    assert rg.hill_number(batch, order=2) == pytest.approx([100 / 82, 2])
    assert rg.effective_rank(batch) == pytest.approx([math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1)), 2])


STACKED = {
    "rankme": rg.rankme,
    "effective rank": rg.effective_rank,
    "of sigma": lambda x: rg.effective_rank(x, of="singular_values"),
    "order 0.5": lambda x: rg.hill_number(x, order=0.5),
    "stable rank": rg.stable_rank,
    "rank": rg.numerical_rank,
    "condition": rg.condition_number,
    "components": rg.n_components,
    "exponent": lambda x: rg.power_law(x, first=2).exponent,
    "fit": lambda x: rg.power_law(x, first=2).r_squared,
}


@pytest.mark.parametrize("name", STACKED)
def test_a_stack_reads_as_its_parts(name):
    x = np.stack([normal(40, 16, i) * np.arange(1, 17) ** (-i / 2) for i in range(3)])
    assert STACKED[name](x) == pytest.approx([STACKED[name](part) for part in x], rel=1e-9)


def test_components_are_of_nine_tenths_unless_told_otherwise():
    s = rg.Spectrum.from_variances([0.82, 0.07, 0.06, 0.05])
    assert rg.n_components(s) == rg.n_components(s, variance=0.9) == 3


def test_rankme_of_centred_values_is_refused_by_its_own_name():
    with pytest.raises(ValueError, match="RankMe is defined on features that are not centred"):
        rg.rankme(rg.spectrum(normal(30, 4)))


# Classes and pairs ----------------------------------------------------------------------------------------------------


def test_classes_of_two_rows_have_no_share_and_of_three_have():
    x = normal(9, 5)
    ranks = rg.class_effective_rank(x, [0, 0, 1, 1, 1, 2, 2, 2, 2])
    assert ranks.baseline[0] == ranks.effective_rank[0] == 1
    assert 1 < ranks.baseline[1] < 2 < ranks.baseline[2] < 3
    assert np.isnan(ranks.share).tolist() == [True, False, False]
    assert ranks.share[1] == pytest.approx((ranks.effective_rank[1] - 1) / (ranks.baseline[1] - 1))
    column = rg.class_effective_rank(x[:, :1], [0] * 4 + [1] * 5)
    assert np.isnan(column.share).all()


def test_large_classes_are_read_from_sixteen_rows_a_feature_drawn_with_seed_0():
    x = normal(70, 2)
    for size, read in ((32, 32), (33, 32)):
        ranks = rg.class_effective_rank(x, np.arange(70) >= size)
        assert ranks.n_samples.tolist() == [read, 32]
    first, again = (rg.class_effective_rank(x, np.zeros(70), **seed) for seed in ({}, {"seed": 0}))
    assert first.effective_rank == again.effective_rank


def test_shares_never_fall_below_zero():
    x = np.r_[np.full((4, 3), 2.0), normal(8, 3)]
    ranks = rg.class_effective_rank(x, [0] * 4 + [1] * 8)
    assert (ranks.effective_rank[0], ranks.share[0]) == (0, 0)


@pytest.mark.parametrize(("n", "m", "d", "most"), [(6, 9, 12, 5), (9, 6, 12, 5), (9, 9, 4, 4)])
def test_as_many_angles_as_either_has_directions(n, m, d, most):
    x, y = normal(n, d), normal(m, d, 1)
    found = rg.principal_angles(x, y, k=most)
    assert found.shape == (most,)
    bases = [np.linalg.svd(z - z.mean(0), full_matrices=False)[2][:most] for z in (x, y)]
    assert np.cos(found) == pytest.approx(np.linalg.svd(bases[0] @ bases[1].T, compute_uv=False).clip(max=1), abs=1e-7)
    with pytest.raises(ValueError, match=f"from 1 to {most} here"):
        rg.principal_angles(x, y, k=most + 1)


def test_angles_across_widths_are_refused_by_name():
    with pytest.raises(ValueError, match=r"`features` has 3 columns and `reference` 4 .*For different widths use"):
        rg.principal_angles(normal(9, 3), normal(9, 4), k=1)


def test_angles_small_and_large_keep_their_digits():
    for angle in (1e-9, 1e-3, math.pi / 4 - 1e-3, math.pi / 4 + 1e-3, math.pi / 2 - 1e-9):
        x = np.diag([5.0, 1e-3, 1e-4])
        x = np.r_[x, -x]
        turn = np.eye(3)
        turn[:2, :2] = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        assert rg.principal_angles(x, x @ turn, k=1) == pytest.approx([angle], rel=1e-6)


def test_directions_that_do_not_vary_have_no_angles():
    x = normal(20, 4)
    with pytest.raises(ValueError, match="varies along 2 directions only, so there are no 3 leading ones"):
        rg.principal_angles(x, np.c_[x[:, :2], np.zeros((20, 2))], k=3)
    assert rg.principal_angles(x, np.c_[x[:, :2], np.zeros((20, 2))], k=2).shape == (2,)


def test_debiased_cka_by_its_kernels():
    """Song et al. (2012): kernels without their diagonal."""
    x, y = normal(12, 3), normal(12, 5, 1)
    x[:, 0] += y[:, 0]

    def hsic(a, b):
        k, m = (z @ z.T * (1 - np.eye(12)) for z in (a, b))
        ones = np.ones(12)
        first = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / (11 * 10) - 2 * (ones @ k @ m @ ones) / 10
        return first / (12 * 9)

    for a, b in ((x, y), (x, normal(12, 20, 2)), (x, -x)):
        wanted = hsic(a, b) / math.sqrt(hsic(a, a) * hsic(b, b))
        assert rg.linear_cka(a, b) == pytest.approx(wanted, rel=1e-9)
    assert rg.linear_cka(x[:4], y[:4]) == pytest.approx(rg.linear_cka(5 * x[:4], y[:4]))


@pytest.mark.parametrize("n", [4, 5, 6, 20, 300])
def test_rows_equally_far_apart_leave_nothing_to_align(n):
    simplex, other = np.eye(n), normal(n, 3)
    for pair in ((simplex, other), (other, simplex), (simplex, simplex)):
        with pytest.warns(UserWarning, match="equally far apart"):
            assert math.isnan(rg.linear_cka(*pair))
        assert not math.isnan(rg.linear_cka(*pair, debiased=False))
