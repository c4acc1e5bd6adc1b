"""Edges that a fault can hide behind: scales at the ends of floats, sums of tiny features, samples without repeats."""

import numpy as np
import pytest

import repgeom as rg


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e200])
def test_values_at_the_ends_of_floats_read_as_others(scale):
    sigma = np.array([4.0, 2.0, 1.0])
    plain, scaled = rg.Spectrum.from_singular_values(sigma), rg.Spectrum.from_singular_values(sigma * scale)
    for read in (rg.effective_rank, rg.participation_ratio, rg.stable_rank, rg.n_components, rg.condition_number):
        assert read(scaled) == pytest.approx(read(plain), rel=1e-12)
    for order in (0, 0.5, 3):
        assert rg.hill_number(scaled, order=order) == pytest.approx(rg.hill_number(plain, order=order), rel=1e-12)


def test_leading_variances_can_be_read_where_the_tail_is_rounding():
    sigma = np.arange(40.0, 0, -1)
    inexact, exact = (rg.Spectrum(sigma, 90, 40, exact_tail=known) for known in (False, True))
    for read in (rg.participation_ratio, rg.stable_rank, rg.n_components, lambda s: rg.power_law(s).exponent):
        assert read(inexact) == read(exact)


def test_a_sample_of_a_class_holds_no_row_twice():
    x = normal(33, 2)
    found = rg.class_effective_rank(x, np.zeros(33)).effective_rank[0]
    possible = [rg.effective_rank(np.delete(x, row, 0)) for row in range(33)]
    assert np.abs(np.array(possible) - found).min() < 1e-12


def test_shares_between_classes_never_exceed_one():
    for seed in range(40):
        x = normal(9, 3, seed)
        assert rg.between_class_variance(x, range(9)) <= 1
        assert rg.between_class_variance(x[[0, 1, 2] * 3], [0, 1, 2] * 3) <= 1


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_audit_divides_tiny_variance_between_classes_too(scale):
    x, labels = normal(60, 4), np.arange(60) % 3
    found = rg.audit(x * scale, labels=labels)["between_class_variance"].value
    assert found == pytest.approx(rg.between_class_variance(x, labels), rel=1e-9)
