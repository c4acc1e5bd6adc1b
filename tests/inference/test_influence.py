"""What each row adds to a measure."""

import numpy as np
import pytest
import torch
from estimate_reference import MEASURES, ODD, PLAIN, SMOOTH, decaying, normal

import repgeom as rg


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_influence_is_what_leaving_a_row_out_does(measure):
    x, n = decaying(400, 8, 1) + 0.3, 400
    plain = PLAIN[measure]
    moved = np.array([plain(np.delete(x, i, 0)) for i in range(n)]) - plain(x)
    found = rg.influence(x, measure)
    assert np.corrcoef(found, -(n - 1) * moved)[0, 1] > 0.999
    np.testing.assert_allclose(found, -(n - 1) * moved, atol=0.05 * np.abs(found).max())


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"normalize": "l2"}])
def test_influence_has_mean_zero(measure, options):
    for name in ("n = 4", "n < d", "an enormous row", "one-hot", "rank one, wide"):
        found = rg.influence(ODD[name], measure, **options)
        assert found.shape == (len(ODD[name]),)
        assert found.dtype == np.float64
        assert abs(found.mean()) <= 1e-10 * max(1, np.abs(found).max())


def test_influence_is_a_tensor_for_a_tensor_only():
    x = torch.tensor(normal(30, 3), dtype=torch.float32)
    found = rg.influence(x)
    assert (type(found), found.dtype, found.device.type) == (torch.Tensor, torch.float64, "cpu")
    np.testing.assert_allclose(found.numpy(), rg.influence(x.numpy()), atol=1e-12)
    assert isinstance(rg.influence(x.tolist()), np.ndarray)


def test_influence_spread_is_the_standard_error_of_many_rows():
    x = decaying(20_000, 5, 1)
    for measure in SMOOTH:
        assert rg.influence(x, measure).std() / 20_000**0.5 == pytest.approx(rg.estimate(x, measure).se, rel=0.02)
