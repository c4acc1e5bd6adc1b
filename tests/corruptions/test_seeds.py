"""Random numbers: their distributions, and that streams, seeds, names and images are independent."""

import numpy as np
import pytest
import torch
from corruption_cases import within
from scipy import stats

from repgeom.corruptions.seeds import Draws


def test_normal_numbers_are_normal():
    z = Draws(0, torch.arange(50), "x").normal(3, 40, 41).double()
    n = z.numel()
    within(z.mean(), 0, n**-0.5)
    within(z.var(), 1, (2 / n) ** 0.5)
    within((z**3).mean(), 0, (15 / n) ** 0.5)
    within((z**4).mean(), 3, (96 / n) ** 0.5)
    assert stats.kstest(z.flatten()[:20000].numpy(), "norm").pvalue > 1e-4
    channels = np.corrcoef(z.transpose(0, 1).flatten(1).numpy())
    assert abs(channels[np.triu_indices(3, 1)]).max() < 4 * (3 / n) ** 0.5
    neighbours = np.corrcoef(z.flatten(1).numpy())
    assert abs(neighbours[np.triu_indices(50, 1)]).max() < 5 * (50 / n) ** 0.5
    within((z[..., 1:] * z[..., :-1]).mean(), 0, n**-0.5)


@pytest.mark.parametrize("draw", ["uniform", "uniform64"])
def test_uniform_numbers_are_uniform(draw):
    u = getattr(Draws(1, torch.arange(20), "x"), draw)(101, 33).double().flatten()
    assert 0 <= u.min() < u.max() < 1
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-4
    counts = np.histogram2d(u[::2].numpy(), u[1::2].numpy(), bins=16, range=[[0, 1]] * 2)[0]
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4


def test_streams_seeds_names_and_indices_are_independent():
    numbers = torch.arange(4)
    random = Draws(0, numbers, "x")
    rows = [random.uniform(5000), random.uniform(5000), Draws(1, numbers, "x").uniform(5000)]
    rows += [Draws(0, numbers, "y").uniform(5000), Draws(0, numbers + 4, "x").uniform(5000)]
    together = np.corrcoef(torch.cat(rows).numpy())
    assert abs(together[np.triu_indices(20, 1)]).max() < 5 / 5000**0.5
    assert Draws(-(2**80), numbers - 2, "x").normal(7).isfinite().all()


def test_whole_numbers_below_a_limit():
    k = Draws(0, torch.arange(9), "x").below(8, 1000)
    assert sorted(set(k.flatten().tolist())) == list(range(8))
    assert stats.chisquare(np.bincount(k.flatten().numpy())).pvalue > 1e-4
