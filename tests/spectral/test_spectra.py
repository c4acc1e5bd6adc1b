"""Spectra of every kind agree with a float64 SVD, by whichever product of the rows they are found."""

import numpy as np
import pytest
import torch
from conftest import oracle
from planted_spectra import READINGS, SPECTRA, STEEP, assert_readings, planted

import repgeom as rg
from repgeom.spectral.sums import Sums

SHAPES = [(2, 5), (3, 3), (40, 100), (100, 100), (101, 100), (600, 64), (3000, 40), (500, 1)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mean", [0, 1000])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_a_float64_svd(shape, kind, mean, dtype):
    x = planted(kind, shape, mean, dtype)
    s = rg.spectrum(x)
    if float(s.singular_values[0]) == 0:  # half precision next to a large mean leaves one value in every row
        assert (x == x[0]).all()
        return
    assert_readings(s, oracle(x), 1e-6)


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("mean", [0, 5, 1000])
def test_agrees_where_float32_products_are_used(kind, mean, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 17)
    x = planted(kind, (4096, 128), mean, torch.float32)
    assert_readings(rg.spectrum(x), oracle(x), 1e-6)


def test_flat_spectra_take_the_float32_product_and_low_rank_does_not(monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 17)
    assert rg.spectrum(planted("flat", (4096, 128), 0, torch.float32)).method == "float32 product"
    assert rg.spectrum(planted("flat", (4096, 128), 0, torch.float64)).method == "float64 product"
    assert rg.spectrum(planted("rank one", (4096, 128), 0, torch.float32)).method == "qr"


@pytest.mark.parametrize("kind", STEEP)
@pytest.mark.parametrize("mean", [0, 5, 1000])
def test_agrees_where_leading_directions_are_held_apart(kind, mean, monkeypatch):
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 1 << 16)
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 18)
    n, d = 6000, 160
    x = torch.tensor(rg.testing.features_with_spectrum(STEEP[kind](np.arange(1.0, d + 1)) * n**0.5, n))
    x = (x + mean * x.std()).float()
    s = rg.spectrum(x)
    assert_readings(s, oracle(x), 1e-6)
    if kind in ("power law 1", "rank 16 over 1e-3") and mean < 1000:
        assert s.method == "float32 product, leading directions apart"
    if kind == "power law 1 over 1e-2" and mean < 1000:
        assert s.method == "float32 product"


def one_hot(g):
    classes = torch.minimum(
        torch.randint(0, 4, (2_125_000,), generator=g), torch.randint(0, 4, (2_125_000,), generator=g)
    )
    rows = torch.nn.functional.one_hot(classes, 4).float() * torch.logspace(0, 0.3, 4)
    return rows + 1e-2 * torch.randn(len(rows), 4, generator=g)


def whole_numbers(g):
    d = 160
    sigma = torch.where(torch.arange(d) < 16, 1.0, 1.3e-4**0.5)
    turn = torch.linalg.qr(torch.randn(d, d, generator=g)).Q
    x = (torch.randn(53_125, d, generator=g) * sigma) @ turn
    return (x / x.std() * 40).round()


COARSE = {
    "one-hot": one_hot,
    "whole numbers": whole_numbers,
    "signs": lambda g: (
        (torch.randint(0, 2, (16_700, 512), generator=g) * 2 - 1) * torch.logspace(0, -1.5, 512) * 1.2345
    ),
    "far from zero": lambda g: whole_numbers(g) / 40 + 90,
}


@pytest.mark.parametrize("kind", COARSE)
def test_float32_products_hold_for_values_that_repeat(kind):
    """Their rounding does not average out: sums of squares in float32 were off by up to 5e-6."""
    x = COARSE[kind](torch.Generator().manual_seed(1))
    s = rg.spectrum(x)
    assert s.method.startswith(
        "float64 product" if kind == "one-hot" else "float32 product"
    )  # narrow rows take float64
    truth = rg.spectrum(x.double())
    for name, read in READINGS.items():
        assert float(read(s)) == pytest.approx(float(read(truth)), rel=1e-6), name


def test_half_products_of_values_whose_squares_underflow_say_so():
    x = (torch.randn(4096, 16, generator=torch.Generator().manual_seed(0)) * 1e-21).bfloat16()
    sums = Sums("half")
    sums.absorb(x)
    s, exact, _ = sums.read_spectrum(True)
    assert not exact
    assert not s.exact_tail


@pytest.mark.parametrize("mean", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["flat", "power law 0.5", "power law 1", "power law 2"])
def test_half_products_are_exact_or_say_that_they_are_not(kind, dtype, mean):
    """The sums that a GPU makes on its matrix units; here the same products are added up by the CPU."""
    sigma = STEEP[kind](np.arange(1.0, 65)) * 140_000**0.5
    x = torch.tensor(rg.testing.features_with_spectrum(sigma, 140_000))
    x = (x + mean * x.std()).to(dtype)  # as many values as there must be for it to be tried
    sums = Sums("half")
    for rows in x.split(32_768):
        sums.absorb(rows)
    s, exact, _ = sums.read_spectrum(True)
    truth = oracle(x)
    assert (s.method, s.dtype) == ("half product", str(dtype).removeprefix("torch."))
    assert s.exact_tail == exact == (kind in ("flat", "power law 0.5") and mean < 100)
    if exact:
        assert_readings(s, truth, 1e-6)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_lower_matmul_precision_set_by_the_user_is_not_used(precision, rng):
    x = torch.tensor(rng.standard_normal((20_000, 512)), dtype=torch.float32)
    truth = rg.effective_rank(x.double())
    torch.set_float32_matmul_precision(precision)
    try:
        assert rg.effective_rank(x).item() == pytest.approx(truth.item(), rel=1e-6)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_autocast_is_not_felt(rng):
    x = torch.tensor(rng.standard_normal((20_000, 512)), dtype=torch.float32)
    truth = rg.effective_rank(x.double()).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rg.effective_rank(x).item() == pytest.approx(truth, rel=1e-6)
        assert rg.effective_rank(x.clone().requires_grad_()).item() == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_does_not_matter_even_where_squares_leave_the_range(scale, dtype, rng, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    x = rng.standard_normal((500, 20)).astype(dtype)
    scaled = x * dtype(scale)
    assert rg.effective_rank(scaled) == pytest.approx(oracle(x)["effective_rank"], rel=1e-6)
    assert rg.effective_rank(scaled, of="singular_values") == pytest.approx(oracle(x)["effective_rank_sigma"], rel=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_float64_beyond_its_square_root(scale, rng):
    x = rng.standard_normal((300, 20))
    assert rg.effective_rank(x * scale) == pytest.approx(rg.effective_rank(x), rel=1e-6)
    assert rg.effective_rank(x[:15] * scale) == pytest.approx(rg.effective_rank(x[:15]), rel=1e-6)


def test_values_beyond_float64_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"`features` holds values too large.*divide"):
        rg.effective_rank(np.array([[1e308, -1e308], [-1e308, 1e308], [1e308, 1e308]]))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("shape", [(600, 64), (40, 100), (3, 600, 64)], ids=str)
def test_gpu_agrees_with_cpu(kind, shape, device):
    x = planted(kind, shape[-2:], 5, torch.float32).expand(shape)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        found = rg.effective_rank(x.to(device), of="singular_values")
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert found.device.type == device
    torch.testing.assert_close(found.cpu(), rg.effective_rank(x, of="singular_values"), rtol=1e-6, atol=0)
