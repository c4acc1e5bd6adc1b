"""How variances fall off: counts of directions, the condition number and the power law, and what rounding hides."""

import numpy as np
import pytest

import repgeom as rg


def of_variances(values):
    return rg.Spectrum.from_variances(np.asarray(values, dtype=float))


# --- slow definitions, which test_registry.py holds every measure against --------------------------------------------


def sigma_of(x):
    rows = x - x.mean(0)
    return np.linalg.svd(rows - rows.mean(0), compute_uv=False)[: max(1, min(len(x) - 1, x.shape[1]))]


def slow_n_components(x, share):
    held = 0.0
    variances = sigma_of(x) ** 2
    for k, variance in enumerate(variances, 1):
        held += variance
        if held >= share * variances.sum() * (1 - 1e-12):
            return k
    raise AssertionError


def slow_n_components_90(x):
    return slow_n_components(x, 0.9)


def slow_n_components_99(x):
    return slow_n_components(x, 0.99)


def rounding(x):
    (n, d), eps = x.shape, np.finfo(float).eps
    return max(4 * eps * np.sqrt((x**2).mean()) * (n**0.5 + d**0.5), max(n, d) * eps * sigma_of(x)[0])


def slow_numerical_rank(x):
    return sum(sigma > rounding(x) for sigma in sigma_of(x))


def slow_condition_number(x):
    sigma = sigma_of(x)
    return sigma[0] / sigma[-1] if sigma[-1] > rounding(x) else np.inf


def power_law_of(x):
    """Exponent and R² by weighted least squares; None where fewer than 20 directions vary."""
    last = min(100, slow_numerical_rank(x))
    if last < 20:
        return None
    i = np.arange(11, last + 1)
    y = np.log(sigma_of(x)[10:last] ** 2)
    slope, level = np.polyfit(np.log(i), y, 1, w=i**-0.5)
    left, total = (
        np.average((y - z) ** 2, weights=1 / i) for z in (slope * np.log(i) + level, np.average(y, weights=1 / i))
    )
    return -slope, 1 - left / total


def slow_power_law_exponent(x):
    return power_law_of(x) and power_law_of(x)[0]


def slow_power_law_r_squared(x):
    return power_law_of(x) and power_law_of(x)[1]


# --- counting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("mean", [0, 100])
def test_numerical_rank_sees_through_the_rounding_of_its_dtype(dtype, mean):
    x = rg.testing.features_with_spectrum([1.0] * 5, 2000, n_features=30) * 2000**0.5
    assert rg.numerical_rank((x + mean).astype(dtype)) == 5


def test_numerical_rank_tolerance():
    s = rg.Spectrum.from_singular_values([1.0, 1e-3, 1e-6])
    assert [rg.numerical_rank(s, tolerance=t) for t in (0, 1e-5, 0.5)] == [3, 2, 1]
    with pytest.raises(ValueError, match=r"in \[0, 1\); got 1"):
        rg.numerical_rank(s, tolerance=1)


def test_centring_costs_one_rank(rng):
    assert rg.numerical_rank(rng.standard_normal((10, 30))) == 9
    assert rg.numerical_rank(rng.standard_normal((10, 30)), center=False) == 10


def test_condition_number_is_infinite_only_for_rounding(rng):
    x = rng.standard_normal((100, 6))
    assert rg.condition_number(x) == pytest.approx(np.linalg.cond(x - x.mean(0)), rel=1e-9)
    assert rg.condition_number(x[:4]) == pytest.approx(
        np.divide(*np.linalg.svd(x[:4] - x[:4].mean(0), compute_uv=False)[[0, 2]]), rel=1e-9
    )
    assert rg.condition_number(np.c_[x, x[:, 0]]) == float("inf")


def test_n_components_counts_nine_tenths_exactly():
    s = of_variances([0.1] * 10)
    assert [rg.n_components(s, variance=v) for v in (0.05, 0.1, 0.9, 0.91, 1.0)] == [1, 1, 9, 10, 10]


# --- power law ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_power_law_on_samples(alpha):
    x = np.random.default_rng(0).standard_normal((4000, 256)) * np.arange(1, 257) ** (-alpha / 2)
    assert rg.power_law(x, first=10).exponent == pytest.approx(alpha, rel=0.07)


def test_power_law_r_squared_tells_an_exponential_apart():
    i = np.arange(1.0, 201)
    assert rg.power_law(of_variances(i**-1.0)).r_squared == pytest.approx(1)
    assert rg.power_law(of_variances(np.exp(-i / 10))).r_squared < 0.95


def test_power_law_needs_a_range():
    with pytest.raises(ValueError, match="directions 11 to 15 of 15"):
        rg.power_law(of_variances(np.ones(15)))
    fit = rg.power_law(np.random.default_rng(0).standard_normal((30, 80)))
    assert (fit.first, fit.last) == (11, 29)
