"""Predictable rank against explicit ridge solves, planted shares, leave-one-out fits, and what cannot be predicted or asked."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t as student

import repgeom as rg
from repgeom.inference.ridge_folds import PENALTIES, drawn_folds, out_of_fold


def related(n=80, p=6, q=9, seed=0, noise=0.7):
    """Features off the origin, and a teacher that follows them in part."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.5 + 2
    return x, x @ rng.standard_normal((p, q)) + noise * rng.standard_normal((n, q)) * np.arange(1, q + 1) ** -0.5 - 1


def ridge(x, y, penalty):
    """Coefficients and means of a ridge regression with a constant, by its normal equations; the penalty in units of x."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    a = x - x_mean
    gram = a.T @ a
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), a.T @ (y - y_mean)), x_mean, y_mean


def largest(x):
    return np.linalg.norm(x - x.mean(0), 2) ** 2


def predicted(x, y, fitted, rows, penalty):
    coefficients, x_mean, y_mean = ridge(x[fitted], y[fitted], penalty * largest(x[fitted]))
    return (x[rows] - x_mean) @ coefficients + y_mean


def folds_of(n, folds=5, seed=0, groups=None):
    units = np.arange(n) if groups is None else groups
    return (np.random.default_rng(seed).permutation(units.max() + 1) % folds)[units]


def slow_predictable_rank(x, y, normalize="l2", folds=5, seed=0, groups=None):
    """Predictable rank, the teacher's rank, R² and variances, with a solve for every fold and penalty."""
    if normalize:
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
    y = y - y.mean(0)
    u, s, _ = np.linalg.svd(y, full_matrices=False)
    z = (u * s)[:, s > 1e-9 * s[0]]
    fold = folds_of(len(x), folds, seed, groups)
    errors = np.array(
        [
            [np.sum((z[fold == k] - predicted(x, z, fold != k, fold == k, penalty)) ** 2) for penalty in PENALTIES]
            for k in range(folds)
        ]
    )
    residuals = np.empty_like(z)
    for k in range(folds):
        penalty = PENALTIES[np.delete(errors, k, 0).sum(0).argmin()]
        residuals[fold == k] = z[fold == k] - predicted(x, z, fold != k, fold == k, penalty)
    r_squared = np.maximum(0, 1 - (residuals**2).sum(0) / (z**2).sum(0))
    variances = (z**2).sum(0) / (len(z) - 1)
    return rank(variances * r_squared), rank(variances), r_squared, variances


def rank(variances):
    p = variances[variances > 0] / variances.sum()
    return np.exp(-np.sum(p * np.log(p)))


SHAPES = {"tall": (80, 6, 9), "wide features": (40, 90, 7), "wide teacher": (40, 5, 70), "one column": (60, 1, 3)}


@pytest.mark.parametrize("normalize", ["l2", None])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_equals_its_definition(shape, normalize):
    x, y = related(*SHAPES[shape])
    found = rg.predictable_rank(x, y, normalize=normalize, seed=3, folds=4)
    value, teacher, r_squared, variances = slow_predictable_rank(x, y, normalize, folds=4, seed=3)
    assert found.value == pytest.approx(value, rel=1e-6)
    assert found.teacher_rank == pytest.approx(teacher, rel=1e-9)
    assert found.teacher_rank == pytest.approx(rg.effective_rank(y, normalize=normalize), rel=1e-9)
    assert found.r_squared == pytest.approx(r_squared, abs=1e-6)
    assert found.variances == pytest.approx(variances, rel=1e-8)
    assert found.explained == pytest.approx((variances * r_squared).sum() / variances.sum(), rel=1e-6)
    assert (found.n_samples, len(found.penalties), found.normalize) == (len(x), 4, normalize)
    assert np.isin(found.penalties, PENALTIES).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_type_is_worked_out_in_float64(dtype):
    x, y = (torch.tensor(z).to(dtype) for z in related())
    found = rg.predictable_rank(x, y)
    expected = slow_predictable_rank(x.double().numpy(), y.double().numpy())
    assert found.value == pytest.approx(expected[0], rel=1e-8)
    assert isinstance(found.r_squared, np.ndarray)


@pytest.mark.parametrize("n", [10, 200])
def test_a_linear_map_of_the_features_is_predicted_whole(n):
    x, y = related(n, 5, 12, noise=0)
    found = rg.predictable_rank(x, y, normalize=None)
    assert found.r_squared == pytest.approx(np.ones(5), abs=1e-6)
    assert found.value == pytest.approx(rg.effective_rank(y), rel=1e-6)
    assert found.explained == pytest.approx(1, abs=1e-9)


def test_planted_shares_are_found():
    rng = np.random.default_rng(0)
    shares, variances = np.array([0.9, 0.5, 0.2, 0, 0, 0]), np.array([8.0, 4, 2, 1, 0.5, 0.25])
    z, noise = rng.standard_normal((2, 6000, 6))
    teacher = (z * np.sqrt(shares) + noise * np.sqrt(1 - shares)) * np.sqrt(variances)
    found = rg.predictable_rank(z[:, :3] * [1, 5, 25] + 3, teacher, normalize=None)
    assert found.r_squared == pytest.approx(shares, abs=0.03)
    assert found.variances == pytest.approx(variances, rel=0.06)
    assert found.low < rank(variances * shares) < found.high
    assert found.explained_low < (variances * shares).sum() / variances.sum() < found.explained_high


@pytest.mark.parametrize("n", [10, 60, 400])
def test_of_unrelated_features_nothing_is_predictable(n):
    x, y = np.random.default_rng(1).standard_normal((2, n, 8))
    found = rg.predictable_rank(x, y)
    assert (found.value, found.explained, found.low, found.explained_low) == (0, 0, None, None)
    assert not found.r_squared.any()
    assert found.warnings == ("nothing is predictable: no direction's R² is surely above 0",)


def test_one_column_that_outweighs_all_others_is_told():
    """Penalties are shares of the largest sum of squares: beside noise of a million nothing else is left."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 10))
    y = x @ rng.standard_normal((10, 6)) + 0.1 * rng.standard_normal((400, 6))
    noise = rng.standard_normal((400, 1))
    told = "one direction of `features` holds all but a millionth of their variance"
    for scale, expected in ((100.0, False), (1e6, True)):
        warnings = rg.predictable_rank(np.hstack([x, scale * noise]), y).warnings
        assert any(w.startswith(told) for w in warnings) == expected


def test_of_many_directions_some_seem_predictable_by_chance():
    for seed in range(20, 30):
        x, y = np.random.default_rng(seed).standard_normal((2, 150, 60))
        assert rg.predictable_rank(x[:, :1], y).value == 0


def test_a_teacher_of_long_tails_that_is_predicted_whole_is_predictable():
    """Its squares spread by more than their mean, and its errors not at all."""
    x = np.exp(2 * np.random.default_rng(0).standard_normal((10, 2)))
    assert rg.predictable_rank(x, x, normalize=None).explained > 0.99


def test_one_direction_of_many_that_is_predictable_is_found():
    x, y = np.random.default_rng(0).standard_normal((2, 200, 40))
    y[:, 0] = 1.5 * x[:, 0] + 0.1 * y[:, 0]
    found = rg.predictable_rank(x, y, normalize=None)
    assert found.r_squared.argmax() == 0
    assert found.value > 0


def test_what_leaves_it_and_what_moves_it():
    x, y = related(320)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    turned = np.linalg.qr(np.random.default_rng(2).standard_normal((9, 9)))[0]
    found = rg.predictable_rank(x, y)
    for features in (x + 1e3, 1e150 * x, 1e-150 * x, x @ rotation, np.c_[x, np.zeros((len(x), 200))]):
        assert rg.predictable_rank(features, y).value == pytest.approx(found.value, rel=1e-6)
    lengths = np.linspace(1, 9, len(y))[:, None]
    for teacher in (y @ turned, y * lengths):
        same = rg.predictable_rank(x, teacher)
        assert (same.value, same.low, same.high) == pytest.approx((found.value, found.low, found.high), rel=1e-8)
    plain = rg.predictable_rank(x, y, normalize=None)
    assert rg.predictable_rank(x, 5 * y + 7, normalize=None).value == pytest.approx(plain.value, rel=1e-8)
    assert rg.predictable_rank(x, 5 * y + 7, normalize=None).variances == pytest.approx(25 * plain.variances, rel=1e-8)
    moved = [rg.predictable_rank(x, y + 7), rg.predictable_rank(x * [1, 1, 1, 1, 1, 300], y)]
    moved += [rg.predictable_rank(x, y, seed=1), rg.predictable_rank(y, x)]
    assert all(abs(other.value - found.value) > 1e-4 for other in moved)


def test_rows_of_a_group_stay_in_one_fold_and_count_as_one():
    """Each sample stands there three times: without groups its copies give it away."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 90)), rng.standard_normal((60, 4))
    groups = np.repeat(np.arange(60), 3)
    leaked = rg.predictable_rank(x[groups], y[groups])
    assert leaked.explained > 0.9
    assert rg.predictable_rank(x[groups], y[groups], groups=groups).value == 0
    folds = drawn_folds(180, 5, 0, torch.tensor(groups)).numpy()
    assert (folds == folds_of(60)[groups]).all()
    x, y = related(320)
    groups = np.repeat(np.arange(320), 3)
    one, three = rg.predictable_rank(x, y), rg.predictable_rank(x[groups], y[groups], groups=groups)
    assert three.value == pytest.approx(one.value, rel=1e-6)
    assert three.high / three.low == pytest.approx(one.high / one.low, rel=0.05)


def test_contributions_are_those_of_fits_without_each_row():
    x, y = related(30, 4, 5)
    x, y = x - x.mean(0), y - y.mean(0)
    fold, slopes = folds_of(30, 3), np.array([[0.4, -1.0, 2.0, 0.0, 0.3], [1.0, 1.0, 1.0, 0.0, 0.0]])
    read = out_of_fold(torch.tensor(x), torch.tensor(y), torch.tensor(fold))
    expected = slopes @ (y**2 - read.residuals.numpy() ** 2).T
    for row in range(30):
        for k in range(3):
            fitted, held = fold != k, fold == k
            if held[row]:
                continue
            penalty = float(read.penalties[k]) * largest(x[fitted])
            predictions = []
            for rows in (fitted, fitted & (np.arange(30) != row)):
                coefficients, x_mean, y_mean = ridge(x[rows], y[rows], penalty)
                predictions.append((x[held] - x_mean) @ coefficients + y_mean)
            # To first order in the change of the predictions, a square of residuals falls by twice their product.
            change = predictions[0] - predictions[1]
            expected[:, row] += 2 * slopes @ np.sum(read.residuals.numpy()[held] * change, 0)
    assert read.contributions(torch.tensor(slopes)).numpy() == pytest.approx(expected, rel=1e-8)


def test_intervals_are_students():
    x, y = related(330)
    found = rg.predictable_rank(x, y, normalize=None, confidence=0.9)
    u, s, _ = np.linalg.svd(y - y.mean(0), full_matrices=False)
    read = out_of_fold(torch.tensor(x - x.mean(0)), torch.tensor(u * s), torch.tensor(folds_of(330)))
    sums, squares = np.maximum(0, read.gains.sum(0).numpy()), read.targets.square().sum(1).numpy()
    step = 1e-6 * sums.sum() * np.eye(9)
    # The slope of the entropy, by differences; what is cut at 0 stays there.
    slopes = [(np.log(rank(sums + h)) - np.log(rank(sums - h))) / h.sum() / 2 for h in step]
    of_rank, gains = read.contributions(torch.tensor(np.array([np.where(sums > 0, slopes, 0), sums > 0]))).numpy()
    of_share = gains - found.explained * squares
    rank_reach, share_reach = (
        student.ppf(0.95, 329) * z.std(ddof=1) * np.sqrt(330) for z in (of_rank, of_share / squares.sum())
    )
    assert np.log([found.high / found.value, found.value / found.low]) == pytest.approx([rank_reach] * 2, rel=1e-4)
    ends = np.array([found.explained_low, found.explained_high])
    assert np.abs(ends - found.explained) == pytest.approx([share_reach] * 2, rel=1e-8)
    # Contributions to a sum become what each row adds to a mean.
    influence = 330 * (of_rank - of_rank.mean())
    assert found.influence == pytest.approx(influence, rel=1e-4, abs=1e-4 * np.abs(influence).max())
    assert found.explained_influence == pytest.approx(330 * (of_share - of_share.mean()) / squares.sum())


def test_what_two_models_of_the_same_rows_share_cancels():
    x, y = related(320)
    near = x + 1e-4 * np.random.default_rng(0).standard_normal(x.shape)
    one, other = (rg.predictable_rank(features, y) for features in (x, near))
    assert (one.influence - other.influence).std() < 0.05 * one.influence.std()
    assert rg.predictable_rank(x[:299], y[:299]).influence is None


def test_intervals_that_are_not_known_to_hold_are_not_given():
    few = rg.predictable_rank(*related(299))
    assert (few.low, few.high, few.explained_low, few.explained_high) == (None,) * 4
    assert few.warnings == ("no interval: 299 rows are fewer than 300",)
    assert few.value > 1
    x, y = related(320)
    assert rg.predictable_rank(x, y).low is not None
    groups = np.arange(320) // 2
    assert rg.predictable_rank(x, y, groups=groups).warnings == ("no interval: 160 groups are fewer than 300",)
    x[3] += 4
    heavy = rg.predictable_rank(x, y, normalize=None)
    assert heavy.warnings == ("no interval: one of the rows carries half of the squared error",)
    y[3] *= 6
    heavier = rg.predictable_rank(x, y, normalize=None)
    assert heavier.warnings == ("no interval: one of the rows holds more than a quarter of the teacher's variance",)
    assert (heavy.low, heavier.low) == (None, None)
    one = rg.predictable_rank(x, x[:, :1], normalize=None)
    assert (one.value, one.low) == (1, None)
    assert one.warnings[0].startswith("no interval: only one direction is predictable")


def test_features_that_vary_in_one_row_alone_say_nothing():
    """All features are equal wherever that row is held out."""
    x = np.zeros((32, 3))
    x[7] = 1
    assert rg.predictable_rank(x, related(32)[1]).value == 0
    y = torch.tensor(related(32)[1])
    read = out_of_fold(torch.zeros(32, 3, dtype=torch.float64), y - y.mean(0), torch.arange(32) % 2)
    assert read.residuals[::2].numpy() == pytest.approx((y[::2] - y[1::2].mean(0)).numpy())


def test_it_prints_as_one_line():
    found = rg.predictable_rank(*related(320))
    assert re.fullmatch(
        r"<PredictableRank [\d.]+ \[[\d.]+, [\d.]+\] of the teacher's [\d.]+ dimensions, "
        r"[\d.]+% \[[\d.]+%, [\d.]+%\] of its variance, from 320 rows>",
        str(found),
    )
    assert repr(rg.predictable_rank(*related(20))).endswith("from 20 rows; no interval: 20 rows are fewer than 300>")


X, Y = related(30)
REFUSED = {
    "other rows": (X, Y[:20], {}, r"`features` has 30 rows and `teacher` 20 .* row i of both must be the same sample"),
    "nine rows": (X[:9], Y[:9], {}, r"`features` has 9 rows; predictable rank takes 10 or more"),
    "one point": (X, np.full((30, 4), 0.1), {}, r"`teacher` has zero variance"),
    "one direction": (X, np.outer(np.arange(1, 31), [0.1, 0.7, 0.3]), {}, r"`teacher` has zero variance"),
    "equal features": (np.full((30, 4), 0.1), Y, {}, r"`features` has zero variance"),
    "NaN": (np.where(X[0, 0] == X, np.nan, X), Y, {}, r"`features` has 1 non-finite value"),
    "infinity": (X, np.where(Y[0, 0] == Y, np.inf, Y), {}, r"`teacher` has 1 non-finite value"),
    "huge": (X, Y * 1e200, {"normalize": None}, r"`teacher` holds values too large"),
    "a stack": (X[None], Y[None], {}, r"`features` must be \(n_samples, n_features\), got shape \(1, 30, 6\)"),
    "one fold": (X, Y, {"folds": 1}, r"`folds` must be a whole number from 2 to the number of rows, 30; got 1"),
    "many folds": (X, Y, {"folds": 31}, r"`folds` must be .* 30; got 31"),
    "few groups": (X, Y, {"groups": np.arange(30) % 3}, r"`folds` must be .* the number of groups, 3; got 5"),
    "normalize": (X, Y, {"normalize": "l1"}, r"`normalize` must be None or \"l2\""),
    "seed": (X, Y, {"seed": -1}, r"`seed` must be a whole number of at least 0, got -1"),
    "confidence": (X, Y, {"confidence": 95}, r"`confidence` must lie between 0 and 1"),
    "another order": (pd.DataFrame(X), pd.DataFrame(Y).iloc[::-1], {}, r"`teacher` has the rows of `features`"),
}


@pytest.mark.parametrize(("features", "teacher", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_answered_is_refused(features, teacher, options, message):
    with pytest.raises(ValueError, match=message):
        rg.predictable_rank(features, teacher, **options)
