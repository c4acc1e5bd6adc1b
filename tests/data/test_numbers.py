"""A number is a number, whichever package made it; True is none."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from public_calls import images, pixels

import repgeom as rg
from repgeom import corruptions, probes, robustness

X = np.random.default_rng(0).standard_normal((60, 6))
Y = np.arange(60) % 3
REAL = {
    "sigma": lambda v: corruptions.add_noise(images(), v),
    "sigma of noise_rms": lambda v: corruptions.noise_rms(v),
    "severity": lambda v: corruptions.corrupt(images(), "contrast", v),
    "rms": lambda v: robustness.band_noise(images(), rms=v),
    "sigmas": lambda v: robustness.noise_robustness(pixels, images(), sigmas=v, k=2).value[3],
    "severities": lambda v: len(
        robustness.corruption_robustness(pixels, images(), corruptions="fog", severities=v, k=2)
    ),
    "phase": lambda v: robustness.fourier_heatmap(pixels, images(), phase=v, n_frequencies=1).drift,
    "norm": lambda v: robustness.fourier_heatmap(pixels, images(), norm=v, n_frequencies=1).drift,
    "temperature": lambda v: probes.fit_knn_probe(X, Y, temperature=v).predict(X),
    "temperature of InfoNCE": lambda v: rg.demo.info_nce(torch.eye(3), torch.eye(3), v),
    "C": lambda v: probes.fit_linear_probe(X, Y, C=v).weight,
    "validation": lambda v: probes.fit_linear_probe(X, Y, validation=v, C=[0.1, 1.0]).weight,
    "confidence": lambda v: rg.estimate(X, confidence=v).value,
    "order": lambda v: rg.hill_number(X, order=v),
    "eps": lambda v: rg.rankme(X, eps=v),
    "variance": lambda v: rg.n_components(X, variance=v),
    "tolerance": lambda v: rg.numerical_rank(X, tolerance=v),
    "t": lambda v: rg.uniformity(X, t=v),
    "alpha": lambda v: rg.alignment(X, X[::-1].copy(), alpha=v),
}
WHOLE = {
    "mutual_knn": lambda v: rg.mutual_knn(X, X**3, k=v),
    "knn_accuracy": lambda v: rg.knn_accuracy(X, Y, k=v),
    "fit_knn_probe": lambda v: probes.fit_knn_probe(X, Y, k=v).predict(X),
    "principal_angles": lambda v: rg.principal_angles(X, X**3, k=v),
    "captured_variance": lambda v: rg.captured_variance(X, X**3, k=v),
}


@pytest.mark.filterwarnings("ignore:the linear probe chose")
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize(
    "kind", [np.float32, np.float64, np.array, torch.tensor, Fraction, lambda v: torch.tensor(v).double()]
)
def test_any_kind_of_real_number(name, kind):
    expected, found = REAL[name](0.25), REAL[name](kind(0.25))
    assert np.array_equal(np.asarray(expected), np.asarray(found))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array, torch.tensor])
def test_any_kind_of_whole_number(name, kind):
    assert np.array_equal(np.asarray(WHOLE[name](3)), np.asarray(WHOLE[name](kind(3))))


@pytest.mark.parametrize("name", [*REAL, *WHOLE])
@pytest.mark.parametrize("value", [True, np.True_, 1 + 1j, "a", np.nan], ids=repr)
def test_what_is_no_number_is_refused(name, value):
    calls = REAL | WHOLE
    if name == "phase" and value == "a":
        pytest.skip('a phase may be the word "random"; other words are refused by name')
    with pytest.raises((ValueError, TypeError), match=r"`|severity"):
        calls[name](value)


@pytest.mark.parametrize("k", [2.0, np.float32(2), 0, -1])
def test_a_count_is_whole_and_positive(k):
    for call in WHOLE.values():
        with pytest.raises(ValueError, match="`k`"):
            call(k)
