"""Layers against layers: cells are the public functions' values, intervals, rows that are not the same samples, the plot."""

import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import network, rows
from torch.utils.data import DataLoader, TensorDataset

import repgeom as rg
from repgeom import models
from repgeom.inference.intervals import quantile
from repgeom.models import layer_similarities
from repgeom.robustness.alignment import cka_measurement

X = rows(300)
LABELS = (X[:, 0] > 0).long()
FUNCTIONS = {
    "linear_cka": rg.linear_cka,
    "angular_cka": rg.angular_cka,
    "rbf_cka": lambda x, y: rg.rbf_cka(x, y, bandwidth=0.5),
    "mutual_knn": lambda x, y: rg.mutual_knn(x, y, k=5),
    "procrustes_distance": rg.procrustes_distance,
    "rsa": lambda x, y: rg.rsa(x, y, distance="cosine"),
    "svcca": rg.svcca,
    "pwcca": rg.pwcca,
}


def features(n=120, seed=0):
    g = np.random.default_rng(seed)
    x = g.standard_normal((n, 6))
    a = {"first": x, "second": np.tanh(x @ g.standard_normal((6, 4)))}
    b = {
        "one": x @ g.standard_normal((6, 8)) + 0.5 * g.standard_normal((n, 8)),
        "two": g.standard_normal((n, 3)),
        "three": np.sin(2 * x),
    }
    return a, b


@pytest.fixture(scope="module")
def profile():
    return models.layer_profile(network(), X.split(64), labels=LABELS, name="a net")


@pytest.mark.parametrize("measure", FUNCTIONS)
@pytest.mark.parametrize("held", [1 << 28, 8 * 120 * 120])
@pytest.mark.filterwarnings("ignore:.*fits noise")
def test_each_cell_is_what_the_function_reads(measure, held, monkeypatch):
    monkeypatch.setattr(layer_similarities, "HELD_BYTES", held)
    a, b = features()
    found = rg.cka_map(a, b, measure=measure, k=5, bandwidth=0.5, distance="cosine")
    assert (found.rows, found.columns) == (("first", "second"), ("one", "two", "three"))
    expected = [[float(FUNCTIONS[measure](x, y)) for y in b.values()] for x in a.values()]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-12)
    frame = found.to_frame()
    assert (frame.index.name, frame.columns.name) == ("a", "b")
    assert frame.loc["second", "three"] == found.values[1, 2]
    known = np.isfinite(found.low)
    assert known.all() == (measure not in ("procrustes_distance", "svcca", "pwcca"))
    assert ((found.low < found.values) & (found.values < found.high))[known].all()


def test_intervals_are_the_jackknifes_less_what_it_counts_twice():
    a, b = features()
    found = rg.cka_map(a, b)
    for i, x in enumerate(a.values()):
        for j, y in enumerate(b.values()):
            expected = cka_measurement(*(torch.tensor(z - z.mean(0)) for z in (x, y)))
            variance, twice = float(expected.contributions.var()) / 120, 2 / (120 * 119) * (1 - expected.value**2) ** 2
            factor = np.sqrt(max(variance - twice, variance / 2) / variance)
            pseudo = expected.value + factor * (expected.contributions - expected.value)
            interval = dataclasses.replace(expected, contributions=pseudo).interval(0.95)
            assert (found.low[i, j], found.high[i, j]) == pytest.approx(interval, rel=1e-6)


def test_the_interval_of_rsa_is_that_of_leaving_out_each_row():
    a, b = features(60)
    x, y = a["first"], b["one"]
    found = rg.cka_map({"x": x}, {"y": y}, measure="rsa", distance="euclidean")
    without = [rg.rsa(np.delete(x, i, 0), np.delete(y, i, 0), distance="euclidean") for i in range(60)]
    value = found.values[0, 0]
    half = quantile(0.95, 59) * np.std(without) * np.sqrt(59) / (1 - value**2)
    expected = np.tanh(np.arctanh(value) + half * np.array([-1, 1]))
    # Ranks that fall in both at once are left out, about 1 / n times some.
    assert (found.low[0, 0], found.high[0, 0]) == pytest.approx(tuple(expected), abs=0.1 * (expected[1] - expected[0]))


def test_two_cells_are_compared_row_by_row():
    a, b = features()
    found = rg.cka_map(a, b)
    paired = found.difference(("second", "one"), ("first", "one"))
    assert paired.difference == pytest.approx(found.values[0, 0] - found.values[1, 0])
    assert paired.low < paired.difference < paired.high
    assert paired.p_value < 1e-6
    apart = np.hypot(*(found.high - found.low)[:, 0])
    assert paired.high - paired.low < apart
    same = found.difference(("first", "one"), ("first", "one"))
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    without = rg.cka_map(a, b, measure="mutual_knn").difference(("first", "one"), ("second", "one"))
    assert (without.low, without.p_value) == (None, None)
    with pytest.raises(
        ValueError, match=r"there is no cell \('x', 'one'\): rows are first, second; columns are one, two, three"
    ):
        found.difference(("x", "one"), ("first", "one"))


def test_layers_of_a_profile_are_compared_with_nothing_but_what_it_kept(profile):
    found = profile.compare()
    layers = list(profile)
    assert (found.rows, found.columns) == (tuple(layers), tuple(layers))
    x = {layer: models.extract_features(network(), X.split(50), layer=layer) for layer in layers}
    expected = [[rg.linear_cka(x[a], x[b]) for b in layers] for a in layers]
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.diag(found.values), 1, atol=1e-12)
    other = models.layer_profile(network(12), X.split(100), labels=LABELS, name="another net")
    between = profile.compare(other, measure="mutual_knn")
    assert (between.row_name, between.column_name) == ("a net", "another net")
    assert between.values.shape == (len(profile), len(other))


def test_a_sample_is_kept_and_the_same_one_whatever_the_batches():
    one = models.layer_profile(network(), X.split(64), samples_kept=50)
    two = models.layer_profile(network(), X.split(17), samples_kept=50)
    assert {len(drawn) for drawn in one.samples.values()} == {50}
    found = one.compare(two)
    np.testing.assert_allclose(np.diag(found.values), 1, atol=1e-9)
    assert (found.n_used, found.n_samples) == (50, 300)
    assert "Read from 50 of 300 rows, drawn with a fixed seed." in found.notes
    assert one.compare(two, max_rows=30).n_used == 30
    again = pickle.loads(pickle.dumps(one)).compare(two)
    np.testing.assert_array_equal(again.values, found.values)
    assert "samples" not in one.to_dict()
    drawn = rg.cka_map({"x": X}, {"y": X}, max_rows=40, seed=3)
    assert (drawn.n_used, drawn.values[0, 0]) == (40, pytest.approx(1))


def shuffled(labels=None):
    loader = DataLoader(TensorDataset(X), batch_size=60, shuffle=True, generator=torch.Generator().manual_seed(1))
    return models.layer_profile(network(), loader, name="shuffled")


REFUSED = {
    "other numbers of samples": (lambda p: p.compare(models.layer_profile(network(), [X[:200]])), "'a net' has 300 rows and"),
    "another sample": (lambda p: p.compare(models.layer_profile(network(), [X], samples_kept=80, seed=4)), "kept other rows of the same"),
    "other labels": (lambda p: p.compare(models.layer_profile(network(), [X], labels=1 - LABELS)), "have other labels, row by row"),
    "a shuffling loader": (lambda p: p.compare(shuffled()), "'shuffled' was made with a loader that shuffles"),
    "nothing kept": (lambda p: models.layer_profile(network(), [X], samples_kept=0).compare(), "kept no rows to compare"),
    "another measure": (lambda p: p.compare(measure="cka"), "`measure` must be one of linear_cka, angular_cka, .*got 'cka'"),
    "repeats of cka": (lambda p: p.compare(repeats=[p]), 'a noise ceiling for "rsa" alone'),
    "rows of features": (lambda p: rg.cka_map({"x": X, "y": X[:9]}), r"`a` has 300 rows in 'x' and 9 in 'y'"),
    "no layers": (lambda p: rg.cka_map({}), "`a` holds no layers"),
    "three rows": (lambda p: rg.cka_map({"x": X[:3]}), "`a` has 3 rows; layers are compared from at least 4"),
    "few rows": (lambda p: p.compare(max_rows=3), "`max_rows` must be a whole number of at least 4"),
    "k": (lambda p: rg.cka_map({"x": X[:8]}, measure="mutual_knn"), "`k` must be a whole number from 1 to 7"),
    "bandwidth": (lambda p: p.compare(measure="rbf_cka", bandwidth=-1), "`bandwidth` must be a positive number"),
    "one point": (lambda p: rg.cka_map({"x": X, "y": X * 0}), r"`layer 'y' of a` has zero variance"),
    "another order": (
        lambda p: rg.cka_map({"x": pd.DataFrame(X.numpy()), "y": pd.DataFrame(X.numpy()).iloc[::-1]}), "in another order, by their index",
    ),
    "too many kept": (lambda p: models.layer_profile(network(), [X], rows_kept=10, samples_kept=11), "from 0 to `rows_kept`"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_rows_that_are_not_the_same_samples_are_refused(call, message, profile):
    with pytest.raises(ValueError, match=message):
        call(profile)
    with pytest.raises(TypeError, match="`a` must be a LayerProfile or a mapping"):
        rg.cka_map(X)


def test_strangers_are_pointed_out():
    g = np.random.default_rng(0)
    found = rg.cka_map({"x": g.standard_normal((400, 8))}, {"y": g.standard_normal((400, 8))})
    assert found.notes[-1].endswith("are row i of both the same sample?")
    assert found.low[0, 0] < 0 < found.high[0, 0]


def test_repeats_give_a_noise_ceiling():
    a, b = features()
    repeats = [
        {name: x + 0.1 for name, x in b.items()},
        {name: x @ np.diag(np.arange(1, x.shape[1] + 1)) for name, x in b.items()},
    ]
    found = rg.cka_map(a, b, measure="rsa", distance="euclidean", repeats=repeats)
    for (lower, upper), name in zip(found.ceiling, b, strict=True):
        expected = rg.rsa_noise_ceiling([b[name], *(one[name] for one in repeats)], distance="euclidean")
        assert (lower, upper) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"`repeats` has no layer 'one' in repeats\[0\]"):
        rg.cka_map(a, b, measure="rsa", repeats=[a])


def test_no_interval_where_none_is_known(profile):
    a, b = features(19)
    few = rg.cka_map(a, b)
    assert np.isnan(few.low).all()
    assert few.notes == ("No interval: fewer than 20 rows.",)
    a, b = features()
    a["first"][5] *= 1e4
    heavy = rg.cka_map(a, b)
    assert np.isnan(heavy.low[0]).all()
    assert any("whose lengths stand out" in note for note in heavy.notes)
    # Lengths follow a power law of index 2, and no few of them carry all.
    a, b = features()
    lengths = np.linalg.norm(a["first"], axis=1, keepdims=True)
    a["first"] *= np.linspace(0.02, 1, len(lengths))[:, None] ** (-1 / 2) / lengths
    slow = rg.cka_map(a, b)
    assert np.isnan(slow.low[0]).all()
    assert np.isfinite(slow.low[1:]).any()
    assert any("fall off so slowly" in note for note in slow.notes)
    corners = rg.cka_map({"x": np.eye(30)}, {"y": np.random.default_rng(0).standard_normal((30, 2))})
    assert np.isnan(corners.values).all()
    assert "All rows of a layer lie equally far apart." in corners.notes


def test_rows_that_tie_share_places_in_a_map_too():
    rng = np.random.default_rng(0)
    codes, other = (rng.standard_normal((2, 60, 5)) > 0) * 1.0
    cell = rg.cka_map({"x": codes}, {"y": other}, measure="mutual_knn", k=4)
    assert cell.values[0, 0] == pytest.approx(rg.mutual_knn(codes, other, k=4), rel=1e-12)
    with pytest.raises(ValueError, match="all rows of `layer 'y' of b` point one way"):
        rg.cka_map({"x": codes}, {"y": np.ones((60, 3))}, measure="mutual_knn")


@pytest.mark.parametrize("k", [0, -1, 2.5, "a", None, float("nan")])
def test_neighbours_of_a_map_are_a_whole_number(k):
    with pytest.raises(ValueError, match="`k` must be a whole number of at least 1"):
        rg.cka_map({"x": X[:50]}, measure="mutual_knn", k=k)


@pytest.mark.parametrize(("n_long", "given"), [(8, True), (4, False)])
@pytest.mark.parametrize("measure", ["linear_cka", "angular_cka"])
def test_a_quarter_of_the_root_of_n_rows_must_carry_the_lengths(measure, n_long, given):
    """Rows in pairs v, −v have mean 0 and keep their lengths: 1.5 of the first, else 1. With p = n_long / 400 and q = 1 − p

    400 p q / (1 − 3 p q) rows carry them, 8.3 of 8 and 4.1 of 4, and it takes 5.
    """
    rng = np.random.default_rng(0)
    half = rng.standard_normal((200, 6))
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    x, y = half.copy(), half @ np.linalg.qr(rng.standard_normal((6, 6)))[0][:, :3]
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    x[: n_long // 2] *= 1.5
    found = rg.cka_map({"x": np.r_[x, -x]}, {"y": np.r_[y, -y]}, measure=measure)
    assert np.isfinite(found.low[0, 0]) == given
    assert any("it takes at least 5" in note for note in found.notes) != given


def test_forms_and_heat_map(profile, tmp_path):
    found = profile.compare(names=("$\\bad{$", "other"))
    stored = json.loads(found.to_json(tmp_path / "map.json"))
    assert stored == json.loads(json.dumps(found.to_dict()))
    np.testing.assert_allclose(stored["values"], found.values)
    assert (tmp_path / "map.json").exists()
    ax = found.plot()
    ax.figure.canvas.draw()
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), found.values)
    assert [t.get_text() for t in ax.get_yticklabels()] == list(profile)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("other", "$\\bad{$")
    marked = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines]
    assert marked == [(int(np.argmax(row)), i) for i, row in enumerate(found.values)]
    nearest = profile.compare(measure="angular_cka")
    assert [line.get_xdata()[0] for line in nearest.plot().lines] == np.argmin(nearest.values, 1).tolist()
    many = rg.cka_map({f"layer {i}": X[:50] for i in range(40)}).plot()
    assert len(many.get_xticklabels()) <= 16
    for text in (str(found), repr(found)):
        assert "linear_cka" in text
