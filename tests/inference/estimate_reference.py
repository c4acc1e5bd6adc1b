"""Populations, measures by their formulas, and readers of estimates that the tests of inference share."""

import numpy as np
import torch

import repgeom as rg
from repgeom.data.sources import source_of
from repgeom.inference.sample import sample_of
from repgeom.measures.measure import named

SMOOTH = ["effective_rank", "effective_rank_sigma", "participation_ratio"]
MEASURES = [*SMOOTH, "stable_rank", "n_components_90"]
PLAIN = {
    "effective_rank": rg.effective_rank,
    "effective_rank_sigma": lambda x: rg.effective_rank(x, of="singular_values"),
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
    "n_components_90": rg.n_components,
}


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def decaying(n, d, power=0.5, seed=0):
    """Standard deviations i^-power."""
    return normal(n, d, seed) * np.arange(1, d + 1) ** -float(power)


def rank_one(n, d, seed=0):
    return normal(n, 1, seed) * np.arange(1.0, d + 1)


def rotation(d, seed=9):
    return np.linalg.qr(normal(d, d, seed))[0]


def population_value(deviations, measure):
    v = np.asarray(deviations, float) ** 2
    q = {"effective_rank": v, "effective_rank_sigma": v**0.5}.get(measure)
    if q is not None:
        q = q / q.sum()
        return float(np.exp(-(q * np.log(q)).sum()))
    return float(v.sum() ** 2 / (v**2).sum()) if measure == "participation_ratio" else float(v.sum() / v.max())


def numbers(e):
    return np.array([np.nan if v is None else v for v in (e.value, e.in_these_rows, e.low, e.high, e.se)], float)


def assert_same(first, second, rtol=1e-9):
    np.testing.assert_allclose(numbers(first), numbers(second), rtol=rtol)
    assert (first.n, first.method) == (second.n, second.method)


def assert_sane(e, d):
    assert 1 <= e.value <= d
    assert 1 - 1e-12 <= e.in_these_rows <= d * (1 + 1e-12)
    assert (e.low is None) == (e.high is None) == (e.se is None)
    if e.low is None:
        assert "no interval: " in e.warnings[-1]
    else:
        assert 1 <= e.low <= e.value <= e.high <= d
        assert np.isfinite(e.se)
        assert e.se >= 0


def likenesses(n_groups, size, seed=0, d=10):
    """Rows of a group share most of what they are; effective rank d."""
    random = np.random.default_rng(seed)
    shared = np.repeat(random.standard_normal((n_groups, d)), size, 0)
    return 0.9 * shared + 0.19**0.5 * random.standard_normal((n_groups * size, d))


def on_sphere(n, d):
    x = normal(n, d)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def with_a_huge_row(factor):
    x = normal(300, 10)
    x[7] *= factor
    return x


ODD = {
    "n = 4": normal(4, 3),
    "n = 4, one column": normal(4, 1),
    "n = 4, wide": normal(4, 50),
    "n < d": normal(40, 60),
    "n = d": normal(50, 50),
    "a huge row": with_a_huge_row(1e3),
    "an enormous row": with_a_huge_row(1e12),
    "one row differs": np.r_[np.zeros((99, 5)), np.ones((1, 5))],
    "two points": np.repeat(normal(2, 5), 100, 0),
    "sphere": on_sphere(300, 12),
    "one-hot": np.eye(8)[np.arange(200) % 8],
    "signs": np.random.default_rng(0).choice([-1.0, 1.0], (200, 3)),
    "Cauchy": np.random.default_rng(0).standard_cauchy((300, 8)),
    "Cauchy, n < d": np.random.default_rng(0).standard_cauchy((50, 80)),
    "steep": normal(200, 30) * 10.0 ** (-4 * np.arange(30)),
    "mostly zero rows": np.r_[normal(100, 5), np.zeros((200, 5))],
    "rank one, wide": rank_one(20, 60),
    "bytes": np.random.default_rng(0).integers(0, 255, (200, 9)).astype(np.uint8),
}


def slow_influence(x, f, variances, grow, copies, freedom):
    """What each centred row adds: half of the slope without it, half of the mean slope while it is added, step by step."""
    steps, weights = np.polynomial.legendre.leggauss(12)
    added = []
    for row, times in zip(x, copies, strict=True):
        of_steps = []
        for share in [1.0, *(1 + steps) / 2]:
            without = (x.T @ x - share * grow * times * np.outer(row, row)) / freedom
            values, vectors = np.linalg.eigh(without)
            of_steps.append((grow * row @ vectors) ** 2 @ f.slope(variances, np.ones(len(variances)), values))
        added.append((of_steps[0] + weights @ of_steps[1:] / 2) / 2)
    squares = (x**2).sum(1)
    return np.array(added) - squares * np.mean(added) / squares.mean()


# Populations given by their variances ------------------------------------------------------------------------------


def power(d, exponent):
    return np.arange(1, d + 1.0) ** -exponent


def true_value(measure, variances):
    return named(measure).value(rg.Spectrum.from_variances(variances))


def gaussian(rng, n, variances):
    return rng.standard_normal((n, len(variances))) * np.sqrt(variances)


def sample(x, measures=SMOOTH, groups=None):
    source = source_of(torch.as_tensor(x), "x")
    return sample_of(source, measures, center=True, normalize=None, groups=groups)
