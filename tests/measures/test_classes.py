"""What labels add: against loops over classes, scikit-learn's leave-one-out vote and a regression on the labels."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import added_up, oracle
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import repgeom as rg
from repgeom.data.labels import as_labels
from repgeom.measures.class_tally import ClassTally

EPS = np.finfo(float).eps
ABS = 512 * EPS  # a few hundred roundings of numbers near 1
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def classes(rng, n=60, d=5, n_classes=4, apart=1.5, offset=0.0):
    labels = rng.integers(0, n_classes, n)
    means = apart * rng.standard_normal((n_classes, d))
    return means[labels] + rng.standard_normal((n, d)) * np.arange(1, d + 1) + offset, labels


def r_squared(x, labels):
    one_hot = (np.asarray(labels)[:, None] == np.unique(labels)).astype(float)
    fitted = LinearRegression().fit(one_hot, x).predict(one_hot)
    return r2_score(x, fitted, multioutput="variance_weighted")


def leave_one_out(x, labels, k):
    vote = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
    return cross_val_score(vote, x, labels, cv=LeaveOneOut()).mean()


def slow_class_rank_median(x, labels):
    return np.median([oracle(x[labels == c])["effective_rank"] for c in np.unique(labels)])


def slow_between_class_variance(x, labels):
    return r_squared(x, labels)


def slow_knn_accuracy(x, labels):
    """Of equal votes the class whose nearest voter stands first wins."""
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    right = 0
    for i, row in enumerate(units):
        others = [j for j in np.argsort(-units @ row) if j != i]
        voters = labels[others[:10]].tolist()
        right += max(voters, key=lambda c: (voters.count(c), -voters.index(c))) == labels[i]
    return right / len(x)


# --- effective rank of each class --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("offset", [0, 30])
def test_rank_of_each_class_is_that_of_its_rows(offset, dtype, rng):
    x, labels = classes(rng, offset=offset)
    x = torch.tensor(x).to(dtype)
    ranks = rg.class_effective_rank(x, labels)
    units = x.double() / torch.linalg.vector_norm(x.double(), dim=1, keepdim=True)
    normalized = rg.class_effective_rank(x, labels, normalize="l2")
    assert ranks.labels.tolist() == [0, 1, 2, 3]
    assert ranks.n_samples.tolist() == np.bincount(labels).tolist()
    for c in range(4):
        assert ranks.effective_rank[c] == pytest.approx(oracle(x[labels == c])["effective_rank"], rel=1e-6)
        assert normalized.effective_rank[c] == pytest.approx(oracle(units[labels == c])["effective_rank"], rel=1e-5)


@pytest.mark.parametrize(("n", "d"), [(5, 8), (12, 4), (40, 40)])
def test_baseline_is_what_isotropic_features_of_that_size_read(n, d, rng):
    drawn = [oracle(rng.standard_normal((n, d)))["effective_rank"] for _ in range(100)]
    ranks = rg.class_effective_rank(rng.standard_normal((2 * n, d)) * ([[9]] + [[1]] * (2 * n - 1)), [0, 1] * n)
    assert ranks.baseline == pytest.approx([np.mean(drawn)] * 2, rel=0.05)
    assert ranks.share == pytest.approx((ranks.effective_rank - 1) / (ranks.baseline - 1), rel=ABS)
    assert ranks.share[0] < ranks.share[1]


def test_one_collapsed_class_is_found(rng):
    x = rng.standard_normal((90, 6))
    labels = np.arange(90) % 3
    x[labels == 1] = np.outer(rng.standard_normal(30), np.ones(6)) + 0.1
    ranks = rg.class_effective_rank(x, labels)
    assert ranks.effective_rank[1] == pytest.approx(1, abs=1e-6)
    assert ranks.share[1] == pytest.approx(0, abs=1e-6)
    assert ranks.share[[0, 2]].min() > 0.8


@pytest.mark.parametrize("normalize", [None, "l2"])
def test_single_rows_and_equal_rows_are_told_apart(normalize, rng):
    x = np.vstack([rng.standard_normal((1, 3)), np.full((7, 3), 0.1), rng.standard_normal((9, 3))])
    ranks = rg.class_effective_rank(x, ["one"] + 7 * ["same"] + 9 * ["wide"], normalize=normalize)
    assert ranks.labels.tolist() == ["one", "same", "wide"]
    assert np.isnan([ranks.effective_rank[0], ranks.baseline[0], ranks.share[0]]).all()
    assert (ranks.effective_rank[1], ranks.share[1]) == (0, 0)
    assert 1 < ranks.effective_rank[2] <= 3


def test_a_class_of_one_direction_is_a_point_once_rows_have_unit_length(rng):
    x = np.vstack([np.outer([1.0, 2, 3], [1.0, 2, 5]), rng.standard_normal((9, 3))])
    assert rg.class_effective_rank(x, [0] * 3 + [1] * 9, normalize="l2").effective_rank[0] == 0


def test_large_classes_are_sampled_by_seed(rng):
    x, labels = rng.standard_normal((200, 3)), np.repeat([0, 1], [160, 40])
    ranks, again, other = (rg.class_effective_rank(x, labels, seed=seed) for seed in (0, 0, 1))
    assert ranks.n_samples.tolist() == [48, 40]
    assert (ranks.effective_rank == again.effective_rank).all()
    assert (ranks.effective_rank == other.effective_rank).tolist() == [False, True]
    assert ranks.effective_rank[0] == pytest.approx(3, abs=0.2)


def test_the_row_that_is_not_finite_is_named_as_the_caller_counts(rng):
    x, labels = classes(rng)
    x[17, 2] = np.nan
    for measure in (rg.class_effective_rank, rg.between_class_variance, rg.knn_accuracy):
        with pytest.raises(ValueError, match="the first is nan at row 17, column 2"):
            measure(x, labels)
    with pytest.raises(ValueError, match="1 non-finite value"):  # in a class of one row
        rg.class_effective_rank([[np.nan, 1.0], [1.0, 2.0], [3.0, 5.0]], [0, 1, 1])


# --- between-class variance --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("shape", [(60, 5), (7, 30), (5, 1)], ids=str)
def test_between_share_is_the_r_squared_of_the_labels(shape, offset, dtype, rng):
    x, labels = classes(rng, *shape, offset=offset)
    x = torch.tensor(x).to(dtype)
    expected = r_squared(x.double().numpy(), labels)
    assert rg.between_class_variance(x, labels) == pytest.approx(expected, abs=ABS * max(1, offset))


def test_between_share_at_its_ends_and_by_chance(rng):
    x, labels = classes(rng, apart=0)
    assert rg.between_class_variance(x, np.zeros(60)) == pytest.approx(0, abs=ABS)
    assert rg.between_class_variance(x, range(60)) == pytest.approx(1, abs=ABS)
    assert rg.between_class_variance(x[labels], labels) == pytest.approx(1, abs=ABS)
    shuffled = [rg.between_class_variance(x, rng.permutation(labels)) for _ in range(300)]
    assert np.mean(shuffled) == pytest.approx(3 / 59, abs=4 * np.std(shuffled) / 300**0.5)


def test_between_share_over_chunks_equals_the_whole(rng):
    x, labels = classes(rng)
    parts = [ClassTally() for _ in range(3)]
    for part, rows in zip(parts, np.split(np.arange(60), [1, 8]), strict=True):
        added_up(part, torch.tensor(x[rows]), 7, int(rows[0]), labels=labels[rows])
    for other in parts[:2]:
        parts[2].merge(other)
    assert parts[2].between_share() == pytest.approx(rg.between_class_variance(x, labels), abs=ABS)


@pytest.mark.parametrize("n", range(2, 10))
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_constant_features_have_no_variance_to_divide(value, n):
    with pytest.raises(ValueError, match="`features` has zero variance"):
        rg.between_class_variance(np.full((n, 3), value), np.arange(n) % 2)


# --- neighbours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("k", "n_classes"), [(1, 4), (3, 2), (7, 2), (39, 2)])
def test_vote_is_that_of_scikit_learn(k, n_classes, dtype, rng):
    x, labels = classes(rng, 40, n_classes=n_classes)
    x = torch.tensor(x).to(dtype)
    assert rg.knn_accuracy(x, labels, k=k) == pytest.approx(leave_one_out(x.double().numpy(), labels, k), abs=ABS)


def test_blocks_do_not_change_the_vote(rng, monkeypatch):
    x, labels = classes(rng)
    whole = rg.knn_accuracy(x, labels)
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 130)
    assert rg.knn_accuracy(x, labels) == whole


def on_circle(degrees):
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], 1)


def test_a_tie_goes_to_the_nearer_class():
    x = on_circle([0, 1, 3, 60, 62, 65])
    assert rg.knn_accuracy(x, ["a", "a", "b", "b", "b", "a"], k=2) == 4 / 6  # all but rows 2 and 5
    assert rg.knn_accuracy(x, ["b", "b", "a", "a", "a", "b"], k=2) == 4 / 6


def test_names_of_classes_do_not_decide_a_tie():
    x = on_circle([0, 1, 3, 6, 10])
    assert rg.knn_accuracy(x, [0, 0, 1, 1, 0], k=4) == rg.knn_accuracy(x, [1, 1, 0, 0, 1], k=4)


# --- invariances, labels and errors ------------------------------------------------------------------------------

MEASURES = {
    "rank": lambda x, y: rg.class_effective_rank(x, y).effective_rank,
    "between": rg.between_class_variance,
    "kNN": lambda x, y: rg.knn_accuracy(x, y, k=3),
}
every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@every_measure
def test_rotation_scale_and_order_leave_it_and_stretching_moves_it(measure, rng):
    x, labels = classes(rng)
    rotation, order = np.linalg.qr(rng.standard_normal((5, 5)))[0], rng.permutation(60)
    before = measure(x, labels)
    for scale in (1, 1e-30, 1e30, 1e-200, 1e200):
        assert measure(x @ rotation * scale, labels) == pytest.approx(before, rel=1e-9), scale
    assert measure(x[order], labels[order]) == pytest.approx(before, rel=1e-9)
    assert np.abs(measure(x * [99, 9, 1, 1, 1], labels) - before).max() > 1e-2


@every_measure
def test_label_kinds(measure, rng):
    x, labels = classes(rng)
    before = measure(x, labels)
    text = [f"class {c}" for c in labels]
    kinds = [labels.tolist(), torch.tensor(labels), labels[:, None], labels.astype(np.uint8), labels.astype(float)]
    kinds += [text, np.array(text), np.array(text, object), pd.Series(text), pd.Categorical(text), pd.Series(labels)]
    for kind in kinds:
        assert measure(x, kind) == pytest.approx(before, abs=ABS)
    assert measure(torch.tensor(x, requires_grad=True), labels) == pytest.approx(before, abs=ABS)


def test_codes_and_names():
    codes, names = as_labels(["b", "a", "b"], 3)
    assert (codes.tolist(), names.tolist()) == ([1, 0, 1], ["a", "b"])
    codes, names = as_labels([3.0, 1.0, 2.0], 3)
    assert (codes.tolist(), names.tolist()) == ([2, 0, 1], [1, 2, 3])


BAD = {
    "length": ([0, 1, 0], ValueError, "`labels` has 3 entries and `features` 4 rows"),
    "one-hot": (np.eye(4), ValueError, r"shape \(n_samples,\), got shape \(4, 4\)"),
    "NaN": (
        [0, np.nan, 1, np.inf],
        ValueError,
        "`labels` has 2 of 4 values that are not finite; the first is at 1. Leave those rows out",
    ),
    "missing text": (
        np.array(["a", None, "b", "a"], object),
        ValueError,
        "`labels` has 1 of 4 values that are missing",
    ),
    "missing in pandas": (pd.Series(["a", None, "b", "a"]), ValueError, "`labels` has 1 "),
    "a path": ("labels.npy", TypeError, r"`labels` is text \('labels.npy'\), .* load it first"),
    "complex": ([1j, 0, 0, 1], TypeError, "whole numbers or text, got complex128"),
    "fractions": ([0.1, 0.2, 0.3, 0.4], ValueError, "`labels` holds 4 different fractions"),
}


@every_measure
@pytest.mark.parametrize(("labels", "error", "message"), BAD.values(), ids=BAD)
def test_bad_labels_are_named(measure, labels, error, message):
    with pytest.raises(error, match=message):
        measure(np.eye(4), labels)


@every_measure
def test_bad_features_are_named(measure):
    with pytest.raises(ValueError, match=r"`features` .*shape \(4, 3, 2\)"):
        measure(np.ones((4, 3, 2)), [0, 0, 1, 1])
    with pytest.raises(TypeError, match="`features` is complex"):
        measure(np.eye(4) * 1j, [0, 0, 1, 1])


@pytest.mark.parametrize("k", [0, 4, 10])
def test_k_out_of_range_is_named(k):
    with pytest.raises(ValueError, match=f"`k` must be a whole number from 1 to 3 here, got {k}"):
        rg.knn_accuracy(np.eye(4), [0, 0, 1, 1], k=k)
