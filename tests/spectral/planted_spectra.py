"""Spectra that the tests plant in features, and the readings of which the answer is known."""

import numpy as np
import pytest
import torch

import repgeom as rg

SPECTRA = {
    "flat": lambda i: np.ones_like(i),
    "power law 0.5": lambda i: i**-0.5,
    "power law 2": lambda i: i**-2.0,
    "geometric": lambda i: 0.9**i,
    "rank one": lambda i: np.where(i == 1, 1.0, 0.0),
    "rank 16 over 1e-3": lambda i: np.where(i <= 16, 1.0, 1e-3),
}


READINGS = {
    "effective_rank": rg.effective_rank,
    "effective_rank_sigma": lambda s: rg.effective_rank(s, of="singular_values"),
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
}


def planted(kind, shape, mean, dtype):
    n, d = shape
    sigma = SPECTRA[kind](np.arange(1.0, min(n - 1, d) + 1)) * n**0.5
    x = torch.tensor(rg.testing.features_with_spectrum(sigma, n, n_features=d))
    return (x + mean * x.std()).to(dtype)


def assert_readings(s, truth, tolerance):
    for name, read in READINGS.items():
        assert float(read(s)) == pytest.approx(truth[name], rel=tolerance), name


STEEP = SPECTRA | {
    "power law 1": lambda i: 1 / i,
    "power law 1.5": lambda i: i**-1.5,
    "geometric 0.97": lambda i: 0.97**i,
    "rank 40 over 1e-3": lambda i: np.where(i <= 40, 1.0, 1e-3),
    "power law 1 over 1e-2": lambda i: 1 / i + 1e-2,
}
