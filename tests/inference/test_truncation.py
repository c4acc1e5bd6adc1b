"""The truncation curve against scikit-learn, numpy and `estimate`, on planted directions and on real digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

import repgeom as rg
from repgeom.inference.holdout import fitted_half
from repgeom.inference.intervals import normal_quantile, wilson
from repgeom.inference.truncation import _completed


def rows(n=160, d=12, seed=0):
    """Three classes along the last three columns, the largest variance along the first."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    x = rng.standard_normal((n, d)) * np.r_[4, np.ones(d - 4), 0.3, 0.3, 0.3]
    x[:, -3:] += 3 * np.eye(3)[labels]
    return x, labels


def near(x, k):
    return NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x).kneighbors(return_distance=False)


def slow_truncation_curve(x, cut, labels, k):
    """Neighbours kept and accuracy, by plain loops over neighbours of scikit-learn."""
    whole, here = near(x, k), near(cut, k)
    kept = np.mean([len({*a} & {*b}) / k for a, b in zip(whole, here, strict=True)])
    right = []
    for i, found in enumerate(here):
        votes = [list(labels[found]).count(c) for c in labels[found]]
        right.append(labels[found][int(np.argmax(votes))] == labels[i])
    return kept, np.mean(right)


def test_own_columns_equal_the_slow_definitions():
    x, labels = rows()
    curve = rg.truncation_curve(x, labels, dims=[2, 5, 12], principal=False, k=5)
    assert curve.n_dims.tolist() == [2, 5, 12]
    for _, row in curve.iterrows():
        cut = x[:, : int(row.n_dims)]
        kept, accuracy = slow_truncation_curve(x, cut, labels, 5)
        assert (row.kept, row.accuracy) == pytest.approx((kept, accuracy), rel=1e-9)
        assert row.accuracy == pytest.approx(rg.knn_accuracy(cut, labels, k=5), rel=1e-9)
        expected = rg.estimate(cut, normalize="l2")
        assert row.value == pytest.approx(expected.value, rel=1e-9)
        assert (row.low == pytest.approx(expected.low, rel=1e-9)) or np.isnan(row.low)
    whole = curve.iloc[-1]
    assert (whole.kept, whole.kept_low, whole.lost) == (1, 1, 0)
    assert whole.lost_low < 0 < whole.lost_high
    assert curve.lost.iloc[0] == pytest.approx(whole.accuracy - curve.accuracy.iloc[0])
    assert curve.attrs["measure"] == "effective_rank"


def test_principal_directions_are_those_of_the_other_half():
    x, labels = rows(300)
    curve = rg.truncation_curve(x, labels, dims=[3, 12], k=4, seed=5)
    fitted = fitted_half(300, 5)
    assert fitted.sum() == 150
    vectors = np.linalg.svd(x[fitted] - x[fitted].mean(0))[2].T
    read, of_read = x[~fitted], labels[~fitted]
    assert curve.attrs["n_samples"] == curve.attrs["n_neighbour_rows"] == 150
    for _, row in curve.iterrows():
        turned = read @ vectors if row.directions == "principal" else read
        kept, accuracy = slow_truncation_curve(read, turned[:, : row.n_dims], of_read, 4)
        assert (row.kept, row.accuracy) == pytest.approx((kept, accuracy), rel=1e-9)
        expected = rg.estimate(turned[:, : row.n_dims], normalize="l2").value
        assert row.value == pytest.approx(expected, rel=1e-6)
    assert curve[curve.n_dims == 12].kept.tolist() == [1, 1]


def test_principal_directions_are_completed_to_a_rotation():
    vectors = torch.linalg.qr(torch.randn(9, 4, dtype=torch.float64)).Q
    whole = _completed(vectors)
    assert torch.equal(whole[:, :4], vectors)
    assert torch.allclose(whole.mT @ whole, torch.eye(9, dtype=torch.float64), atol=1e-12)
    assert _completed(whole) is whole
    wide = np.random.default_rng(0).standard_normal((40, 60))
    curve = rg.truncation_curve(wide, k=3)
    assert curve[curve.n_dims == 60].kept.tolist() == [1, 1]


def test_intervals_hold_their_values_and_are_explained_where_there_are_none():
    x, labels = load_digits(return_X_y=True)
    curve = rg.truncation_curve(x, labels, dims=[4, 16, 64])
    for name in ("kept", "accuracy", "lost"):
        assert (curve[f"{name}_low"] <= curve[name] + 1e-12).all()
        assert (curve[name] <= curve[f"{name}_high"] + 1e-12).all()
    principal = curve[curve.directions == "principal"].set_index("n_dims")
    own = curve[curve.directions == "features"].set_index("n_dims")
    assert principal.kept[16] > own.kept[16] + 0.3  # leading pixels are no leading directions
    assert own.lost_low[4] > 0.2
    few = rg.truncation_curve(x[:40], labels[:40], dims=[4], k=3)
    assert few.kept_low.isna().all()
    assert any("too few to be split into halves" in reason for reason in few.attrs["no_interval"])


def test_rows_are_drawn_and_groups_stay_together():
    x, labels = rows(240)
    curve = rg.truncation_curve(x, labels, dims=[6], principal=False, max_rows=100, k=3)
    assert (curve.attrs["n_samples"], curve.attrs["n_neighbour_rows"]) == (240, 100)
    groups = np.repeat(np.arange(80), 3)
    fitted = fitted_half(240, 0, groups)
    assert all(len(set(fitted[groups == g])) == 1 for g in range(80))
    grouped = rg.truncation_curve(x, labels, dims=[6, 12], groups=groups, k=3)
    drawn = np.flatnonzero(~fitted)
    expected = rg.mutual_knn(x[drawn, :6], x[drawn], k=3, groups=groups[drawn])
    assert grouped[grouped.directions == "features"].kept.iloc[0] == pytest.approx(expected, rel=1e-9)


def test_default_dimensions_are_powers_of_two_and_all(tmp_path):
    x, _ = rows(60, 9)
    np.save(tmp_path / "x.npy", x)
    curve = rg.truncation_curve(str(tmp_path / "x.npy"), k=3)
    assert curve.n_dims.tolist() == [2, 4, 8, 9] * 2
    assert curve.equals(rg.truncation_curve(torch.tensor(x), k=3))
    assert "accuracy" not in curve


def test_a_cut_without_variance_has_no_rank_and_says_so():
    x, _ = rows()
    x[:, :2] = 0
    curve = rg.truncation_curve(x, dims=[2, 12], principal=False)
    assert np.isnan(curve.value[0])
    assert curve.value[1] > 1
    assert any("zero variance" in reason for reason in curve.attrs["no_interval"])


X, LABELS = rows(60)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.truncation_curve(X, dims=[1]), r"`dims` must be whole numbers from 2 to the 12 columns"),
        (lambda: rg.truncation_curve(X, dims=[13]), "to the 12 columns"),
        (lambda: rg.truncation_curve(X, dims=[2.5]), "whole numbers"),
        (lambda: rg.truncation_curve(X, dims=[]), "whole numbers"),
        (lambda: rg.truncation_curve(X[:, :1]), "1 column, so there is nothing to cut"),
        (lambda: rg.truncation_curve(X[:19]), "19 rows; one half is fitted on and the other read"),
        (lambda: rg.truncation_curve(X, groups=["a"] * 60), "all rows are of one group"),
        (lambda: rg.truncation_curve(X, k=30), "`k`"),
        (lambda: rg.truncation_curve(X, LABELS[:-1]), "`labels` has 59 entries"),
        (lambda: rg.truncation_curve(X, measure="rankme"), "`measure` must be one of"),
        (lambda: rg.truncation_curve(X, max_rows=0), "`max_rows` must be"),
        (lambda: rg.truncation_curve(X, confidence=1), "`confidence`"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("groups", [None, np.arange(400) // 4])
def test_where_no_row_changed_the_interval_says_how_few_rows_were_asked(groups):
    labels = np.arange(400) % 2 if groups is None else groups % 2
    x = np.zeros((400, 8))
    x[:, :2] = np.eye(2)[labels] * 9
    x += 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    table = rg.truncation_curve(x, labels, dims=[4], principal=False, groups=groups)
    assert table.lost[0] == 0
    n = 400 if groups is None else 100
    # As far as the share of rows that changed may lie from 0, either way.
    most = wilson(0.0, n, normal_quantile(0.95))[1]
    assert (table.lost_low[0], table.lost_high[0]) == pytest.approx((-most, most))


@pytest.mark.parametrize("principal", [True, False])
@pytest.mark.parametrize("row", [3, 77, 119])
def test_the_users_row_is_named(principal, row):
    x = np.random.default_rng(0).standard_normal((120, 8))
    x[row, 5] = np.nan
    with pytest.raises(ValueError, match=rf"nan at row {row}, column 5 \(shape \(120, 8\)"):
        rg.truncation_curve(x, principal=principal)


def test_where_all_rows_point_one_way_no_row_has_neighbours():
    random = np.random.default_rng(0)
    x = np.c_[np.ones((60, 2)), random.standard_normal((60, 4))]
    labels = np.arange(60) % 3
    table = rg.truncation_curve(x, labels, dims=[2, 6], k=3, principal=False)
    assert table.loc[0, ["kept", "kept_low", "accuracy", "lost"]].isna().all()
    assert table.loc[1, ["kept", "accuracy", "lost"]].notna().all()
    assert any("2 dimensions of features point one way" in reason for reason in table.attrs["no_interval"])
    with pytest.raises(ValueError, match="all rows of `features` point one way"):
        rg.truncation_curve(random.uniform(1, 2, (60, 1)) * [1.0, 2.0, 3.0], k=3)
