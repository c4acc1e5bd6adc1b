"""What a spectrum does not feel, each beside a change that must be seen."""

import numpy as np
import pytest
from planted_spectra import READINGS

import repgeom as rg


def readings(x, **how):
    s = rg.spectrum(x, **how)
    return np.array([float(read(s)) for read in READINGS.values()])


def test_invariances(rng):
    x = rng.standard_normal((300, 12)) * np.arange(1, 13)
    rotation = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    before = readings(x)
    for name, y in {
        "rotation": x @ rotation,
        "translation": x + 1e3 * rng.standard_normal(12),
        "scale": 1e-7 * x,
        "row order": x[rng.permutation(300)],
        "rows twice": np.concatenate([x, x]),
    }.items():
        assert readings(y) == pytest.approx(before, rel=1e-9), name
    assert abs(readings(x * np.arange(1, 13)) / before - 1).min() > 0.01
    assert abs(readings(x + 100, center=False) / before - 1).min() > 0.01


def test_l2_normalisation_forgets_row_lengths_and_happens_before_centring(rng):
    x = rng.standard_normal((200, 8)) + 1
    lengths = rng.uniform(0.1, 10, (200, 1))
    assert readings(x * lengths, normalize="l2") == pytest.approx(readings(x, normalize="l2"), rel=1e-9)
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert readings(x, normalize="l2") == pytest.approx(readings(units), rel=1e-12)
