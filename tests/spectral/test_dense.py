"""Rows that are decomposed at once: stacks, kinds of arrays, gradients."""

import numpy as np
import pytest
import torch

import repgeom as rg


def test_a_stack_of_large_matrices_goes_one_by_one_and_a_bad_value_is_placed(monkeypatch, rng):
    monkeypatch.setattr("repgeom.spectral.decompose.SMALL_VALUES", 100)
    x = torch.tensor(rng.standard_normal((2, 3, 40, 6)))
    x[1, 2] *= torch.tensor([1.0, 1, 1, 1, 1e-9, 0])
    s = rg.spectrum(x)
    assert s.singular_values.shape == (2, 3, 6)
    assert s.mean.shape == (2, 3, 6)
    assert s.method == "qr"  # the most exact that any of them needed
    loop = [[rg.effective_rank(z, of="singular_values").item() for z in y] for y in x]
    assert rg.effective_rank(s, of="singular_values").numpy() == pytest.approx(np.array(loop), rel=1e-12)
    x[1, 0, 7, 2] = torch.nan
    with pytest.raises(ValueError, match=r"nan at row 7, column 2 of batch \(1, 0\)"):
        rg.spectrum(x)


@pytest.mark.parametrize("shape", [(2, 3, 40, 6), (2, 3, 5, 9)])
def test_a_stack_equals_a_loop(shape, rng):
    x = rng.standard_normal(shape)
    x[0, 1, :, 3:] = 0  # one member with dead columns
    stack = rg.effective_rank(x, of="singular_values")
    assert isinstance(stack, np.ndarray)
    loop = [[rg.effective_rank(x[i, j], of="singular_values") for j in range(3)] for i in range(2)]
    assert stack == pytest.approx(np.array(loop), rel=1e-9)
    acc = rg.SpectrumAccumulator().update(x[..., :3, :]).update(x[..., 3:, :])
    assert rg.effective_rank(acc.spectrum()) == pytest.approx(rg.effective_rank(x), rel=1e-9)


def test_torch_in_torch_out_else_python(rng):
    x = rng.standard_normal((20, 4))
    assert type(rg.effective_rank(x)) is float
    assert type(rg.n_components(x)) is int
    value = rg.effective_rank(torch.tensor(x, dtype=torch.float32))
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float64
    assert isinstance(rg.spectrum(torch.tensor(x)).singular_values, torch.Tensor)
    assert isinstance(rg.spectrum(x).singular_values, np.ndarray)
    assert type(rg.effective_rank(rg.spectrum(x))) is float


LOSSES = {
    "effective_rank": rg.effective_rank,
    "of sigma": lambda x: rg.effective_rank(x, of="singular_values"),
    "l2": lambda x: rg.effective_rank(x, normalize="l2"),
    "uncentred": lambda x: rg.effective_rank(x, center=False),
    "rankme": rg.rankme,
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
    "hill 0.5": lambda x: rg.hill_number(x, order=0.5),
    "hill 3": lambda x: rg.hill_number(x, order=3),
    "svd": lambda x: rg.centered_svd(x).S,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (2, 5, 5)], ids=str)
def test_gradients(name, shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], x)


@pytest.mark.parametrize("of", ["variances", "singular_values"])
def test_gradient_is_finite_on_collapsed_features(of):
    x = torch.zeros(10, 6)
    x[:, 0] = torch.arange(10.0)
    x.requires_grad_()
    rg.effective_rank(x, of=of).backward()
    assert torch.isfinite(x.grad).all()


def test_ascending_the_effective_rank_spreads_features():
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [10.0, 1, 1, 1, 0.1, 0.1, 0.1, 0.1]
    )
    start = rg.effective_rank(x).item()
    x.requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (-rg.effective_rank(x)).backward()
        optimizer.step()
    assert rg.effective_rank(x).item() > start + 1


@pytest.mark.parametrize("shape", [(30, 5), (5, 30), (3, 12, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_centred_svd_rebuilds_the_features(shape, dtype):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 5).to(dtype)
    svd = rg.centered_svd(x)
    assert svd.U.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    rebuilt = svd.U * svd.S[..., None, :] @ svd.Vh + svd.mean[..., None, :]
    torch.testing.assert_close(rebuilt, x.to(svd.U.dtype), rtol=1e-6, atol=1e-5)
    assert rg.centered_svd(x, center=False).mean.abs().max() == 0
