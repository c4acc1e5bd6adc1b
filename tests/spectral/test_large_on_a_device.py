"""Spectra on a GPU that are large enough for its fast arithmetic: half precision, float32, leading directions apart."""

import pytest
import torch
from conftest import oracle

import repgeom as rg

pytestmark = pytest.mark.gpu
# (rows, features), how steep the singular values fall, type of the rows.
LAWS = {"flat": 0.0, "a power law": -0.5, "steep": -2.0}


def features(n, d, law, dtype, device, mean=0.0):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x * torch.arange(1, d + 1, dtype=torch.float64) ** LAWS[law] + mean
    return x.to(device, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_measures_are_those_of_a_float64_svd(law, dtype, mean, device):
    x = features(34_000, 256, law, dtype, device, mean)
    rows = x.double()
    rows = rows - rows.mean(0)
    rows = rows - rows.mean(0)
    variances = torch.linalg.eigvalsh(rows.mT @ rows).flip(-1).clamp(min=0).cpu()
    share = variances / variances.sum()
    expected = float(torch.special.entr(share).sum().exp())
    assert float(rg.effective_rank(x)) == pytest.approx(expected, rel=1e-6)
    assert float(rg.participation_ratio(x)) == pytest.approx(float(1 / share.square().sum()), rel=1e-6)
    assert float(rg.stable_rank(x)) == pytest.approx(float(variances.sum() / variances[0]), rel=1e-6)
    sigma = variances.sqrt()
    assert float(rg.effective_rank(x, of="singular_values")) == pytest.approx(
        float(torch.special.entr(sigma / sigma.sum()).sum().exp()), rel=1e-6
    )
    report = rg.audit(x[:20_000])
    assert report["effective_rank"].in_these_rows == pytest.approx(float(rg.effective_rank(x[:20_000])), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "d"), [(400, 8_192), (1_100, 2_000)])
def test_fewer_rows_than_features(n, d, dtype, device):
    x = features(n, d, "a power law", dtype, device, 1.0)
    assert float(rg.effective_rank(x)) == pytest.approx(oracle(x.cpu())["effective_rank"], rel=1e-6)


@pytest.mark.parametrize("shape", [(40, 60, 16), (7, 300, 33), (3, 20, 64), (2, 3, 50, 8)])
def test_stacks_are_their_matrices_one_by_one(shape, device):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device)
    found = rg.effective_rank(x).cpu().flatten()
    expected = [oracle(one.cpu())["effective_rank"] for one in x.flatten(0, -3)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)
