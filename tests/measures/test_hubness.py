"""Hubs, antihubs and the length of rows: against scikit-learn and scipy, and where rows lie equally near."""

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.neighbors import NearestNeighbors

import repgeom as rg
from repgeom.measures import drawn_rows as module

METRICS = ("cosine", "euclidean", "dot")


def similarities(x, metric):
    x = np.asarray(x, dtype=np.float64)
    if metric == "dot":
        return x @ x.T
    if metric == "cosine":
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
        return x @ x.T
    return -np.array([[np.sum((a - b) ** 2) for b in x] for a in x])


def slow_counts(x, k, metric, groups=None):
    """(n, n) how much of a neighbour each row is to each: rows as near as the k-th share the places that are left."""
    s = similarities(x, metric)
    counts = np.zeros_like(s)
    for i, row in enumerate(s):
        others = [j for j in range(len(s)) if (j != i if groups is None else groups[j] != groups[i])]
        last = sorted(row[others])[-k]
        nearer = [j for j in others if row[j] > last + 1e-9 * abs(last)]
        tied = [j for j in others if j not in nearer and row[j] >= last - 1e-9 * abs(last)]
        counts[i, nearer] = 1
        counts[i, tied] = (k - len(nearer)) / len(tied)
    return counts


def slow_hubness(x):
    """What an audit reads."""
    return slow_moments(x)[0]


def slow_moments(x, k=10, metric="cosine", groups=None):
    often = slow_counts(x, k, metric, groups).sum(0)
    return scipy.stats.skew(often), np.abs(often - k).sum() / (2 * len(x) * k), np.mean(often == 0), often.max()


def slow_cosine_dot_overlap(x, k=10):
    a, b = (slow_counts(x, k, metric) for metric in ("cosine", "dot"))
    return np.mean((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)))


def features(n=80, d=12, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * rng.lognormal(size=(n, 1)) + 0.3).astype(dtype)


def read(found):
    return found.skewness, found.robin_hood, found.antihub_share, found.largest


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(80, 12), (30, 60), (40, 2), (12, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_hubness_equals_its_slow_definition(metric, shape, dtype):
    x = features(*shape, dtype)
    assert read(rg.hubness(x, k=4, metric=metric)) == pytest.approx(slow_moments(x, 4, metric), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("metric", "theirs"), [("euclidean", "euclidean"), ("cosine", "cosine")])
def test_hubness_equals_scikit_learn_and_scipy(metric, theirs):
    x = features(600, 30)
    near = NearestNeighbors(n_neighbors=10, metric=theirs, algorithm="brute").fit(x).kneighbors(return_distance=False)
    often = np.bincount(near.ravel(), minlength=600)
    found = rg.hubness(x, metric=metric)
    assert (found.occurrence == often).all()
    assert found.skewness == pytest.approx(scipy.stats.skew(often), rel=1e-12)


def test_an_even_lattice_has_no_hubs():
    angles = np.arange(24) * 2 * np.pi / 24
    circle = np.c_[np.cos(angles), np.sin(angles)]
    for metric in METRICS:
        for k in (2, 3):  # of the third and fourth neighbour, at one distance, each gets half a place
            found = rg.hubness(circle, k=k, metric=metric)
            assert read(found) == pytest.approx((0, 0, 0, k), abs=1e-9)


def test_hubness_of_gaussian_rows_grows_with_the_dimension():
    """Of 2,000 rows, k = 10: skewness −.17 and 2.13, Robin Hood .097 and .39. A skewness hangs on the largest few hubs."""
    for d, skewness, robin_hood in ((2, -0.17, 0.097), (20, 2.13, 0.39)):
        found = rg.hubness(np.random.default_rng(d).standard_normal((2000, d)), metric="euclidean")
        assert found.skewness == pytest.approx(skewness, rel=0.4, abs=0.15)
        assert found.robin_hood == pytest.approx(robin_hood, abs=0.01)
        assert found.isotropic_skewness == pytest.approx(skewness, rel=0.2, abs=0.15)
        assert found.isotropic_robin_hood == pytest.approx(robin_hood, abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_no_order_of_the_rows_decides_where_rows_tie(metric):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (60, 5)).astype(float)
    codes[0] = 0  # a row of zeros, as near as any at a right angle
    order = rng.permutation(60)
    found, moved = (rg.hubness(rows, k=3, metric=metric).occurrence for rows in (codes, codes[order]))
    assert moved == pytest.approx(found[order], abs=1e-9)
    assert found == pytest.approx(slow_counts(codes, 3, metric).sum(0), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_hubness_ignores_rotation_and_scale(metric):
    x = features()
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    plain = rg.hubness(x, metric=metric).occurrence
    for scale in (1e-200, 1e-3, 1e150):
        assert (rg.hubness(x @ rotation * scale, metric=metric).occurrence == plain).all()
    assert (rg.hubness(x + 50, metric="euclidean").occurrence == rg.hubness(x, metric="euclidean").occurrence).all()


@pytest.mark.parametrize("metric", ["euclidean", "dot"])
def test_one_row_far_away_does_not_make_the_others_tie(metric):
    x = features(50, 8)
    x[7] = 1e7
    assert rg.hubness(x, k=3, metric=metric).occurrence == pytest.approx(slow_counts(x, 3, metric).sum(0), abs=1e-9)


def test_hubs_and_antihubs_are_named():
    x = np.random.default_rng(0).standard_normal((100, 300)) + 0
    x[17] = x.mean(0)  # in the middle of the cloud, and near to all
    found = rg.hubness(x, k=5, metric="euclidean")
    assert found.hubs[0] == 17
    assert found.largest == found.occurrence[17] > 90
    assert (found.antihubs == np.flatnonzero(found.occurrence == 0)).all()
    assert len(found.antihubs) == round(found.antihub_share * 100)
    assert "100 rows, k = 5, euclidean" in repr(found)


def test_rows_are_drawn_with_a_seed_and_numbered():
    x = features(300, 6)
    found, again, other = (rg.hubness(x, k=3, max_rows=90, seed=seed) for seed in (1, 1, 2))
    assert len(found.rows) == len(found.occurrence) == 90
    assert (found.rows == again.rows).all()
    assert (found.rows != other.rows).any()
    assert (found.occurrence == rg.hubness(x[found.rows], k=3).occurrence).all()
    assert set(found.antihubs) <= set(found.rows)
    whole = rg.hubness(x, k=3, max_rows=None)
    assert (whole.rows == np.arange(300)).all()


def test_many_float32_rows_are_searched_in_float32(monkeypatch):
    x = features(200, 10, np.float32)
    exact = rg.hubness(x, max_rows=None)
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    assert module.drawn_rows(torch.as_tensor(x), None, 0)[0].dtype == torch.float32
    assert rg.hubness(x, max_rows=None).occurrence == pytest.approx(exact.occurrence, abs=0.51)
    assert rg.cosine_dot_overlap(x, max_rows=None) == pytest.approx(
        rg.cosine_dot_overlap(x, max_rows=100_000), abs=0.01
    )


def test_rows_of_ones_own_group_are_no_neighbours():
    x, groups = features(60, 5), np.repeat(np.arange(20), 3)
    found = rg.hubness(x, k=4, groups=groups)
    assert found.occurrence == pytest.approx(slow_counts(x, 4, "cosine", groups).sum(0))
    assert (found.occurrence != rg.hubness(x, k=4).occurrence).any()
    drawn = rg.hubness(x, k=4, groups=groups, max_rows=40)
    assert (drawn.occurrence == rg.hubness(x[drawn.rows], k=4, groups=groups[drawn.rows]).occurrence).all()


def test_stacks_and_tensors_come_back_as_they_came():
    x = np.stack([features(seed=seed) for seed in range(3)])
    stacked = rg.hubness(x, k=3)
    singles = [rg.hubness(one, k=3) for one in x]
    assert stacked.skewness == pytest.approx([one.skewness for one in singles])
    assert stacked.occurrence == pytest.approx(np.stack([one.occurrence for one in singles]))
    with pytest.raises(ValueError, match=r"of a stack of matrices \(3,\)"):
        stacked.hubs  # noqa: B018
    assert "(3,) matrices" in repr(stacked)
    assert rg.cosine_dot_overlap(x, k=3) == pytest.approx([rg.cosine_dot_overlap(one, k=3) for one in x])
    tensor = torch.tensor(x[0], requires_grad=True)
    assert isinstance(rg.hubness(tensor, k=3).skewness, torch.Tensor)
    assert not rg.hubness(tensor, k=3).skewness.requires_grad


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_cosine_dot_overlap_equals_its_slow_definition(dtype):
    for seed in range(3):
        x = features(70, 9, dtype, seed)
        assert rg.cosine_dot_overlap(x, k=6) == pytest.approx(slow_cosine_dot_overlap(x, 6), rel=1e-9)


def test_rows_of_one_length_have_one_list_of_neighbours():
    x = features()
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert rg.cosine_dot_overlap(x) < 0.9
    assert rg.cosine_dot_overlap(units) == pytest.approx(1, abs=1e-12)
    assert rg.cosine_dot_overlap(5e-120 * units) == pytest.approx(1, abs=1e-12)


ONE = np.ones((20, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.hubness(features(10, 3), k=10), r"`k`.*10"),
        (lambda: rg.hubness(features(10, 3), k=0), r"`k`.*0"),
        (lambda: rg.hubness(features(), metric="l1"), r"`metric` must be one of 'cosine', 'euclidean', 'dot', got 'l1'"),
        (lambda: rg.hubness(features(), max_rows=1), r"`max_rows` must be a whole number of at least 2, .* got 1"),
        (lambda: rg.hubness(features(), max_rows=9.5), r"`max_rows` must be .* got 9.5"),
        (lambda: rg.hubness(ONE), "all rows of `features` point one way"),
        (lambda: rg.hubness(ONE, metric="euclidean"), "all rows of `features` are equal"),
        (lambda: rg.hubness(ONE, metric="dot"), "all rows of `features` are equal"),
        (lambda: rg.cosine_dot_overlap(np.arange(1, 21)[:, None] * ONE), "all rows of `features` point one way"),
        (lambda: rg.hubness(np.full((5, 2), np.nan), k=1), "10 non-finite values"),
        (lambda: rg.hubness(features(9, 3), k=4, groups=[0] * 6 + [1] * 3), "a group of 6 of 9 rows"),
    ],
)  # fmt: skip
def test_what_has_no_neighbours_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
