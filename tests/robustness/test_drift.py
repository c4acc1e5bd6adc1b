"""What a change does to features, against NumPy definitions, numerical derivatives, and how often an interval holds."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from drift_reference import (
    ABS,
    COMPARED,
    EPS,
    PAIRS,
    cosines,
    coverage,
    lengths,
    measured,
    moved_pair,
    probed,
    slow,
    table,
    values,
    weighted,
)

import repgeom as rg
from repgeom.robustness.ranks import RATIOS, Ranks

# --- every measure against its definition ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 6), (12, 30), (14, 14)], ids=str)
@pytest.mark.parametrize(("dtype", "offset"), [("float64", 30), ("float32", 3), ("bfloat16", 1), ("float16", 1)])
def test_every_measure_is_its_definition(shape, dtype, offset, rng):
    x, y, labels = moved_pair(rng, *shape, offset=offset)
    x, y = (torch.tensor(z).to(getattr(torch, dtype)) for z in (x, y))
    probe = probed(x.double(), labels)
    expected = slow(x.double().numpy(), y.double().numpy(), labels, probe, k=3)
    found = values(x, y, labels, probe, k=3)
    assert set(found) == set(expected) == set(COMPARED)
    assert found == pytest.approx(expected, abs=ABS * offset, rel=1e-7)  # 1e-7: lengths outside the row space


def test_the_table_of_ready_features_holds_the_same_measurements(rng):
    x, y, labels = moved_pair(rng)
    table = rg.robustness.feature_robustness(x, {("typos", 2): y}, labels, probe=probed(x, labels), k=4, confidence=0.8)
    found = measured(x, y, labels, probed(x, labels), k=4)
    rows = table[table.corruption == "typos"].drop(columns=["corruption", "severity"]).set_index("measure")
    assert rows.to_dict("index") == {
        name: pytest.approx({k: v for k, v in r.row(0.8).items() if k != "measure"}, nan_ok=True)
        for name, r in found.items()
    }


@pytest.mark.parametrize("k", [1, (1, 5), (3, 7, 9)])
def test_several_k_in_a_knn_probe_give_one_accuracy_each(k, rng):
    x, y, labels = moved_pair(rng)
    bank, _, bank_labels = moved_pair(rng)
    knn = rg.probes.fit_knn_probe(bank, bank_labels, k=k)
    found = values(x, y, labels, knn=knn)
    names = {f"knn_accuracy_k{each}": each for each in k} if isinstance(k, tuple) else {"knn_accuracy": k}
    before, after = knn.accuracy(x, labels), knn.accuracy(y, labels)
    assert {name: found[name] for name in names} == {name: after[each] for name, each in names.items()}
    for name, each in names.items():
        assert found[f"{name}_drop"] == pytest.approx(before[each] - after[each], abs=ABS)


def test_pairs_are_taken_among_a_sample_of_rows_that_the_seed_fixes(rng):
    x, y, labels = moved_pair(rng, n=50)
    found = measured(x, y, labels, k=3, max_pair_rows=20, seed=5)
    assert {name: r.n for name, r in found.items()} == {
        name: 20 if name in (*PAIRS, "knn_accuracy", "knn_accuracy_drop") else 50 for name in found
    }
    again = values(x, y, labels, k=3, max_pair_rows=20, seed=5)
    assert [again[name] for name in PAIRS] == [found[name].value for name in PAIRS]
    assert values(x, y, labels, k=3, max_pair_rows=20, seed=6) != again


# --- planted answers and negative controls -----------------------------------------------------------------------

STILL = {name: float("drift" not in name) for name in COMPARED if "accuracy" not in name}
OPEN = ("effective_rank", "leading_variance", "drift_share_in_probe")  # not fixed by nothing moving


@pytest.mark.parametrize("kind", ["spread", "a row of zeros", "rows twice", "a tight cone", "wide", "one column"])
def test_where_nothing_moves_drift_is_0_and_ratios_and_overlaps_are_1(kind, rng):
    x, _, labels = moved_pair(rng, 60, {"wide": 90, "one column": 1}.get(kind, 6))
    if kind == "a row of zeros":  # dead units: a ReLU often gives some
        x[3] = 0
    if kind == "rows twice":
        x[1::2] = x[::2]
    if kind == "a tight cone":
        x = 100 + 0.01 * x
    found = values(x, x, probe=probed(x, labels), k=3)
    expected = {name: value for name, value in STILL.items() if name not in OPEN}
    if kind == "one column":
        expected.pop("drift_outside_probe")
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=64 * EPS)
    assert math.isnan(found["drift_share_in_probe"])


def test_a_rotation_an_order_and_a_scale_of_both_leave_every_measure(rng):
    x, y, labels = moved_pair(rng)
    probe, order = probed(x, labels), rng.permutation(len(x))
    q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    turned = dataclasses.replace(probe, weight=probe.weight @ torch.tensor(q))
    before = values(x, y, labels, probe, k=3)
    assert values(x @ q, y @ q, labels, turned, k=3) == pytest.approx(before, rel=1e-7)
    assert values(x[order], y[order], labels[order], probe, k=3) == pytest.approx(before, rel=1e-7)
    for scale in (1e-200, 1e-30, 1e30, 1e200):
        here = values(x * scale, y * scale, k=3)
        assert here == pytest.approx({name: before[name] for name in here}, abs=ABS)


def test_a_rotation_of_one_is_drift_but_no_change_of_shape(rng):
    x, _, _ = moved_pair(rng)
    found = values(x, x @ np.linalg.qr(rng.standard_normal((6, 6)))[0], k=3)
    same = (
        "effective_rank_ratio",
        "effective_rank_ratio_sigma",
        "participation_ratio_ratio",
        "linear_cka",
        "mutual_knn",
    )
    assert [found[name] for name in same] == pytest.approx([1] * 5, abs=ABS)
    assert min(found["cosine_drift"], found["centred_relative_l2_drift"], 1 - found["knn_overlap"]) > 0.1


def test_a_common_shift_is_distance_and_direction_but_no_change_of_shape(rng):
    x, _, _ = moved_pair(rng, offset=0)
    x -= x.mean(0)
    shift = np.array([0, 3.0, 0, 4.0, 0, 0])
    found = values(x + 7, x + 7 + shift, k=3)
    assert found["relative_l2_drift"] == pytest.approx(5 / lengths(x + 7).mean(), abs=ABS)
    assert found["centred_relative_l2_drift"] == pytest.approx(5 / lengths(x).mean(), abs=ABS)
    assert found["centred_cosine_drift"] == pytest.approx(np.mean(1 - cosines(x, x + shift)), abs=ABS)
    assert [found[name] for name in (*RATIOS, "linear_cka")] == pytest.approx([1, 1, 1, 1], abs=ABS)


def test_a_cone_hides_drift_from_the_uncentred_measures_only(rng):
    x, y = rng.standard_normal((2, 400, 8))
    found = values(x + 100, y + 100)
    assert max(found["cosine_drift"], found["relative_l2_drift"]) < 0.02
    assert found["centred_cosine_drift"] == pytest.approx(1, abs=4 / math.sqrt(400 * 8))
    assert found["centred_relative_l2_drift"] == pytest.approx(math.sqrt(2), abs=0.1)


def test_a_shrink_to_one_axis_is_read_by_ranks_and_leading_variance():
    x = rg.testing.features_with_spectrum([3, 3, 0.1, 0.1], 40)
    # The second direction counts by 0.7991, which with the first makes 90 % of 9 + 9 + 0.01 + 0.01.
    for axes, left, leading in (([1, 1, 0, 0], 2, (1 + 0.802) / 2), ([0, 0, 0, 1], 1, 0)):
        directions = np.linalg.svd(x - x.mean(0), full_matrices=False)[2]
        found = values(x, x @ directions.T @ np.diag(axes) @ directions)
        assert found["effective_rank"] == pytest.approx(left, abs=ABS)
        assert found["leading_variance"] == pytest.approx(leading, abs=ABS)


def test_drift_inside_and_outside_the_probe_is_told_apart(rng):
    x, _, labels = moved_pair(rng)
    probe = probed(x, labels)
    inside = probe.row_space.numpy() @ rng.standard_normal((2, 40))
    outside = rng.standard_normal((40, 6))
    outside -= outside @ probe.row_space.numpy() @ probe.row_space.numpy().T
    seen, unseen = values(x, x + inside.T, labels, probe), values(x, x + outside, labels, probe)
    assert unseen["accuracy_drop"] == 0 < unseen["drift_outside_probe"]
    assert [unseen["probe_drift"], unseen["drift_share_in_probe"]] == pytest.approx([0, 0], abs=ABS)
    assert seen["drift_share_in_probe"] == pytest.approx(1, abs=ABS)
    assert seen["drift_outside_probe"] == pytest.approx(0, abs=ABS)


def test_a_probe_that_sees_everything_leaves_nothing_outside(rng):
    x, y, labels = moved_pair(rng, d=2)  # three classes span two columns
    one = measured(x, y, labels, probed(x, labels))["drift_outside_probe"]
    assert (math.isnan(one.value), one.note) == (True, "nothing to divide by")


def test_a_probe_that_tells_nothing_apart_sees_nothing(rng):
    x, y, labels = moved_pair(rng)
    probe = dataclasses.replace(probed(x, labels), weight=torch.ones(3, 6, dtype=torch.float64))
    found = measured(x, y, labels, probe)
    assert (math.isnan(found["probe_drift"].value), found["drift_share_in_probe"].value) == (True, 0)
    assert found["drift_outside_probe"].value == pytest.approx(found["centred_relative_l2_drift"].value)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e5 + 0.1])
def test_constant_corrupted_features_are_noted_and_the_rest_is_measured(value, rng):
    x, _, labels = moved_pair(rng)
    found = measured(x, np.full_like(x, value), labels, probed(x, labels))
    lost = {"effective_rank", *RATIOS, "leading_variance", "linear_cka"}
    assert {name for name, r in found.items() if math.isnan(r.value)} == lost
    assert {found[name].note for name in lost} == {"all corrupted rows are equal"}
    assert all(math.isnan(end) for name in lost for end in found[name].interval(0.95))


# --- what each sample contributes --------------------------------------------------------------------------------


def influence(f, x, y, rows=40, step=1e-6):
    """d f / d ε where row i gets weight ε more and all others as much less, for the first rows."""
    uniform = np.full(len(x), 1 / len(x))
    ways = np.eye(len(x))[:rows] - uniform
    return np.array([(f(x, y, uniform + step * way) - f(x, y, uniform - step * way)) / (2 * step) for way in ways])


@pytest.mark.parametrize(("shape", "skewed"), [((60, 5), True), ((15, 20), False)], ids=["tall, skewed", "wide"])
@pytest.mark.parametrize(
    "name", [n for n in STILL if n not in ("effective_rank", *RATIOS, "leading_variance", "linear_cka", *PAIRS)]
)
def test_contributions_are_the_influence_of_each_row(name, shape, skewed, rng, monkeypatch):
    monkeypatch.setattr("repgeom.robustness.drift.heavy_tails", lambda *lengths: "")  # few rows, but right ones
    x, y, labels = moved_pair(rng, *shape, skewed=skewed)
    probe = probed(x, labels)
    one = measured(x, y, probe=probe)[name]
    expected = influence(weighted(probe)[name], x, y)
    assert one.contributions.mean().item() == pytest.approx(one.value, abs=ABS)
    off = (one.contributions - one.value)[:40].numpy() - expected
    assert np.abs(off).max() < 1e-5 * expected.std()


# --- how often intervals hold -------------------------------------------------------------------------------------


def population(rng, variances, n):
    """Rows that shrink along a fixed map and get noise; labels with noise of their own."""
    d = len(variances)
    turn = np.random.default_rng(7).standard_normal((d, d)) * 0.15 + np.eye(d) * 0.8
    x = rng.standard_normal((n, d)) * np.sqrt(variances) + 2
    return x, x @ turn + 0.4 * rng.standard_normal((n, d)), (x[:, 0] + 0.5 * rng.standard_normal(n) > 2).astype(int)


MEANS = ["accuracy_drop", "cosine_drift", "relative_l2_drift", "centred_relative_l2_drift", "probe_drift"]


@pytest.mark.parametrize(
    ("n", "variances"), [(64, (4, 2, 1, 0.2)), (128, np.linspace(4, 0.25, 8))], ids=["few", "more"]
)
def test_intervals_hold_the_population_value_about_as_often_as_they_say(n, variances, monkeypatch):
    rng = np.random.default_rng(3)
    x, y, labels = population(rng, variances, 20_000)
    probe = probed(x[:2000], labels[:2000])
    truth = values(x, y, labels, probe, max_pair_rows=50)
    ranks = Ranks.of(torch.tensor(x[:n]), "clean")
    # Ranks have a test of their own, and are most of the work: here they are read once.
    monkeypatch.setattr(Ranks, "of", lambda rows, name, groups: ranks)
    found = [measured(*population(rng, variances, n), probe) for _ in range(200)]
    held = {m: coverage([f[m].interval(0.95) for f in found], truth[m])[0] for m in MEANS}
    assert {m: round(float(share), 3) for m, share in held.items() if not 0.9 <= share <= 0.985} == {}


def test_the_share_in_the_probes_space_has_no_interval_where_few_rows_carry_the_steps(rng):
    x, _, labels = moved_pair(rng, 500)
    probe = probed(x, labels)
    even, ruined = x + rng.standard_normal(x.shape), x.copy()
    ruined[:5] += 10 * rng.standard_normal((5, 6))
    assert measured(x, even, labels, probe)["drift_share_in_probe"].known
    one = measured(x, ruined, labels, probe)["drift_share_in_probe"]
    assert (one.known, 0 < one.value < 1) == (False, True)
    assert one.note.startswith("no interval: ")
    assert "of 500 rows, whose lengths stand out" in one.note


# --- array kinds and errors --------------------------------------------------------------------------------------


def test_array_kinds_text_labels_and_gradients(rng):
    x, y, labels = moved_pair(rng)
    x, y = x.astype(np.float32), y.astype(np.float32)
    before = table(x, y, labels).value.to_dict()
    names = np.array(["ant", "bee", "cow"])[labels]
    kinds = [
        (x.tolist(), pd.DataFrame(y), names),
        (np.asfortranarray(x), torch.tensor(y.T.copy()).T, names.tolist()),
        (torch.tensor(x), y, torch.tensor(labels)),
        (torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True), pd.Series(names)),
    ]
    for a, b, c in kinds:
        assert table(a, b, c).value.to_dict() == pytest.approx(before, abs=ABS)


BAD = {
    "rows": (lambda x: table(x, x[:39]), r"at corrupted, severity 1: .*40 rows.* 39"),
    "width": (lambda x: table(x, {("typos", 2): x[:, :5]}), r"at typos, severity 2: .*6 columns.* 5"),
    "NaN": (
        lambda x: table(x, {("typos", 2): np.where(x == x[7, 2], np.nan, x)}),
        "at typos, severity 2: `corrupted` has 1 non-finite value; the first is nan at row 7, column 2",
    ),
    "infinite clean": (lambda x: table(np.where(x == x[7, 2], np.inf, x), x), "`clean` has 1 non-finite value"),
    "few": (
        lambda x: table(x[:3], x[:3]),
        r"`clean` must be \(n_samples, n_features\) with at least 4 rows, got \(3, 6\)",
    ),
    "flat": (lambda x: table(x * 0 + 0.1, x), "`clean` has zero variance"),
    "deep clean": (lambda x: table(x[None], x), r"`clean` must be .* got shape \(1, 40, 6\)"),
    "deep corrupted": (lambda x: table(x, x[None]), r"\(1, 40, 6\)"),
    "labels": (lambda x: table(x, x, np.arange(39)), "`labels` has 39 entries"),
    "k": (lambda x: table(x, x, k=0), "`k` must be a whole number from 1 to 38 here, got 0"),
    "confidence": (lambda x: table(x, x + 1, confidence=95), "`confidence` .* 95"),
    "probe width": (
        lambda x: table(x, x, probe=probed(x[:, :4], np.arange(40) % 3)),
        "`probe` was fitted on 4 features, these are 6",
    ),
    "knn width": (
        lambda x: table(x, x, [0, 1] * 20, knn=rg.probes.fit_knn_probe(x[:, :4], [0, 1] * 20)),
        "`knn` was fitted on 4 features, these are 6",
    ),
    "empty": (lambda x: table(x, {}), "`corrupted` is empty"),
    "clean key": (lambda x: table(x, {"clean": x}), "has the key 'clean'; keys are a name other than 'clean'"),
    "zero key": (lambda x: table(x, {("a", 0): x}), r"\('a', 0\).* severity above 0"),
    "word key": (lambda x: table(x, {("a", "x"): x}), r"\('a', 'x'\)"),
    "long key": (lambda x: table(x, {("a", 1, 2): x}), r"\('a', 1, 2\)"),
    "seed": (lambda x: table(x, x, seed=-1), "`seed` must be a whole number of at least 0, got -1"),
    "half seed": (lambda x: table(x, x, seed=1.5), "got 1.5"),
    "pairs": (lambda x: table(x, x, max_pair_rows=3), "`max_pair_rows` must be at least k . 2, which is 12, got 3"),
    "classes": (
        lambda x: table(x, x, ["a", "b"] * 20, probe=probed(x, ["ant", "bee"] * 20)),
        r"none of `labels` \('a', 'b' \.\.\.\) is among the classes .* \('ant', 'bee' \.\.\.\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(call, message, rng):
    with pytest.raises(ValueError, match=message):
        call(rng.standard_normal((40, 6)))
