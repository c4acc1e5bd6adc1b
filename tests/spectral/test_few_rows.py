"""Fewer rows than features."""

import pytest
import torch
from conftest import oracle
from planted_spectra import SPECTRA, assert_readings, planted

import repgeom as rg


@pytest.mark.parametrize("mean", [0, 5, 1000])
@pytest.mark.parametrize("kind", SPECTRA)
def test_fewer_rows_than_features_agree_where_float32_products_are_used(kind, mean, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    monkeypatch.setattr("repgeom.spectral.few_rows.CHUNK_VALUES", 1 << 13)
    x = planted(kind, (120, 500), mean, torch.float32)
    for center in (True, False):
        s = rg.spectrum(x, center=center)
        truth = oracle(x, center)
        if center or mean == 0:
            assert_readings(s, truth, 1e-6)
        for name in ("effective_rank", "participation_ratio"):
            assert float(getattr(rg, name)(s)) == pytest.approx(truth[name], rel=1e-6)
    flat = rg.spectrum(planted("flat", (120, 500), mean, torch.float32))
    assert flat.method == ("float32 product" if mean < 1000 else "float64 product")


def test_few_rows_that_float32_cannot_hold_take_float64(monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    x = planted("flat", (120, 500), 0, torch.float32)
    assert rg.spectrum(x * 1e-19).method == "float64 product"
    x[7, 3] = torch.nan
    with pytest.raises(ValueError, match="nan at row 7, column 3"):
        rg.spectrum(x)
