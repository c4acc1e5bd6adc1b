"""Tallies of a spectrum that follow one plan add up to the whole, by whatever method the first rows called for."""

import numpy as np
import pytest
import torch
from conftest import oracle, pieces

import repgeom as rg
from repgeom.reading.tally import from_bytes, to_bytes
from repgeom.spectral.tally import SpectrumTally, Wanted

N, WIDTH = 6000, 160
SPECTRA = {
    "float32 product": lambda i: i**-0.25,
    "float32 product, leading directions apart": lambda i: i**-1.3,
    "float64 product": lambda i: np.where(i <= 60, 1.0, 1e-4),
    "qr": lambda i: i**-6.0,
}


@pytest.mark.parametrize("method", SPECTRA)
@pytest.mark.parametrize("through_bytes", [False, True])
def test_a_follower_adds_up_as_the_first_process_chose(method, through_bytes, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 18)
    sigma = SPECTRA[method](np.arange(1.0, WIDTH + 1)) * N**0.5
    x = torch.tensor(rg.testing.features_with_spectrum(sigma, N, mean=0.3)).float()
    wanted = {"spectrum": Wanted(None, (True, False))}
    first, *rest = pieces(x, 800)
    tallies = [SpectrumTally(wanted, n=N) for _ in range(3)]
    tallies[0].prepare(first)
    plan = from_bytes(to_bytes(tallies[0].plan()))
    for follower in tallies[1:]:
        follower.follow(plan)
    tallies[0].update(first)
    for i, piece in enumerate(rest):
        tallies[i % 3].update(piece)
    if through_bytes:
        tallies = [SpectrumTally.from_state(from_bytes(to_bytes(tally.state()))) for tally in tallies]
    followers = tallies[1]
    followers.merge(tallies[2])
    followers.merge(tallies[0])
    found = followers.read("spectrum").spectrum
    assert (found.method, found.n_samples) == (method, N)
    assert not followers.inexact()
    truth = oracle(x)
    for name in ("effective_rank", "participation_ratio", "stable_rank"):
        assert float(getattr(rg, name)(found)) == pytest.approx(truth[name], rel=1e-6)
    assert float(rg.effective_rank(found, of="singular_values")) == pytest.approx(
        truth["effective_rank_sigma"], rel=1e-6
    )
