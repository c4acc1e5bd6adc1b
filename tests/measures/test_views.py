"""LiDAR against its definition with loops and a matrix square root, and planted answers."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

import repgeom as rg


def slow_lidar(x, views, delta=1e-4, epsilon=1e-8):
    samples = [x[np.asarray(views) == name] for name in sorted(set(views))]
    means = np.array([rows.mean(0) for rows in samples])
    between = np.cov(means.T)
    within = sum(np.cov(rows.T) for rows in samples) / len(samples) + delta * np.eye(x.shape[1])
    root = np.linalg.inv(scipy.linalg.sqrtm(within).real)
    eigenvalues = np.clip(np.linalg.eigvalsh(root @ between @ root), 0, None)
    p = eigenvalues / eigenvalues.sum() + epsilon
    return np.exp(-np.sum(p[p > 0] * np.log(p[p > 0])))


def views_of(n_samples=40, q=4, d=10, seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((n_samples, d)) * np.arange(1, d + 1) ** -0.5
    x = np.repeat(means, q, 0) + spread * rng.standard_normal((n_samples * q, d)) + 3
    return x, np.repeat(np.arange(n_samples), q)


@pytest.mark.parametrize("shape", [(40, 4, 10), (12, 2, 30), (200, 3, 5), (3, 5, 4)], ids=str)
@pytest.mark.parametrize("settings", [{}, {"delta": 0.1}, {"epsilon": 0}, {"delta": 1e-2, "epsilon": 1e-5}], ids=str)
def test_lidar_equals_its_slow_definition(shape, settings):
    x, views = views_of(*shape)
    assert rg.lidar(x, views, **settings) == pytest.approx(slow_lidar(x, views, **settings), rel=1e-9)


@pytest.mark.parametrize("kind", ["text", "numbers", "tensor"])
def test_the_order_of_the_rows_and_the_names_of_samples_do_not_matter(kind):
    x, views = views_of()
    order = np.random.default_rng(1).permutation(len(x))
    names = {"text": np.array([f"img-{v}" for v in views]), "numbers": views * 7 - 3, "tensor": torch.as_tensor(views)}
    assert rg.lidar(x[order], names[kind][order]) == pytest.approx(rg.lidar(x, views), rel=1e-12)


def test_samples_with_other_numbers_of_views_count_the_same():
    x, views = views_of()
    keep = np.ones(len(x), bool)
    keep[[0, 1, 9]] = False
    assert rg.lidar(x[keep], views[keep]) == pytest.approx(slow_lidar(x[keep], views[keep]), rel=1e-9)


def test_views_that_agree_leave_the_rank_of_the_means():
    """Means along k = 20 directions and nothing within: the effective rank of the means, about k exp(−k / 2 (C − 1))."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((500, 20)) @ np.linalg.qr(rng.standard_normal((64, 20)))[0].T
    x, views = np.repeat(means, 3, 0), np.repeat(np.arange(500), 3)
    with pytest.warns(UserWarning, match="outweighs what differs between views"):
        found, without_epsilon = rg.lidar(x, views), rg.lidar(x, views, epsilon=0)
    assert without_epsilon == pytest.approx(rg.effective_rank(means), rel=1e-9)
    assert found == pytest.approx(20 * np.exp(-20 / (2 * 499)), rel=0.01)
    assert found <= 20 * (1 + 1e-5)


def test_directions_in_which_views_differ_do_not_count():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((800, 8))
    x = np.repeat(means, 2, 0)
    x = np.c_[x, 1e-3 * np.repeat(rng.standard_normal((800, 8)), 2, 0) + rng.standard_normal((1600, 8))]
    found = rg.lidar(x, np.repeat(np.arange(800), 2))
    assert found == pytest.approx(8, rel=0.05)
    assert found < rg.effective_rank(x) - 3


def test_lidar_ignores_rotation_and_translation_and_feels_the_unit():
    x, views = views_of()
    rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((10, 10)))[0]
    assert rg.lidar(x @ rotation + 1e3, views) == pytest.approx(rg.lidar(x, views), rel=1e-8)
    with pytest.warns(UserWarning, match="δ = 0.0001 outweighs"):
        assert abs(rg.lidar(x * 1e-3, views) - rg.lidar(x, views)) > 0.1
    assert rg.lidar(x * 1e-3, views, delta=1e-10) == pytest.approx(rg.lidar(x, views), rel=1e-9)


def test_lidar_has_a_gradient_also_where_views_span_few_directions():
    for shape in ((6, 3, 4), (5, 2, 12)):
        x, views = views_of(*shape)
        x = torch.tensor(x, requires_grad=True)
        assert torch.autograd.gradcheck(lambda rows, v=views: rg.lidar(rows, v, delta=0.1), x, rtol=1e-4)


def test_stacks_and_types():
    x, views = views_of()
    stack = np.stack([x, x**2])
    assert rg.lidar(stack, views) == pytest.approx([rg.lidar(one, views) for one in stack], rel=1e-12)
    for dtype, tolerance in ((np.float32, 1e-5), (np.float16, 1e-2)):
        assert rg.lidar(x.astype(dtype), views) == pytest.approx(rg.lidar(x, views), rel=tolerance)
        assert rg.lidar(torch.tensor(x.astype(dtype)), views).dtype == torch.float64


X, VIEWS = views_of(6, 2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.lidar(X, range(12)), r"12 of 12 samples with one row, the first is 0"),
        (lambda: rg.lidar(X[:-1], VIEWS[:-1]), r"1 of 6 samples with one row, the first is 5"),
        (lambda: rg.lidar(X, ["only"] * 12), r"names one sample \('only'\)"),
        (lambda: rg.lidar(X, VIEWS[:-1]), "`views` has 11 entries and `features` 12 rows"),
        (lambda: rg.lidar(np.ones((12, 3)), VIEWS), "all samples of `views` have the same mean"),
        (lambda: rg.lidar(np.repeat(X[::2], 2, 0), VIEWS, delta=0), r"`delta=0.0` adds too little"),
        (lambda: rg.lidar(X, VIEWS, delta=-1), "`delta` must be a finite number of at least 0, got -1"),
        (lambda: rg.lidar(X, VIEWS, epsilon="no"), "`epsilon` must be .* got 'no'"),
        (lambda: rg.lidar(np.where(X > 3, np.inf, X), VIEWS), "non-finite"),
        (lambda: rg.lidar(X * 1e200, VIEWS), "too large"),
    ],
)  # fmt: skip
def test_what_lidar_cannot_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("epsilon", [1, 0.01, 2.0])
def test_an_epsilon_that_leaves_the_range_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"`epsilon` must be at most 0\.001, got"):
        rg.lidar(X, VIEWS, epsilon=epsilon)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1, 1e30])
def test_a_warning_says_where_delta_decides_and_not_the_views(scale):
    """δ against the mean variance of views about their sample's mean, by hand."""
    x, views = views_of()
    about = x - np.stack([x[views == view].mean(0) for view in views])
    each = [np.square(about[views == view]).sum(0) / ((views == view).sum() - 1) for view in np.unique(views)]
    spread = np.mean(each) * scale**2
    for delta in (0.9 * spread, 1.1 * spread):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            rg.lidar(x * scale, views, delta=delta)
        assert ["outweighs" in str(warning.message) for warning in found] == [True] * int(delta > spread)
