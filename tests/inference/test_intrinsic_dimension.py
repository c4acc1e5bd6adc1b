"""Intrinsic dimension: against loops over rows, scikit-dimension's numbers, planted clouds, and rows that spoil it."""

import re

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.inference.halves import SPLITS, halves
from repgeom.measures import nearest_distances as engine
from repgeom.measures.nearest_distances import nearest_distances

METHODS = {"twonn": None, "twonn_regression": None, "mle": 7, "gride": 3}


def sorted_distances(x, groups=None):
    x = np.asarray(x, float)
    found = []
    for i, row in enumerate(x):
        others = [j for j in range(len(x)) if j != i and (groups is None or groups[j] != groups[i])]
        found.append(np.sort([np.sqrt(((row - x[j]) ** 2).sum()) for j in others]))
    return found


def slow(method, distances, k):
    """Each as its paper writes it."""
    n = len(distances)
    if method == "twonn":
        return (n - 1) / sum(np.log(r[1] / r[0]) for r in distances)
    if method == "twonn_regression":
        mu = np.sort([np.log(r[1] / r[0]) for r in distances])[: int(0.9 * n)]
        y = [-np.log(1 - (i + 1) / n) for i in range(len(mu))]
        return np.linalg.lstsq(mu[:, None], np.array(y), rcond=None)[0][0]
    if method == "mle":
        inverses = [np.mean([np.log(r[k - 1] / r[j]) for j in range(k - 1)]) for r in distances]
        return 1 / np.mean(inverses)
    grid = np.exp(np.linspace(-3, 5, 100_001))
    mu = np.array([r[2 * k - 1] / r[k - 1] for r in distances])
    likelihood = 0.0
    for one in mu:
        # Denti et al. 2022, equation 3, without what does not depend on d.
        likelihood = (
            likelihood + np.log(grid) + (k - 1) * np.log(one**grid - 1) - ((2 * k - 1) * grid + 1) * np.log(one)
        )
    return grid[np.argmax(likelihood)]


def cloud(n=120, d=3, wide=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, wide))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "offset"), [("float64", 0), ("float64", 1e6), ("float32", 100), ("float16", 0)])
def test_agrees_with_its_definition(method, dtype, offset):
    x = torch.tensor(cloud() + offset).to(getattr(torch, dtype))
    expected = slow(method, sorted_distances(x.double()), METHODS[method])
    found = rg.intrinsic_dimension(x, method=method, k=METHODS[method])
    # The grid of `slow` is fine to 8e-5.
    assert found.value == pytest.approx(expected, rel=1e-4 if method == "gride" else 1e-9)
    assert (found.method, found.n_used, found.n_duplicates) == (method, 120, 0)


def judged_sets():
    g = np.random.default_rng(0)
    x = np.zeros((300, 12))
    x[:, :5] = g.uniform(size=(300, 5))
    cube = x @ np.linalg.qr(g.standard_normal((12, 12)))[0]
    gaussian = g.standard_normal((300, 10)) @ g.standard_normal((10, 32))
    turn = g.uniform(size=300) * 6.28
    return {"cube of 5": cube, "Gaussian of 10": gaussian, "circle": np.c_[np.cos(turn), np.sin(turn)]}


JUDGED = {
    "cube of 5": (4.266324855482021, 4.281495975835041, 4.176946900799842),
    "Gaussian of 10": (7.428464869383806, 7.565022161203651, 7.503209794714878),
    "circle": (1.0781473928204908, 1.1064668655182626, 1.0032185096657518),
}


@pytest.mark.parametrize("name", JUDGED)
def test_reads_what_scikit_dimension_reads(name):
    """Its 0.5.0: `TwoNN(discard_fraction=0, method="mle")`, `TwoNN()`, `MLE(K=20)` with comb="mle"."""
    x = judged_sets()[name]
    found = [rg.intrinsic_dimension(x, method=m).value for m in ("twonn", "twonn_regression", "mle")]
    assert found == pytest.approx(JUDGED[name], rel=1e-9)


def test_methods_agree_where_they_are_one():
    x = cloud(200)
    twonn, gride, mle = (
        rg.intrinsic_dimension(x, method=m, k=k).value for m, k in (("twonn", None), ("gride", 1), ("mle", 2))
    )
    assert gride == pytest.approx(mle, rel=1e-12)
    assert twonn == pytest.approx(gride * 199 / 200, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_is_moved_by_stretching_alone(method):
    x = cloud()
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    value = rg.intrinsic_dimension(x, method=method).value
    for same in (x @ rotation, x + 100, 1e-8 * x, x[::-1].copy()):
        assert rg.intrinsic_dimension(same, method=method).value == pytest.approx(value, rel=1e-8)
    assert rg.intrinsic_dimension(x * [1, 1, 1, 1, 1, 9], method=method).value != pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("noise", [0.0, 1e-7, 1e-4])
def test_rows_that_repeat_count_once(noise):
    x = cloud(200)
    again = x[:40] + noise * np.random.default_rng(1).standard_normal((40, 6))
    found, alone = rg.intrinsic_dimension(np.r_[x, again]), rg.intrinsic_dimension(x)
    assert (found.n_used, found.n_duplicates, found.n_samples) == (200, 40, 240)
    assert found.value == pytest.approx(alone.value, rel=1e-6)
    assert "40 rows that repeat another, exactly or nearly, were left out" in found.warnings
    assert alone.warnings == ()


def test_discrete_rows_are_not_taken_for_copies():
    x = np.random.default_rng(0).integers(0, 3, (400, 5)).astype("float32")
    assert rg.intrinsic_dimension(x, method="mle").n_used == len(np.unique(x, axis=0))


@pytest.mark.parametrize("groups", [None, np.arange(120) // 2])
def test_the_nearest_are_found_in_pieces_of_any_size(groups, monkeypatch):
    x = np.repeat(cloud(60, seed=3), 2, 0) + 1e-9 * cloud(120, 6)  # each row has another within 1e-9 of a spread
    expected = np.array([r[:4] for r in sorted_distances(x, groups)])
    codes = None if groups is None else torch.tensor(groups)
    for queries, bank in ((512, 8192), (7, 11), (120, 3)):
        monkeypatch.setattr(engine, "_QUERIES", queries)
        monkeypatch.setattr(engine, "_BANK_ROWS", bank)
        distances, numbers = nearest_distances(torch.tensor(x), 4, groups=codes)
        assert distances.numpy() == pytest.approx(expected, rel=1e-12)
        assert np.linalg.norm(x[:, None] - x[numbers], axis=2) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_rows_of_a_group_are_no_neighbours(method):
    """Frames of a video lie along a line, whatever the videos fill."""
    rng = np.random.default_rng(0)
    videos = np.repeat(rng.uniform(size=(60, 4)), 3, 0)
    frames = videos + np.tile([0.0, 0.02, 0.05], 60)[:, None] * np.repeat(rng.standard_normal((60, 4)), 3, 0)
    groups = np.repeat(np.array([f"video {i}" for i in range(60)]), 3)
    found = rg.intrinsic_dimension(frames, method=method, k=METHODS[method], groups=groups)
    expected = slow(method, sorted_distances(frames, groups), METHODS[method])
    assert found.value == pytest.approx(expected, rel=1e-4 if method == "gride" else 1e-9)
    assert (found.se is None) == (found.value > 8)  # of 4 columns: frames of one video are all as far away
    assert rg.intrinsic_dimension(frames[:120], groups=groups[:120]).warnings == (
        "no interval: 120 different rows in 40 groups are too few for halves with 2 neighbours",
    )


def test_the_interval_is_of_halves_of_the_rows():
    x = cloud(130)
    found = rg.intrinsic_dimension(x, method="mle", k=3, seed=5)
    squares = []
    for half in halves(130, 3, 5):
        logs = [np.log(slow("mle", sorted_distances(x[half.numpy() == side]), 3)) for side in (0, 1)]
        squares.append((logs[0] - logs[1]) ** 2 / 4)
    assert found.se == pytest.approx(found.value * np.sqrt(np.sum(squares) / SPLITS), rel=1e-6)
    assert found.low < found.value < found.high
    assert np.sqrt(found.low * found.high) == pytest.approx(found.value)


def test_a_sample_is_read_where_rows_are_many():
    x = cloud(400)
    chosen = np.sort(np.random.default_rng(2).choice(400, 100, replace=False))
    found = rg.intrinsic_dimension(x, max_rows=100, seed=2)
    assert (found.n_used, found.n_samples) == (100, 400)
    assert found.value == pytest.approx(rg.intrinsic_dimension(x[chosen], seed=2).value, rel=1e-12)
    assert found.scale > rg.intrinsic_dimension(x, max_rows=None).scale


def test_the_curve_is_gride_at_every_scale():
    x = cloud(300)
    curve = rg.intrinsic_dimension_curve(x, scales=[1, 5])
    for row in curve.itertuples():
        one = rg.intrinsic_dimension(x, method="gride", k=row.k)
        for field in ("value", "low", "high", "scale", "n_used"):
            assert getattr(row, field) == pytest.approx(getattr(one, field), rel=1e-9)
    assert rg.intrinsic_dimension_curve(x).k.tolist() == [1, 2, 4, 8, 16, 32]
    few = rg.intrinsic_dimension_curve(x[:5])
    assert (few.k.tolist(), few.note.tolist()) == (
        [1],
        ["no interval: 5 different rows are too few for halves with 2 neighbours"],
    )


def test_planted_dimensions_are_found():
    rng = np.random.default_rng(0)
    turns = rng.uniform(size=(1500, 2)) * 2 * np.pi
    torus = np.c_[np.cos(turns), np.sin(turns)] @ np.linalg.qr(rng.standard_normal((30, 4)))[0].T
    for method in METHODS:
        found = rg.intrinsic_dimension(torus, method=method)
        assert found.low < 2.1
        assert found.high > 1.95
    # Noise in all 30 dimensions is seen from near, the torus from far.
    curve = rg.intrinsic_dimension_curve(torus + 0.03 * rng.standard_normal((1500, 30)), scales=[1, 64])
    assert curve.value[0] > 2 * curve.value[1]


def test_many_dimensions_carry_a_warning():
    found = rg.intrinsic_dimension(np.random.default_rng(0).standard_normal((200, 200)))
    assert found.value < 100
    assert any("above 20 dimensions every method reads far too low" in w for w in found.warnings)


@pytest.mark.parametrize(("n", "k"), [(49, 2), (60, 20)])
def test_few_rows_have_a_value_and_no_interval(n, k):
    found = rg.intrinsic_dimension(cloud(n), method="mle", k=k)
    assert (found.low, found.high, found.se) == (None, None, None)
    assert found.warnings == (f"no interval: {n} different rows are too few for halves with {k} neighbours",)
    assert rg.intrinsic_dimension(cloud(4 * k if n > 50 else 50), method="mle", k=k).se is not None


def lattice():
    return np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)


REFUSED = {
    "another method": (cloud(), {"method": "two"}, r"`method` must be one of twonn, .*gride, got 'two'"),
    "k of TwoNN": (cloud(), {"k": 3}, r"`k` is 2 for twonn, got 3"),
    "k of one": (cloud(), {"method": "mle", "k": 1}, r"at least 2 for mle, got 1"),
    "half a k": (cloud(), {"method": "gride", "k": 1.5}, r"at least 1 for gride, got 1.5"),
    "k of all rows": (
        cloud(20),
        {"method": "mle", "k": 25},
        r"`k` is 25 for mle \(20 unless given\), and each of 20 .* has 19 others",
    ),
    "mle of few rows": (
        cloud(12),
        {"method": "mle"},
        r"`k` is 20 for mle .* each of 12 different rows has 11 others: give a smaller",
    ),
    "twice k of all rows": (
        cloud(20),
        {"method": "gride", "k": 10},
        r"`k` must be from 1 to 9 for gride, got 10: .* has 19 of 20",
    ),
    "one scale of many": (cloud(120), {"scales": [1, 30, 200]}, r"`scales` must be from 1 to 59 for gride, got 200"),
    "a scale for scales": (cloud(), {"scales": 3}, r"`scales` must be a list of whole numbers, .* got 3"),
    "half a scale": (cloud(), {"scales": [1, 2.5]}, r"`scales` must be whole numbers of at least 1 for gride, got 2.5"),
    "one point": (np.ones((50, 3)), {}, r"has 1 different rows of 50"),
    "two points": (np.repeat([[0.0], [1.0]], 40, 0), {}, r"has 2 different rows of 80"),
    "a lattice": (lattice(), {}, r"the 2 nearest of every row of `features` lie equally far away"),
    "one group": (cloud(20), {"groups": np.zeros(20, int)}, r"`groups` has a group of 20 of 20 rows"),
    "NaN": (np.where(np.eye(30) > 0, np.nan, 1.0), {}, r"30 non-finite values"),
    "few rows": (cloud(), {"max_rows": 1}, r"`max_rows` must be a whole number of at least 2"),
    "no scale": (cloud(), {"scales": []}, r"`scales` is empty"),
}


@pytest.mark.parametrize(("x", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_dimension_is_refused(x, options, message):
    call = rg.intrinsic_dimension_curve if "scales" in options else rg.intrinsic_dimension
    with pytest.raises(ValueError, match=message):
        call(x, **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e160, 1e200, 1e290, 1e-200, 1e-300, np.float32(1e30), np.float32(1e-30)])
def test_the_unit_of_the_features_does_not_matter(method, scale):
    x = cloud().astype(np.asarray(scale).dtype)
    found, plain = rg.intrinsic_dimension(scale * x, method=method), rg.intrinsic_dimension(x, method=method)
    rel = 1e-4 if x.dtype == np.float32 else 1e-6
    assert (found.value, found.low, found.high) == pytest.approx((plain.value, plain.low, plain.high), rel=rel)
    assert found.scale == pytest.approx(plain.scale * float(scale), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_values_that_are_rounded_carry_a_warning_and_no_interval_above_the_number_of_columns(method, d):
    x = np.random.default_rng(0).standard_normal((1000, d))
    tied = rg.intrinsic_dimension(x.round(1 if d > 1 else 3), method="twonn")
    found = rg.intrinsic_dimension(x.round(1 if d > 1 else 3), method=method)
    assert tied.value > d
    if found.value > d:
        assert found.low is found.high is found.se is None
        assert any(
            re.search(rf"no interval: more dimensions than columns \({d}\), .* rounded", w) for w in found.warnings
        )
        assert not any("take it for 'many'" in w for w in found.warnings)  # of one column are not many dimensions
    else:
        assert found.low is not None


def test_bits_are_many_dimensions_by_their_ties_and_say_so():
    found = rg.intrinsic_dimension(np.random.default_rng(0).standard_normal((120, 8)) > 0)
    assert found.value > 8
    assert found.low is None
    assert any("more dimensions than columns (8)" in w for w in found.warnings)


@pytest.mark.parametrize("seed", range(8))
def test_a_value_just_above_the_number_of_columns_keeps_its_interval(seed):
    found = rg.intrinsic_dimension(np.random.default_rng(seed).uniform(size=(300, 1)))
    assert found.low is not None
