"""Repairs fitted on one half and judged on the other: planted faults, features that need none, and the numbers by hand."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

import repgeom as rg
from repgeom.inference.holdout import fitted_half
from repgeom.repair import compare_repairs, remove_top


def classes(n=400, d=12, seed=0, n_classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    return rng.standard_normal((n, d)) + 3 * np.eye(n_classes, d)[labels], labels


def large_columns(x):
    x = x.copy()
    x[:, -3:] *= 30
    return x


def common_direction(x):
    rng = np.random.default_rng(9)
    return (
        x
        + 40 * rng.standard_normal((len(x), 1)) * np.ones(x.shape[1])
        + 30 * rng.standard_normal((len(x), 1)) * np.r_[1, -1].repeat(6)
    )


@pytest.mark.parametrize(("spoil", "best"), [(large_columns, "standardize"), (common_direction, "whiten")])
def test_the_repair_that_helps_is_named_with_what_it_gains(spoil, best):
    x, labels = classes()
    proof = compare_repairs(spoil(x), labels)
    assert proof.best == best or proof.table.gained[proof.best] > 0.1
    row = proof.table.loc[proof.best]
    assert 0 < row.gained_low < row.gained < row.gained_high
    assert f"{proof.best}, fitted on 200 rows, raises the kNN accuracy of 200 others from" in proof.sentence
    assert proof.sentence in repr(proof)


def test_features_that_need_no_repair_are_left_alone():
    named = [compare_repairs(*classes(seed=seed)).best for seed in range(4)]
    assert named.count(None) >= 3
    assert "none is sure to help" in repr(compare_repairs(*classes()))


def test_every_number_is_that_of_the_half_that_was_not_fitted():
    x, labels = classes()
    x = large_columns(x)
    proof = compare_repairs(x, labels, k=5, seed=3)
    fitted = fitted_half(400, 3)
    assert (proof.n_fitted, proof.n_read) == (fitted.sum(), (~fitted).sum())
    scaler = StandardScaler().fit(x[fitted])
    before, after = x[~fitted], scaler.transform(x[~fitted])
    row, plain = proof.table.loc["standardize"], proof.table.loc["as they are"]
    assert row.effective_rank == pytest.approx(rg.estimate(after).value, rel=1e-9)
    assert row.mean_cosine == pytest.approx(rg.mean_cosine(after), abs=1e-9)
    assert row.accuracy == pytest.approx(rg.knn_accuracy(after, labels[~fitted], k=5), rel=1e-9)
    assert plain.accuracy == pytest.approx(rg.knn_accuracy(before, labels[~fitted], k=5), rel=1e-9)
    assert row.gained == pytest.approx(row.accuracy - plain.accuracy, abs=1e-12)
    assert (plain.gained, plain.gained_low, plain.gained_high) == (0, 0, 0)
    assert (proof.fitted["standardize"].transform(before) == after).all()


def test_without_labels_nothing_is_called_best():
    x, _ = classes()
    proof = compare_repairs(large_columns(x))
    assert proof.best is None
    assert "gained" not in proof.table
    assert proof.table.effective_rank["standardize"] > 3 * proof.table.effective_rank["as they are"]


def test_repairs_of_ones_own_are_cloned_and_keep_their_names():
    x, labels = classes()
    mine = remove_top(2)
    proof = compare_repairs(x, labels, repairs={"two off": mine})
    assert list(proof.table.index) == ["as they are", "two off"]
    assert not hasattr(mine, "mean_")
    assert proof.fitted["two off"].directions_.shape == (2, 12)
    with pytest.raises(ValueError, match="leave nothing"):
        compare_repairs(x, labels, repairs={"all": remove_top(12)})


def test_default_repairs_that_do_not_fit_are_left_out_with_the_reason():
    x = np.outer(np.random.default_rng(0).standard_normal(60), np.ones(300))
    proof = compare_repairs(x, np.arange(60) % 2, k=3)
    assert "rows vary along 1 directions only" in proof.left_out["remove_top(3)"]
    assert set(proof.fitted) == {"center", "standardize", "remove_top(1)", "whiten"}


def test_groups_stay_together_and_rows_are_drawn():
    x, labels = classes()
    groups = np.repeat(np.arange(100), 4)
    proof = compare_repairs(large_columns(x), labels, groups=groups)
    fitted = fitted_half(400, 0, groups)
    held = ~fitted
    scaled = StandardScaler().fit(large_columns(x)[fitted]).transform(large_columns(x)[held])
    expected = rg.knn_accuracy(scaled, labels[held], groups=groups[held])
    assert proof.table.accuracy["standardize"] == pytest.approx(expected, rel=1e-9)
    assert compare_repairs(x, labels, max_rows=100).n_read == 50
    tensor = compare_repairs(torch.tensor(x), torch.tensor(labels))
    assert tensor.table.equals(compare_repairs(x, labels).table)


def test_digits_with_two_large_pixels_are_repaired():
    x, labels = load_digits(return_X_y=True)
    assert compare_repairs(x, labels, max_rows=800).best is None
    x[:, [20, 43]] = 40 * np.random.default_rng(0).standard_normal((len(x), 2)) * x.std()
    proof = compare_repairs(x, labels, max_rows=800)
    assert proof.best is not None
    assert proof.table.gained[proof.best] > 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_rows": 19}, "`max_rows` must be a whole number of at least 20, got 19"),
        ({"k": 300}, "`k`"),
        ({"confidence": 0}, "`confidence`"),
        ({"groups": [0] * 400}, "all rows are of one group"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        compare_repairs(*classes(), **settings)
    with pytest.raises(ValueError, match="10 rows; one half is fitted on"):
        compare_repairs(*classes(10))


def test_what_cannot_help_says_so():
    x, labels = classes()
    assert "without labels nothing says whether a repair helps" in repr(compare_repairs(x))
    assert compare_repairs(x).sentence == "without labels nothing says whether a repair helps"
    assert compare_repairs(x, labels).sentence == "none is sure to help"
    with pytest.raises(ValueError, match="all rows are equal, so no repair can help"):
        compare_repairs(np.ones((60, 4)), np.arange(60) % 2)
    with pytest.raises(TypeError, match=r"`repairs` must be a dict of transformers by name, .* got a list"):
        compare_repairs(x, labels, repairs=[remove_top(1)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of scikit-learn's own scaler
def test_a_repair_that_overflows_is_left_out_or_named():
    x, labels = classes()
    proof = compare_repairs(x * 1e200, labels)
    assert any("`X` holds values too large to be squared" in why for why in proof.left_out.values())
    assert set(proof.left_out).isdisjoint(proof.fitted)
    with pytest.raises(ValueError, match="the repair 'mine' gives values that are not finite"):
        compare_repairs(x * 1e200, labels, repairs={"mine": StandardScaler()})


def test_the_users_row_is_named_where_rows_are_drawn():
    x, labels = classes()
    x[397, 2] = np.nan
    drawn = next(seed for seed in range(9) if 397 in np.random.default_rng(seed).choice(400, 200, replace=False))
    with pytest.raises(ValueError, match=r"nan at row 397, column 2 \(shape \(400, 12\)"):
        compare_repairs(x, labels, max_rows=200, seed=drawn)
