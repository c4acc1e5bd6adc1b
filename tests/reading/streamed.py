"""Features that the tests of reading share, and what makes two audits of them the same."""

import numpy as np
import pytest

import repgeom as rg

WIDTH = 16


def features(n=5000, dtype=np.float32):
    x = rg.testing.features_with_spectrum(np.arange(1, WIDTH + 1.0) ** -0.5 * n**0.5, n, mean=np.full(WIDTH, 0.5))
    x[7] = x[3]
    return x.astype(dtype)


def assert_same(found, expected, tolerance=1e-6):
    assert (found.n_samples, found.n_features) == (expected.n_samples, expected.n_features)
    assert found.health == expected.health
    assert found.level == expected.level
    for v in expected.values:
        value = found[v.name].in_these_rows
        assert value == (
            None if v.in_these_rows is None else pytest.approx(v.in_these_rows, rel=tolerance, abs=1e-9)
        ), v.name
        if v.estimate is not None and v.estimate.low is not None:
            assert found[v.name].estimate.low == pytest.approx(v.estimate.low, rel=1e-4), v.name
