"""The fields of a `Spectrum`, spectra made from known values, and what cannot be one."""

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.data import arrays as gate


def test_fields_of_a_spectrum(rng):
    x = rng.standard_normal((50, 4)).astype(np.float32) + 2
    s = rg.spectrum(x)
    assert (s.n_samples, s.n_features, s.dtype, s.centered, s.normalize) == (50, 4, "float32", True, None)
    assert s.mean == pytest.approx(x.mean(0), rel=1e-5)
    assert s.variances == pytest.approx(np.linalg.eigvalsh(np.cov(x.T))[::-1], rel=1e-5)
    assert s.variance_ratio.sum() == pytest.approx(1)
    with pytest.raises(AttributeError):
        s.n_samples = 3


def test_known_values():
    s = rg.Spectrum.from_singular_values([1.0, 3.0, 2.0], n_samples=10)
    assert list(s.singular_values) == [3, 2, 1]
    assert s.variances == pytest.approx([1, 4 / 9, 1 / 9])
    assert rg.Spectrum.from_variances(s.variances, n_samples=10).singular_values == pytest.approx(s.singular_values)
    stack = rg.Spectrum.from_variances(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert rg.effective_rank(stack).tolist() == pytest.approx([2, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.Spectrum.from_singular_values([1.0, -2.0]), r"not negative; the first bad one is -2.0 at \(1,\)"),
        (lambda: rg.Spectrum.from_singular_values([np.nan, 1.0]), r"nan at \(0,\)"),
        (lambda: rg.Spectrum.from_singular_values([]), r"got shape \(0,\)"),
        (
            lambda: rg.Spectrum.from_singular_values([1.0, 1.0, 1.0], n_samples=2),
            r"3 singular values, more than .* = 2",
        ),
        (lambda: rg.Spectrum.from_variances([1.0, -4.0]), "smallest variance is -4.0"),
    ],
)
def test_known_values_that_cannot_be(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("wide", [False, True])
def test_nonfinite_values_are_counted_and_placed(wide):
    x = np.zeros((20, 50 if wide else 4), dtype=np.float32)
    x[7, 2] = np.inf
    x[9, 1] = np.nan
    message = r"`features` has 2 non-finite values; the first is inf at row 7, column 2 \(shape \(20, \d+\), float32\)"
    with pytest.raises(ValueError, match=message):
        rg.spectrum(x)


def test_nonfinite_place_counts_rows_over_chunks(monkeypatch):
    monkeypatch.setattr(gate, "CHUNK_VALUES", 8)
    x = np.zeros((20, 4))
    x[13, 3] = np.nan
    with pytest.raises(ValueError, match="nan at row 13, column 3"):
        rg.spectrum(x)
    with pytest.raises(ValueError, match=r"nan at row 3, column 2 of batch \(1,\)"):
        rg.spectrum(np.stack([np.zeros((5, 4)), np.where(np.arange(20).reshape(5, 4) == 14, np.nan, 0)]))
