"""Near duplicates and how distances concentrate: against all distances by loops, planted copies and closed forms."""

import numpy as np
import pytest
import scipy.spatial.distance
import torch

import repgeom as rg


def as_compared(x, metric):
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x


def slow_near_duplicates(x, threshold=0.1, metric="cosine"):
    """(row, nearest earlier row, distance) of each row within the radius of an earlier one."""
    z = as_compared(x, metric)
    distances = np.array([[np.sqrt(np.sum((a - b) ** 2)) for b in z] for a in z])
    typical = np.median(np.sort(distances + np.diag(np.full(len(z), np.inf)), 1)[:, 3])
    found = []
    for i in range(1, len(z)):
        j = int(np.argmin(distances[i, :i]))
        if distances[i, j] <= threshold * typical:
            found.append((i, j, distances[i, j]))
    return found, typical


def slow_distance_concentration(x, metric="euclidean"):
    distances = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(as_compared(x, metric)))
    pairs = distances[np.triu_indices(len(x), 1)]
    nearest = np.min(distances + np.diag(np.full(len(x), np.inf)), 1)
    return pairs.std() / pairs.mean(), pairs.mean() / nearest.mean()


def cloud(n=80, d=20, seed=0):
    """Rows off the origin with planted copies: near ones of rows 3 and 4, twice of row 3, and an equal one of row 5."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) + 1
    x[[40, 41]] = x[3] + 1e-3 * rng.standard_normal((2, d))
    x[60] = x[4] + 1e-9 * rng.standard_normal(d)
    x[70] = x[5]
    return x


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_near_duplicates_equal_their_slow_definition(metric, threshold, dtype):
    x = cloud().astype(dtype)
    found = rg.near_duplicates(x, threshold=threshold, metric=metric)
    expected, typical = slow_near_duplicates(x, threshold, metric)
    assert list(found.rows) == [row for row, _, _ in expected]
    assert list(found.originals) == [original for _, original, _ in expected]
    assert found.distances == pytest.approx([d for _, _, d in expected], rel=1e-9, abs=1e-15)
    assert found.typical == pytest.approx(typical, rel=1e-12)
    assert found.radius == pytest.approx(threshold * typical, rel=1e-12)


def test_planted_copies_are_named_with_the_row_they_repeat():
    found = rg.near_duplicates(cloud())
    assert list(zip(found.rows, found.originals, strict=True)) == [(40, 3), (41, found.originals[1]), (60, 4), (70, 5)]
    assert found.originals[1] in (3, 40)
    assert found.distances[-1] == 0
    assert 0 < found.distances[2] < 1e-8  # a product of the rows would have rounded it off
    assert found.by_chance < 1e-3
    assert "4 of 80 rows lie within" in repr(found)
    assert len(rg.near_duplicates(np.delete(cloud(), found.rows, 0))) == 0


def test_scale_rotation_and_three_copies_of_every_row_do_not_hide_copies():
    x = cloud()
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((20, 20)))[0]
    for scale in (1e-150, 1e-3, 1e150):
        for metric in ("cosine", "euclidean"):
            moved = rg.near_duplicates(x @ rotation * scale, metric=metric)
            assert (moved.rows == rg.near_duplicates(x, metric=metric).rows).all()
    base = np.random.default_rng(2).standard_normal((60, 20))
    noisy = np.repeat(base, 3, 0) + 1e-6 * np.random.default_rng(3).standard_normal((180, 20))
    assert len(rg.near_duplicates(noisy)) == 120


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_many_copies_of_one_row_all_name_an_earlier_one(metric):
    x = np.random.default_rng(0).standard_normal((120, 10))
    x[::2] = x[0]
    found = rg.near_duplicates(x, metric=metric)
    assert list(found.rows) == list(range(2, 120, 2))
    assert (found.originals < found.rows).all()
    assert (found.originals % 2 == 0).all()
    zeros = np.r_[x[1::2], np.zeros((20, 10))]
    assert len(rg.near_duplicates(zeros, metric=metric)) == 19


def test_in_few_dimensions_rows_are_near_by_chance_and_the_answer_says_so():
    x = np.random.default_rng(0).uniform(size=(2000, 1))
    found = rg.near_duplicates(x, metric="euclidean")
    assert found.by_chance == pytest.approx(len(found), rel=0.35)
    assert rg.near_duplicates(np.random.default_rng(0).standard_normal((400, 30))).by_chance < 0.05


def test_rows_are_drawn_and_numbered():
    x = cloud(300)
    found = rg.near_duplicates(x, max_rows=150, seed=3)
    assert found.n_read == 150
    pairs = set(zip(found.rows.tolist(), found.originals.tolist(), strict=True))
    assert pairs <= {(40, 3), (41, 3), (41, 40), (60, 4), (70, 5)}
    assert list(rg.near_duplicates(torch.tensor(x), max_rows=None).rows) == [40, 41, 60, 70]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_concentration_equals_its_slow_definition(metric, dtype):
    for shape in ((60, 7), (20, 40), (3, 2)):
        x = (np.random.default_rng(0).standard_normal(shape) + 5).astype(dtype)
        found = rg.distance_concentration(x, metric=metric)
        assert (found.variation, found.contrast) == pytest.approx(slow_distance_concentration(x, metric), rel=1e-9)


def test_isotropic_rows_read_the_isotropic_values():
    for d in (10, 200):
        found = rg.distance_concentration(np.random.default_rng(1).standard_normal((1000, d)))
        assert found.variation == pytest.approx(found.isotropic_variation, rel=0.05)
        assert found.contrast == pytest.approx(found.isotropic_contrast, rel=0.05)
        assert found.isotropic_variation == pytest.approx((2 * d) ** -0.5, rel=0.05)
    few = np.random.default_rng(2).standard_normal((1000, 3)) @ np.eye(3, 200)
    found = rg.distance_concentration(few)
    assert found.variation > 4 * found.isotropic_variation


def test_concentration_ignores_rotation_scale_and_translation():
    x = cloud(d=6)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    plain = rg.distance_concentration(x)
    for moved in (1e-150 * x, 1e140 * (x @ rotation), x + 1e3):
        assert rg.distance_concentration(moved).variation == pytest.approx(plain.variation, rel=1e-9)
        assert rg.distance_concentration(moved).contrast == pytest.approx(plain.contrast, rel=1e-9)
    twice = np.r_[x[:30], x[:30]]
    assert rg.distance_concentration(twice).contrast == np.inf
    assert rg.distance_concentration(x, max_rows=40).n_read == 40


X = cloud()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.near_duplicates(X[:8]), "8 rows; what is near can be told from 9 on"),
        (lambda: rg.near_duplicates(X, max_rows=8), "8 rows"),
        (lambda: rg.near_duplicates(X, threshold=1.0), "`threshold` must be a number from 0 to below 1.* got 1.0"),
        (lambda: rg.near_duplicates(X, threshold=-0.1), "got -0.1"),
        (lambda: rg.near_duplicates(X, metric="dot"), "`metric` must be 'cosine' or 'euclidean', got 'dot'"),
        (lambda: rg.near_duplicates(np.stack([X, X])), r"one matrix .* got shape \(2, 80, 20\)"),
        (lambda: rg.near_duplicates(np.where(X > 3, np.nan, X)), "non-finite"),
        (lambda: rg.distance_concentration(X[:2]), "2 rows .* needs at least 3"),
        (lambda: rg.distance_concentration(X, max_rows=2), "`max_rows=2` leaves 2 rows"),
        (lambda: rg.distance_concentration(np.ones((5, 2))), "all rows of `features` are equal"),
        (lambda: rg.distance_concentration(np.outer(np.arange(1, 6), [1, 3]), metric="cosine"), "point one way"),
        (lambda: rg.distance_concentration(X, metric="dot"), "got 'dot'"),
        (lambda: rg.distance_concentration(np.stack([X, X])), "one matrix"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
