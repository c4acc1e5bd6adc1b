"""What a change does to features, against NumPy definitions, numerical derivatives, and how often an interval holds."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

import repgeom as rg
from repgeom.inference.intervals import Reading, difference, holm, interval
from repgeom.robustness.drift import MEASURES, Clean
from repgeom.robustness.spread import RANKS

EPS = np.finfo(float).eps
ABS = 4096 * EPS  # a few thousand roundings of numbers near 1
PAIRS = ("knn_overlap", "mutual_knn", "self_retrieval")
COMPARED = [name for name in MEASURES if name != "mean_norm"]  # which is of the clean features alone


def shannon(weights):
    p = weights[weights > 0] / weights.sum()
    return np.exp(-(p * np.log(p)).sum())


def eigen(x, w):
    """Variances of rows with weights, and their directions, leading first; rounding cut off."""
    c = (x - w @ x) * np.sqrt(w)[:, None]
    _, sigma, directions = np.linalg.svd(c, full_matrices=False)
    kept = sigma > sigma[0] * max(x.shape) * EPS
    return sigma[kept] ** 2, directions[kept].T


def rank_sigma(x, w):
    return shannon(np.sqrt(eigen(x, w)[0]))


def participation(x, w):
    return eigen(x, w)[0].sum() ** 2 / (eigen(x, w)[0] ** 2).sum()


def leading_variance(x, y, w):
    """Each clean direction counts by how much of it is needed to hold 90 % of the clean variance."""
    variances, directions = eigen(x, w)
    before = np.cumsum(variances) - variances
    counts = np.clip((0.9 * variances.sum() - before) / variances, 0, 1)
    along = (y - w @ y) @ directions
    return (w @ along**2) @ counts / (w @ (y - w @ y) ** 2).sum()


def cka(x, y, w):
    """Of kernels without their diagonals: the debiased one but for terms in 1/n."""

    def alignment(a, b):
        both = ((a - w @ a) @ (a - w @ a).T) * ((b - w @ b) @ (b - w @ b).T) * np.outer(w, w)
        return both.sum() - np.trace(both)

    return alignment(x, y) / np.sqrt(alignment(x, x) * alignment(y, y))


def lengths(x):
    return np.sqrt((x**2).sum(1))


def cosines(x, y):
    return (x * y).sum(1) / lengths(x) / lengths(y)


def weighted(probe):
    """Every measure that is a function of weighted rows: f(x, y, w), with w summing to one."""
    inside = probe.row_space.numpy()
    outside = np.eye(len(inside)) - inside @ inside.T
    return {
        "cosine_drift": lambda x, y, w: w @ (1 - cosines(x, y)),
        "centred_cosine_drift": lambda x, y, w: w @ (1 - cosines(x - w @ x, y - w @ x)),
        "relative_l2_drift": lambda x, y, w: w @ lengths(y - x) / (w @ lengths(x)),
        "centred_relative_l2_drift": lambda x, y, w: w @ lengths(y - x) / (w @ lengths(x - w @ x)),
        "effective_rank_ratio": lambda x, y, w: shannon(eigen(y, w)[0]) / shannon(eigen(x, w)[0]),
        "effective_rank_ratio_sigma": lambda x, y, w: rank_sigma(y, w) / rank_sigma(x, w),
        "participation_ratio_ratio": lambda x, y, w: participation(y, w) / participation(x, w),
        "leading_variance": leading_variance,
        "linear_cka": cka,
        "probe_drift": lambda x, y, w: w @ lengths((y - x) @ inside) / (w @ lengths((x - w @ x) @ inside)),
        "drift_outside_probe": lambda x, y, w: w @ lengths((y - x) @ outside) / (w @ lengths((x - w @ x) @ outside)),
        "drift_share_in_probe": lambda x, y, w: w @ lengths((y - x) @ inside) ** 2 / (w @ lengths(y - x) ** 2),
    }


def nearest(queries, x, k):
    """The k most similar other rows of x, nearest first."""
    similar = np.array([[q @ r / np.sqrt(q @ q) / np.sqrt(r @ r) for r in x] for q in queries])
    np.fill_diagonal(similar, -np.inf)
    return np.argsort(-similar, axis=1)[:, :k]


def shared(a, b):
    return np.mean([len({*p} & {*q}) / len(p) for p, q in zip(a, b, strict=True)])


def slow_pairs(x, y, k):
    own, foreign = cosines(x, y), nearest(y, x, 1)[:, 0]
    return {
        "knn_overlap": shared(nearest(x, x, k), nearest(y, x, k)),
        "mutual_knn": shared(nearest(x, x, k), nearest(y, y, k)),
        "self_retrieval": np.mean(own >= cosines(x[foreign], y)),
    }


def slow_right(x, y, labels, probe, k):
    def vote(rows):  # of equal votes the nearer class wins: max() keeps the first
        return max(labels[rows].tolist(), key=labels[rows].tolist().count)

    linear = (y @ probe.weight.numpy().T + probe.bias.numpy()).argmax(1) == labels
    return {"accuracy": linear.mean(), "knn_accuracy": np.mean([vote(r) for r in nearest(y, x, k)] == labels)}


def slow(x, y, labels, probe, k):
    """Every measure by its definition."""
    uniform = np.full(len(x), 1 / len(x))
    found = {name: f(x, y, uniform) for name, f in weighted(probe).items()} | slow_pairs(x, y, k)
    before, after = slow_right(x, x, labels, probe, k), slow_right(x, y, labels, probe, k)
    drops = {f"{name}_drop": before[name] - after[name] for name in before}
    exact = {"linear_cka": rg.linear_cka(x, y), "effective_rank": shannon(eigen(y, uniform)[0])}  # tested in test_pairs
    return found | after | drops | exact


def moved_pair(rng, n=40, d=6, offset=1.0, skewed=False):
    """Clean and corrupted rows with spread spectra off the origin, and labels from the clean ones."""
    noise = (lambda: rng.exponential(size=(n, d))) if skewed else (lambda: rng.standard_normal((n, d)))
    x = noise() * 1.5 ** -np.arange(d).clip(max=5) + offset
    y = 0.8 * x + 0.3 * noise()
    return x, y, np.digitize(x[:, 0], np.quantile(x[:, 0], [0.3, 0.7]))


def probed(x, labels):
    return rg.probes.fit_linear_probe(x, labels, C=1.0)


def readings(x, y, *args, **kwargs):
    return {r.measure: r for r in Clean(torch.as_tensor(x), *args, **kwargs).compared(torch.as_tensor(y))}


def values(x, y, *args, **kwargs):
    return {name: r.value for name, r in readings(x, y, *args, **kwargs).items()}


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


def test_the_table_of_ready_features_holds_the_same_readings(rng):
    x, y, labels = moved_pair(rng)
    table = rg.robustness.feature_robustness(x, {("typos", 2): y}, labels, probe=probed(x, labels), k=4, confidence=0.8)
    found = readings(x, y, labels, probed(x, labels), k=4)
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
    found = readings(x, y, labels, k=3, max_pair_rows=20, seed=5)
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
    assert [found[name] for name in (*RANKS, "linear_cka")] == pytest.approx([1, 1, 1, 1], abs=ABS)


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
    reading = readings(x, y, labels, probed(x, labels))["drift_outside_probe"]
    assert (math.isnan(reading.value), reading.note) == (True, "nothing to divide by")


def test_a_probe_that_tells_nothing_apart_sees_nothing(rng):
    x, y, labels = moved_pair(rng)
    probe = dataclasses.replace(probed(x, labels), weight=torch.ones(3, 6, dtype=torch.float64))
    found = readings(x, y, labels, probe)
    assert (math.isnan(found["probe_drift"].value), found["drift_share_in_probe"].value) == (True, 0)
    assert found["drift_outside_probe"].value == pytest.approx(found["centred_relative_l2_drift"].value)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e5 + 0.1])
def test_constant_corrupted_features_are_noted_and_the_rest_is_measured(value, rng):
    x, _, labels = moved_pair(rng)
    found = readings(x, np.full_like(x, value), labels, probed(x, labels))
    lost = {"effective_rank", *RANKS, "leading_variance", "linear_cka"}
    assert {name for name, r in found.items() if math.isnan(r.value)} == lost
    assert {found[name].note for name in lost} == {"all corrupted rows are equal"}
    assert all(math.isnan(end) for name in lost for end in interval(found[name], 0.95))


# --- what each sample contributes --------------------------------------------------------------------------------


def influence(f, x, y, rows=40, step=1e-6):
    """d f / d ε where row i gets weight ε more and all others as much less, for the first rows."""
    uniform = np.full(len(x), 1 / len(x))
    ways = np.eye(len(x))[:rows] - uniform
    return np.array([(f(x, y, uniform + step * way) - f(x, y, uniform - step * way)) / (2 * step) for way in ways])


@pytest.mark.parametrize(("shape", "skewed"), [((60, 5), True), ((15, 20), False)], ids=["tall, skewed", "wide"])
@pytest.mark.parametrize(
    "name", [n for n in STILL if n not in ("effective_rank", "leading_variance", "linear_cka", *PAIRS)]
)
def test_contributions_are_the_influence_of_each_row(name, shape, skewed, rng, monkeypatch):
    monkeypatch.setattr("repgeom.robustness.drift.SAMPLES_PER_FEATURE", 0)
    x, y, labels = moved_pair(rng, *shape, skewed=skewed)
    probe = probed(x, labels)
    reading = readings(x, y, probe=probe)[name]
    expected = influence(weighted(probe)[name], x, y)
    assert reading.samples.mean().item() == pytest.approx(reading.value, abs=ABS)
    off = (reading.samples - reading.value)[:40].numpy() - expected
    assert np.abs(off).max() < 1e-5 * expected.std()


@pytest.mark.parametrize("n", [80, 320])
@pytest.mark.parametrize("d", [5, 20])
def test_contributions_to_cka_are_its_influence_but_for_terms_in_1_over_n(n, d, rng):
    x, y, _ = moved_pair(rng, n, d, skewed=True)
    reading, expected = readings(x, y)["linear_cka"], influence(cka, x, y, rows=20)
    off = (reading.samples - reading.value)[:20].numpy() - expected
    assert reading.samples.mean().item() == pytest.approx(reading.value, abs=ABS)
    assert np.sqrt(np.mean(off**2)) < 8 / n * expected.std()


# --- intervals and tests -----------------------------------------------------------------------------------------


def reading(samples, kind="mean", name="m"):
    return Reading.mean(name, torch.as_tensor(samples, dtype=torch.float64), kind)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_are_the_published_ones(confidence, rng):
    z, t = scipy.stats.norm.ppf((1 + confidence) / 2), scipy.stats.t.ppf((1 + confidence) / 2, 19)
    for hits in (0, 1, 13, 20):
        wilson = scipy.stats.binomtest(hits, 20).proportion_ci(confidence, method="wilson")
        assert interval(reading([1] * hits + [0] * (20 - hits), "binary"), confidence) == pytest.approx(wilson, abs=ABS)
    for up, down in ((5, 2), (0, 0), (20, 0)):
        p, m = (up + 1) / 22, (down + 1) / 22
        half = z * math.sqrt((p + m - (p - m) ** 2) / 22)
        expected = max(-1, p - m - half), min(1, p - m + half)
        changes = [1] * up + [-1] * down + [0] * (20 - up - down)
        assert interval(reading(changes, "change"), confidence) == pytest.approx(expected, abs=ABS)
    x = rng.exponential(size=20)
    student = scipy.stats.ttest_1samp(x, 0).confidence_interval(confidence)
    assert interval(reading(x), confidence) == pytest.approx(student, abs=ABS)
    half = t * scipy.stats.sem(x) / x.mean()
    expected = x.mean() * math.exp(-half), x.mean() * math.exp(half)
    assert interval(reading(x, "positive"), confidence) == pytest.approx(expected, abs=ABS)


def test_differences_are_paired(rng):
    a, b = rng.normal([[0], [0.5]], 1, (2, 30))
    test, row = scipy.stats.ttest_rel(b, a), difference(reading(a), reading(b), 0.9)
    assert (row["p_value"], row["low"], row["high"]) == pytest.approx((test.pvalue, *test.confidence_interval(0.9)))
    a, b = rng.random((2, 40)) < [[0.4], [0.8]]
    row = difference(reading(a, "binary"), reading(b, "binary"), 0.9)
    better, worse = (b & ~a).sum(), (a & ~b).sum()
    assert row["p_value"] == pytest.approx(scipy.stats.binomtest(better, better + worse).pvalue)
    assert (row["low"], row["high"]) == pytest.approx(interval(reading(b * 1.0 - a, "change"), 0.9))
    assert row["difference"] == pytest.approx((better - worse) / 40)
    assert difference(reading(a, "binary"), reading(a, "binary"), 0.9)["p_value"] == 1
    assert difference(reading([1, 2, 3]), reading([1, 2, 3]), 0.9)["p_value"] == 1


def test_holm_is_its_definition_and_passes_over_nan(rng):
    p = np.append(rng.random(9) ** 3, [0.9, np.nan, 0.9])
    known = np.sort(p[~np.isnan(p)])
    slow = [max(min(1, (11 - j) * q) for j, q in enumerate(known) if q <= v) if v == v else np.nan for v in p]
    assert holm(p) == pytest.approx(slow, nan_ok=True)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]).tolist() == []


def population(rng, variances, n):
    """Rows that shrink along a fixed map and get noise; labels with noise of their own."""
    d = len(variances)
    turn = np.random.default_rng(7).standard_normal((d, d)) * 0.15 + np.eye(d) * 0.8
    x = rng.standard_normal((n, d)) * np.sqrt(variances) + 2
    return x, x @ turn + 0.4 * rng.standard_normal((n, d)), (x[:, 0] + 0.5 * rng.standard_normal(n) > 2).astype(int)


def coverage(names, n, variances, replicates):
    """Share of 95 % intervals that hold the value of a large sample; of neighbours, whose value depends on n, the mean."""
    rng = np.random.default_rng(3)
    x, y, labels = population(rng, variances, 20_000)
    probe = probed(x[:2000], labels[:2000])
    truth = values(x, y, labels, probe, max_pair_rows=50)
    found = [readings(*population(rng, variances, n), probe) for _ in range(replicates)]
    truth |= {name: np.mean([f[name].value for f in found]) for name in PAIRS}
    ends = {name: np.array([interval(f[name], 0.95) for f in found]) for name in names}
    return {name: np.mean((e[:, 0] <= truth[name]) & (truth[name] <= e[:, 1])) for name, e in ends.items()}


MEANS = ["accuracy_drop", "cosine_drift", "relative_l2_drift", "centred_relative_l2_drift", "probe_drift", "linear_cka"]
GAP, FLAT = (4, 2, 1, 0.2), np.linspace(4, 0.25, 8)
SPREADS = {
    "means and spectra": ([*MEANS, *RANKS], 64, GAP, 300),
    "more dimensions": ([*MEANS, *RANKS], 128, FLAT, 300),
}


@pytest.mark.parametrize(("names", "n", "variances", "replicates"), SPREADS.values(), ids=SPREADS)
def test_intervals_hold_the_population_value_about_as_often_as_they_say(names, n, variances, replicates):
    held = coverage(names, n, variances, replicates)
    assert {name: round(float(share), 3) for name, share in held.items() if not 0.9 <= share <= 0.985} == {}


def test_intervals_of_neighbours_hold_at_least_as_often_as_they_say():
    assert min(coverage(PAIRS, 60, np.ones(16), 200).values()) > 0.93


@pytest.mark.parametrize(("n", "k"), [(50, 4), (24, 10)])
def test_neighbours_without_a_group_are_those_of_the_other_rows(n, k, rng):
    x, y, _ = moved_pair(rng, n, 3)
    clean = Clean(torch.tensor(x), k=k)
    groups = clean.neighbourhoods.groups.numpy()
    found = {r.measure: r for r in clean.compared(torch.tensor(y))}
    n_groups, whole = min(20, n), slow_pairs(x, y, k)
    assert sorted(np.bincount(groups)) == sorted(len(part) for part in np.array_split(np.arange(n), n_groups))
    for g in range(n_groups):
        kept = groups != g
        without = slow_pairs(x[kept], y[kept], k)
        for name in whole:
            pseudo = n_groups * whole[name] - (n_groups - 1) * without[name]
            assert found[name].samples[g].item() == pytest.approx(pseudo, abs=ABS), (name, g)


@pytest.mark.parametrize("shift", [1, 7])
def test_rows_in_another_order_find_nothing_of_their_own(shift, rng):
    x = rng.standard_normal((60, 8))
    found = table(x, np.roll(x, shift, 0)).loc["self_retrieval"]
    assert (found.value, found.low) == (0, 0)
    assert 0.04 < found.high < 0.1


def test_few_rows_have_no_interval_of_neighbours(rng):
    found = table(rng.standard_normal((19, 3)), rng.standard_normal((19, 3)), k=3)
    for name in PAIRS:
        assert (math.isnan(found.low[name]), found.note[name]) == (True, "no interval: fewer than 20 samples")


def test_no_interval_is_given_where_none_holds(rng):
    for rows, withheld in ((127, set(RANKS)), (128, set())):
        x, y, labels = moved_pair(rng, n=rows, d=8)
        found = readings(x, y, labels, probed(x, labels))
        without = {name for name, r in found.items() if all(map(math.isnan, interval(r, 0.95)))}
        assert without == {"effective_rank", "leading_variance"} | withheld
        assert all(found[name].note.startswith("no interval: ") for name in without)


# --- array kinds and errors --------------------------------------------------------------------------------------


def table(x, y, *args, **kwargs):
    found = rg.robustness.feature_robustness(x, y, *args, **kwargs)
    return found[found.corruption != "clean"].set_index("measure")


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
