"""What each row adds to a measure."""

import numpy as np
import pytest
import torch
from estimate_reference import MEASURES, ODD, PLAIN, SMOOTH, decaying, gaussian, normal, power, slow_influence

import repgeom as rg
from repgeom.data.sources import source_of
from repgeom.inference.influence import score
from repgeom.measures.measure import functional, named
from repgeom.spectral.directions import directions_of


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


@pytest.mark.parametrize("measure", [*SMOOTH, "stable_rank"])
def test_influence_of_single_rows_is_what_leaving_them_out_does(measure):
    x = gaussian(np.random.default_rng(0), 400, power(6, 1.0))
    found, plain = rg.influence(x, measure), named(measure).value
    assert found.shape == (400,)
    assert found.mean() == pytest.approx(0, abs=1e-12)
    whole = plain(rg.spectrum(x))
    for i in (0, 17, int(np.abs(found).argmax())):
        moved = (whole - plain(rg.spectrum(np.delete(x, i, 0)))) * 399
        assert found[i] == pytest.approx(moved, rel=0.08, abs=0.05)


@pytest.mark.parametrize("measure", SMOOTH)
def test_scores_are_of_the_covariance_while_the_row_is_added(measure):
    rng = np.random.default_rng(0)
    x = gaussian(rng, 60, power(8, 1.0)) * rng.uniform(0.5, 3, (60, 1))
    source = source_of(torch.as_tensor(x), "x")
    directions = directions_of(source, center=True, normalize=None, tail=True)
    found = score(directions, source, (measure,)).influence[measure]
    centred = directions.centred(torch.as_tensor(x)).numpy()
    brute = slow_influence(centred, functional(measure), directions.variances, 60 / 59, np.ones(60), 59)
    assert np.corrcoef(found, brute)[0, 1] > (0.9999 if measure == "participation_ratio" else 0.99)
    # The entropies take their slope from the population, of which eight features in sixty rows are a blurred picture.
    assert found.std() == pytest.approx(brute.std(), rel=0.005 if measure == "participation_ratio" else 0.15)


def test_influence_comes_back_as_it_went_in():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    found = rg.influence(x)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float64
    assert isinstance(rg.influence(x.numpy()), np.ndarray)


def test_influence_is_about_the_mean_unless_told_otherwise_and_refuses_what_measures_refuse():
    x = decaying(40, 5) + 3
    np.testing.assert_array_equal(rg.influence(x), rg.influence(x, center=True))
    assert np.abs(rg.influence(x) - rg.influence(x, center=False)).max() > 0.1
    for call in (rg.influence, rg.estimate):
        with pytest.raises(ValueError, match="normalize"):
            call(x, normalize="l3")
        with pytest.raises(ValueError, match=r"do not vary|equal|variance"):
            call(np.ones((40, 5)))
