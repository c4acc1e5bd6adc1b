"""Rows of deficient rank: what repeats, never changes or does not occur leaves the value of the rest."""

import numpy as np
import pytest
import torch
from estimate_reference import normal, power

import repgeom as rg

MEASURES = ["effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank"]


def decaying(n, d, seed):
    return normal(n, d, seed) * power(d, 0.25)


def repeated(n, d, repeats, seed, noise=0.0):
    """Rows of which the last repeat the first, and the rows without them."""
    x = decaying(n, d, seed)
    x[n - repeats :] = x[:repeats] + noise * normal(repeats, d, 1000 + seed)
    return x, x[: n - repeats]


def padded(x, width, offset=0.0):
    """The same columns in a random order among columns that never change."""
    wide = np.full((len(x), width), offset)
    wide[:, np.random.default_rng(5).permutation(width)[: x.shape[1]]] = x
    return wide


def low_rank(n, rank, d, seed):
    return normal(n, rank, seed) @ np.linalg.qr(normal(d, rank, 77)).Q.T


def one_hot_blocks(n, live, dead, seed):
    """Three blocks of symbols; some never occur."""
    rng = np.random.default_rng(seed)
    blocks = [np.eye(live)[rng.integers(0, live, n)] for _ in range(3)]
    return np.hstack([padded(block, live + dead) for block in blocks]), np.hstack(blocks)


def classes(n, d, seed):
    """Eight classes in subspaces of six dimensions each; together they do not fill the features."""
    rng = np.random.default_rng(seed)
    bases = np.linalg.qr(normal(d, 48, 55)).Q.reshape(d, 8, 6)
    rows = np.einsum("dnk,nk->nd", bases[:, rng.integers(0, 8, n)], rng.standard_normal((n, 6)))
    return rows, rows @ bases.reshape(d, 48)


def words(n, seed):
    """Counts of 60 words that occur beside 90 that never do."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(60, 0.5), n)
    counts = np.stack([rng.multinomial(80, row) for row in shares]).astype(float)
    return padded(counts, 150), counts


# name → a function of the seed: the rows, and the same without what is deficient.
DESIGNS = {
    "one repeated row": lambda s: repeated(60, 64, 1, s),
    "several repeated rows": lambda s: repeated(120, 64, 6, s),
    "rows repeated up to rounding": lambda s: repeated(120, 64, 6, s, 1e-6),
    "several repeated rows, fewer than features": lambda s: repeated(60, 64, 5, s),
    "dead columns": lambda s: (padded(decaying(150, 50, s), 192), decaying(150, 50, s)),
    "dead columns, fewer rows": lambda s: (padded(decaying(40, 50, s), 192), decaying(40, 50, s)),
    "constant columns with a large mean": lambda s: (padded(decaying(150, 50, s), 192, 300.0), decaying(150, 50, s)),
    "low rank": lambda s: (low_rank(200, 8, 384, s), normal(200, 8, s)),
    "low rank and an offset": lambda s: (low_rank(200, 8, 384, s) + 50 * normal(1, 384, 3), normal(200, 8, s)),
    "low rank, tall": lambda s: (low_rank(300, 8, 40, s), normal(300, 8, s)),
    "classes in subspaces": lambda s: classes(120, 96, s),
    "words that do not occur": lambda s: words(150, s),
    "symbols that do not occur": lambda s: one_hot_blocks(150, 12, 20, s),
    "a column of zeros and ones that is never one": lambda s: (
        np.c_[decaying(90, 40, s), np.zeros(90)],
        decaying(90, 40, s),
    ),
}


def as_type(rows, dtype):
    return torch.as_tensor(rows).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("design", DESIGNS)
def test_what_is_deficient_leaves_the_value_of_the_rest(design, dtype):
    moved = {measure: [] for measure in MEASURES}
    for seed in range(3):
        rows, rest = DESIGNS[design](seed)
        for measure in MEASURES:
            found = rg.estimate(as_type(rows, dtype), measure)
            wanted = rg.estimate(as_type(rest, dtype), measure, groups=range(len(rest)))
            assert np.isfinite([found.value, found.in_these_rows]).all()
            assert 1 <= found.value <= rows.shape[1]
            moved[measure].append(np.log(found.value / wanted.value))
    for measure, changes in moved.items():
        # The leading variance is read off a grid where it does not stand clear.
        most = 0.03 if measure == "stable_rank" else 0.02
        assert abs(np.mean(changes)) < most, (measure, changes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("measure", ["effective_rank", "participation_ratio"])
def test_all_rows_twice_read_as_once_when_told_and_are_never_nan(measure, dtype):
    x = decaying(60, 64, 0)
    once = rg.estimate(as_type(x, dtype), measure)
    twice = as_type(np.repeat(x, 2, 0), dtype)
    told = rg.estimate(twice, measure, groups=np.repeat(np.arange(60), 2))
    assert told.value == pytest.approx(once.value, rel=0.02)
    untold = rg.estimate(twice, measure)
    assert np.isfinite(untold.value)
    assert untold.low is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("measure", MEASURES)
def test_a_copied_column_is_one_direction_of_twice_the_variance(measure, dtype):
    x = decaying(150, 50, 0)
    copied = as_type(np.c_[x, x[:, 7]], dtype)
    x[:, 7] *= 2**0.5
    assert rg.estimate(copied, measure).value == pytest.approx(rg.estimate(as_type(x, dtype), measure).value, rel=0.02)


@pytest.mark.parametrize("n", [8, 12, 20])
def test_few_rows_of_low_rank_have_a_value_in_its_range(n):
    for dtype in (torch.float32, torch.float64):
        for measure in MEASURES:
            e = rg.estimate(as_type(low_rank(n, 5, 384, 1), dtype), measure)
            assert 1 <= e.value <= 5 * (1 + 1e-9)
