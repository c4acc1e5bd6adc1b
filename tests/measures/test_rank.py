"""The spectral family: closed forms, inequalities, finite-sample facts, refusals."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from conftest import oracle, shannon
from hypothesis import given, settings
from hypothesis import strategies as st

import repgeom as rg


def of_variances(values):
    return rg.Spectrum.from_variances(np.asarray(values, dtype=float))


# --- slow definitions, which test_registry.py holds every measure against --------------------------------------------


def sigma_of(x):
    rows = x - x.mean(0)
    return np.linalg.svd(rows - rows.mean(0), compute_uv=False)[: max(1, min(len(x) - 1, x.shape[1]))]


def slow_effective_rank(x):
    return shannon(sigma_of(x) ** 2 / (sigma_of(x) ** 2).sum())


def slow_effective_rank_sigma(x):
    return shannon(sigma_of(x) / sigma_of(x).sum())


def slow_rankme(x):
    sigma = np.linalg.svd(x, compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    return np.exp(-(p * np.log(p)).sum())


def slow_participation_ratio(x):
    covariance = np.cov(x.T)
    return np.trace(covariance) ** 2 / np.trace(covariance @ covariance)


def slow_stable_rank(x):
    covariance = np.cov(x.T)
    return np.trace(covariance) / np.linalg.eigvalsh(covariance)[-1]


@pytest.mark.parametrize("k", [1, 2, 7, 64])
def test_k_equal_directions_read_k_whatever_the_order(k):
    s = of_variances([2.0] * k + [0.0] * 5)
    for order in (0, 0.5, 1, 1.5, 2, 10, float("inf")):
        assert rg.hill_number(s, order=order) == pytest.approx(k, rel=1e-12)
    assert rg.effective_rank(s, of="singular_values") == pytest.approx(k, rel=1e-12)
    assert rg.n_components(s, variance=1.0) == k


@pytest.mark.parametrize(
    ("exponent", "read", "value"),
    [
        (1, rg.effective_rank, 117.23),
        (1, lambda s: rg.effective_rank(s, of="singular_values"), 409.55),
        (2, lambda s: rg.effective_rank(s, of="singular_values"), 117.23),
        (2, rg.participation_ratio, 2.494),
        (1, rg.stable_rank, 6.8165),
        (1, lambda s: rg.n_components(s, variance=0.9), 259),
    ],
)
def test_power_laws_of_512_directions(exponent, read, value):
    assert read(of_variances(np.arange(1.0, 513) ** -exponent)) == pytest.approx(value, rel=1e-3)


def test_geometric_spectrum_in_closed_form():
    r = 0.5
    s = of_variances(r ** np.arange(60))
    entropy = -np.log(1 - r) - r * np.log(r) / (1 - r)
    assert np.log(rg.effective_rank(s)) == pytest.approx(entropy, rel=1e-12)
    assert rg.participation_ratio(s) == pytest.approx((1 + r) / (1 - r), rel=1e-12)
    assert rg.stable_rank(s) == pytest.approx(1 / (1 - r), rel=1e-12)


positive = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda v: max(v) > 1e-3)


@settings(max_examples=200, deadline=None)
@given(positive)
def test_the_family_is_ordered_for_every_spectrum(variances):
    s = of_variances(variances)
    family = [
        1.0,
        rg.stable_rank(s),
        rg.participation_ratio(s),
        rg.effective_rank(s),
        rg.effective_rank(s, of="singular_values"),
        float((np.asarray(variances) > 0).sum()),
    ]
    assert all(low <= high * (1 + 1e-12) for low, high in itertools.pairwise(family))


@settings(max_examples=50, deadline=None)
@given(positive, st.floats(0.1, 5), st.floats(0.1, 5))
def test_hill_numbers_never_rise_with_the_order(variances, a, b):
    s = of_variances(variances)
    low, high = sorted((a, b))
    assert rg.hill_number(s, order=high) <= rg.hill_number(s, order=low) * (1 + 1e-9)


def test_hill_number_next_to_order_one_is_the_effective_rank():
    s = of_variances([5.0, 3.0, 1.0])
    for order in (1 - 1e-6, 1 + 1e-6):
        assert rg.hill_number(s, order=order) == pytest.approx(rg.effective_rank(s), rel=1e-5)


def test_sigma_and_variances_are_told_apart():
    s = rg.Spectrum.from_singular_values([2.0, 1.0])
    assert rg.effective_rank(s) == pytest.approx(shannon(np.array([0.8, 0.2])))
    assert rg.effective_rank(s, of="singular_values") == pytest.approx(shannon(np.array([2 / 3, 1 / 3])))


# --- RankMe ------------------------------------------------------------------------------------------------------


def test_rankme_is_the_published_formula(rng):
    x = rng.standard_normal((300, 20)) + 4
    sigma = np.linalg.svd(x, compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    assert rg.rankme(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-12)
    assert rg.rankme(x) < rg.effective_rank(x, of="singular_values") - 1  # the mean pulls it down


def test_rankme_of_rank_one_shows_its_epsilon():
    x = np.outer(np.arange(1, 601), np.ones(256)).astype(np.float32)
    p = np.array([1 + 1e-7] + [1e-7] * 255)
    assert rg.rankme(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-9)
    assert rg.rankme(x) > 1.0004


@pytest.mark.parametrize(("eps", "read"), [(0, 281.36), (1e-12, 281.36), (1e-7, 281.81), (1e-5, 329.36)])
def test_rankme_with_another_epsilon_is_another_number(eps, read):
    sigma = np.arange(1, 2049.0) ** -1
    s = dataclasses.replace(rg.Spectrum.from_singular_values(sigma), centered=False)
    p = sigma / sigma.sum() + eps
    assert rg.rankme(s, eps=eps) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-12)
    assert rg.rankme(s, eps=eps) == pytest.approx(read, abs=0.01)


def test_rankme_without_epsilon_is_the_exp_entropy_of_rows_as_they_are(rng):
    x = rng.standard_normal((50, 6)) + 1
    assert rg.rankme(x, eps=0) == rg.effective_rank(x, of="singular_values", center=False)


@pytest.mark.parametrize("eps", [-1e-9, float("nan"), float("inf")])
def test_rankme_refuses_an_epsilon_that_is_none(eps):
    with pytest.raises(ValueError, match=r"`eps` must be a finite number of at least 0, 1e-7 as published; got"):
        rg.rankme(np.eye(3), eps=eps)


def test_rankme_refuses_a_centred_spectrum(rng):
    x = rng.standard_normal((30, 4))
    with pytest.raises(ValueError, match="center=False"):
        rg.rankme(rg.spectrum(x))
    assert rg.rankme(rg.spectrum(x, center=False)) == pytest.approx(rg.rankme(x), rel=1e-12)


# --- finite samples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "rankme", "effective", "ratio", "stable"),
    [(512, 512, 411, 310, 255, 130), (1024, 768, 672.5, 527, 438, 223), (10_000, 768, 760, 739, 713, 473)],
)
def test_isotropic_baseline_against_known_values(n, d, rankme, effective, ratio, stable):
    s = rg.isotropic_baseline(rg.Spectrum.from_variances(np.ones(min(n, d)), n_samples=n, n_features=d))
    assert rg.effective_rank(s, of="singular_values") == pytest.approx(rankme, rel=0.005)
    assert rg.effective_rank(s) == pytest.approx(effective, rel=0.005)
    assert rg.participation_ratio(s) == pytest.approx(ratio, rel=0.005)
    assert rg.stable_rank(s) == pytest.approx(stable, rel=0.02)


@pytest.mark.parametrize(("n", "d"), [(100, 400), (2000, 300), (65, 100), (9, 4), (5, 30), (200_000, 3), (2, 7)])
def test_isotropic_baseline_against_draws(n, d):
    rng = np.random.default_rng(1)
    draws = [rng.standard_normal((min(n, 20_000), d)) for _ in range(3 if n * d > 1e4 else 200)]
    found = rg.isotropic_baseline(np.zeros((n, d)))
    assert found.singular_values.shape == (min(n, d),)
    for read in (rg.effective_rank, rg.participation_ratio):
        assert read(found) == pytest.approx(np.mean([read(x) for x in draws]), rel=0.05 if n < 20 else 0.01)


def test_isotropic_baseline_needs_n():
    with pytest.raises(ValueError, match="does not know its n_samples"):
        rg.isotropic_baseline(of_variances([1.0, 2.0]))


# --- refusals ----------------------------------------------------------------------------------------------------


def test_no_variance_is_refused_with_its_place():
    with pytest.raises(ValueError, match="zero variance: all 5 rows are equal"):
        rg.effective_rank(np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"zero variance in batch \(1,\)"):
        rg.effective_rank(np.stack([np.eye(4), np.ones((4, 4))]))
    with pytest.raises(ValueError, match="zero variance"):
        rg.participation_ratio(np.full((50, 3), 0.1, dtype=np.float32))


def test_arguments_out_of_range(rng):
    x = rng.standard_normal((10, 3))
    with pytest.raises(ValueError, match=r"got 'sigma'"):
        rg.effective_rank(x, of="sigma")
    with pytest.raises(ValueError, match="got 'L2'"):
        rg.effective_rank(x, normalize="L2")
    with pytest.raises(ValueError, match="got -1"):
        rg.hill_number(x, order=-1)
    with pytest.raises(ValueError, match="got nan"):
        rg.hill_number(x, order=float("nan"))
    with pytest.raises(ValueError, match=r"in \(0, 1\]; got 90"):
        rg.n_components(x, variance=90)


def test_a_spectrum_cannot_be_normalised_afterwards(rng):
    s = rg.spectrum(rng.standard_normal((10, 3)))
    with pytest.raises(ValueError, match="made with center=True, normalize=None; `center=True, normalize='l2'`"):
        rg.effective_rank(s, normalize="l2")
    with pytest.raises(ValueError, match="center=False"):
        rg.effective_rank(s, center=False)


def test_one_decomposition_many_readings_equal_the_one_liners(rng):
    x = torch.tensor(rng.standard_normal((50, 8)))
    s = rg.spectrum(x)
    for read in (rg.effective_rank, rg.participation_ratio, rg.numerical_rank, rg.condition_number, rg.n_components):
        assert float(read(s)) == pytest.approx(float(read(x)), rel=1e-12)
    assert rg.effective_rank(s).item() == pytest.approx(oracle(x)["effective_rank"], rel=1e-12)


@pytest.mark.parametrize(
    ("sigma", "n", "message"),
    [([1.0, 1.0], 2, "at most 1"), ([1.0, -1.0], 9, "min -1.0"), ([[1.0]], 9, r"shape \(1, 1\)")],
)
def test_planted_features_that_cannot_be(sigma, n, message):
    with pytest.raises(ValueError, match=message):
        rg.testing.features_with_spectrum(sigma, n)


def test_planted_features_have_their_spectrum_and_their_mean():
    x = rg.testing.features_with_spectrum([5.0, 2.0], 40, n_features=6, mean=np.arange(6), seed=3)
    assert np.linalg.svd(x - x.mean(0), compute_uv=False)[:2] == pytest.approx([5, 2], rel=1e-12)
    assert x.mean(0) == pytest.approx(np.arange(6), abs=1e-12)
    assert (x != rg.testing.features_with_spectrum([5.0, 2.0], 40, n_features=6, mean=np.arange(6), seed=4)).any()
