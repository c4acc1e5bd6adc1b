"""The linear probe does not depend on the units of its features, and says where its strengths end too early."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from repgeom.probes import fit_linear_probe

X, Y = load_digits(return_X_y=True)
X = X[:600] / 16
Y = Y[:600]
HELD = X[400:], Y[400:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-30, -10, -5, -4, 3, 10, 30])
def test_units_change_no_prediction(exponent, dtype):
    expected = fit_linear_probe(X[:400].astype(dtype), Y[:400])
    scale = 10.0**exponent
    probe = fit_linear_probe((X[:400] * scale).astype(dtype), Y[:400])
    assert probe.accuracy((HELD[0] * scale).astype(dtype), HELD[1]) == pytest.approx(
        expected.accuracy(HELD[0].astype(dtype), HELD[1]), abs=0.011
    )
    assert probe.C * scale**2 == pytest.approx(expected.C, rel=1e-3)


def test_a_power_of_two_changes_not_a_bit():
    expected = fit_linear_probe(X[:400], Y[:400], C=1.0)
    for scale in (2.0**-40, 2.0**30):
        probe = fit_linear_probe(X[:400] * scale, Y[:400], C=1.0 / scale**2)
        assert torch.equal(probe.weight * scale, expected.weight)
        assert torch.equal(probe.bias, expected.bias)
        assert probe.path[0].objective * scale**2 == expected.path[0].objective


def test_strengths_that_are_given_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    for scale in (1e-3, 1.0, 1e3):
        theirs = LogisticRegression(C=1 / scale**2, tol=1e-10, max_iter=5000).fit(X[:400] * scale, Y[:400])
        mine = fit_linear_probe(X[:400] * scale, Y[:400], C=1 / scale**2, tol=1e-12)
        np.testing.assert_allclose(mine.weight.numpy() * scale, theirs.coef_ * scale, atol=2e-3)


def test_an_end_that_is_best_is_a_warning_and_the_default_is_none():
    with pytest.warns(UserWarning, match=r"chose the largest of its strengths, C = 0\.01.*may lie beyond"):
        fit_linear_probe(X[:400], Y[:400], C=[1e-4, 1e-3, 1e-2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_linear_probe(X[:400], Y[:400])


def test_rows_that_are_equal_have_no_unit():
    probe = fit_linear_probe(np.ones((20, 3)), np.arange(20) % 2)
    assert np.isfinite(probe.weight.numpy()).all()
