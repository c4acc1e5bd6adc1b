"""Rows of a group are no neighbours of each other, in everything that looks at neighbours; intervals count groups."""

import math

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.data.arrays import unit_rows
from repgeom.inference.halves import SPLITS
from repgeom.inference.neighbours import Neighbours
from repgeom.measures.nearest_rows import group_codes
from repgeom.robustness import feature_robustness
from repgeom.robustness.measurement import Measurement

PAIRS = ("knn_overlap", "mutual_knn", "self_retrieval")


def videos(n_videos=200, n_frames=10, width=32, seed=0, within=0.02):
    """Frames that are nearly alike within a video, and the video of each."""
    rng = np.random.default_rng(seed)
    of_video = rng.standard_normal((n_videos, width))
    codes = np.repeat(np.arange(n_videos), n_frames)
    return of_video[codes] + within * rng.standard_normal((n_videos * n_frames, width)), codes


def cosines(x, y):
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    return x @ y.T


def nearest(queries, x, codes, k):
    """The k nearest rows of other groups, by loops."""
    found = []
    for i, similar in enumerate(cosines(queries, x)):
        others = [j for j in range(len(x)) if codes[j] != codes[i]]
        found.append(sorted(others, key=lambda j, s=similar: -s[j])[:k])
    return found


def slow_mutual(x, y, codes, k):
    pairs = zip(nearest(x, x, codes, k), nearest(y, y, codes, k), strict=True)
    return np.mean([len({*a} & {*b}) / k for a, b in pairs])


def slow_accuracy(x, labels, codes, k):
    right = []
    for i, rows in enumerate(nearest(x, x, codes, k)):
        votes = [labels[j] for j in rows]
        right.append(max(votes, key=votes.count) == labels[i])
    return np.mean(right)


def uneven(seed=0):
    """Groups of one to nine rows in no order, related features, and labels."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(24), rng.integers(1, 10, 24)))
    x = rng.standard_normal((24, 5))[codes] + 0.5 * rng.standard_normal((len(codes), 5))
    return x, x + 0.3 * rng.standard_normal(x.shape), codes, rng.integers(0, 3, 24)[codes]


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("named", [False, True])
def test_public_functions_are_those_of_loops_over_other_groups(k, dtype, named):
    x, y, codes, labels = uneven()
    x, y = x.astype(dtype), y.astype(dtype)
    groups = [f"clip {c}" for c in codes] if named else codes
    assert rg.mutual_knn(x, y, k=k, groups=groups) == pytest.approx(slow_mutual(x, y, codes, k), rel=1e-6)
    assert rg.knn_accuracy(x, labels, k=k, groups=groups) == pytest.approx(slow_accuracy(x, labels, codes, k))


def test_groups_of_one_row_are_no_groups_and_blocks_change_nothing(monkeypatch):
    x, y, codes, labels = uneven()
    each = np.arange(len(x))
    assert rg.mutual_knn(x, y, groups=each) == rg.mutual_knn(x, y)
    assert rg.knn_accuracy(x, labels, groups=each) == rg.knn_accuracy(x, labels)
    before = rg.mutual_knn(x, y, groups=codes), rg.knn_accuracy(x, labels, groups=codes)
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 7 * len(x))
    monkeypatch.setattr("repgeom.probes.nearest._BANK_ROWS", 11)
    after = rg.mutual_knn(x, y, groups=codes), rg.knn_accuracy(x, labels, groups=codes)
    assert after == pytest.approx(before, rel=1e-12)


def test_what_frames_of_one_video_share_is_not_counted():
    x, codes = videos()
    y = videos(seed=1)[0]
    labels = np.random.default_rng(2).integers(0, 5, 200)[codes]
    assert rg.knn_accuracy(x, labels, k=5) == 1.0
    assert rg.knn_accuracy(x, labels, k=5, groups=codes) == pytest.approx(0.2, abs=0.07)
    assert rg.mutual_knn(x, y) > 0.85
    assert rg.mutual_knn(x, y, groups=codes) == pytest.approx(10 / 1990, abs=0.02)


CALLS = {
    "mutual_knn": lambda x, groups: rg.mutual_knn(x, x, groups=groups),
    "knn_accuracy": lambda x, groups: rg.knn_accuracy(x, np.arange(len(x)) % 3, groups=groups),
    "feature_robustness": lambda x, groups: feature_robustness(x, x, groups=groups),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_group_that_leaves_too_few_neighbours_is_refused_with_its_size(call):
    x = np.random.default_rng(0).standard_normal((40, 4))
    for n_large, left in ((31, 9), (40, 0)):
        groups = np.concatenate([np.zeros(n_large, int), 1 + np.arange(40 - n_large)])
        words = f"`groups` has a group of {n_large} of 40 rows, which leaves them {left} rows outside of it, and `k` asks for 10"
        with pytest.raises(ValueError, match=words):
            call(x, groups)
    call(x, np.concatenate([np.zeros(30, int), 1 + np.arange(10)]))
    with pytest.raises(ValueError, match="`groups` has 39 entries and `features` 40 rows"):
        call(x, np.zeros(39, int))


# Drift ------------------------------------------------------------------------------------------------------------


def drift(x, y, labels=None, **options):
    table = feature_robustness(x, y, labels, **options)
    return table[table.corruption != "clean"].set_index("measure")


@pytest.mark.parametrize("k", [1, 4])
def test_drift_of_neighbours_is_that_of_loops_over_other_groups(k):
    x, y, codes, labels = uneven()
    found = drift(x, y, labels, k=k, groups=codes)
    clean = nearest(x, x, codes, k)
    among = zip(clean, nearest(y, x, codes, k), strict=True)
    assert found.value["knn_overlap"] == pytest.approx(np.mean([len({*a} & {*b}) / k for a, b in among]))
    assert found.value["mutual_knn"] == pytest.approx(slow_mutual(x, y, codes, k))
    similar = cosines(y, x)
    own = [similar[i, i] >= similar[i, j] for i, (j,) in enumerate(nearest(y, x, codes, 1))]
    assert found.value["self_retrieval"] == pytest.approx(np.mean(own))
    votes = [[labels[j] for j in rows] for rows in nearest(y, x, codes, k)]
    right = [max(v, key=v.count) == label for v, label in zip(votes, labels, strict=True)]
    assert found.value["knn_accuracy"] == pytest.approx(np.mean(right))


def test_a_frame_that_finds_another_of_its_own_video_is_not_lost():
    x, codes = videos(60, 5)
    y = x + 0.05 * np.random.default_rng(3).standard_normal(x.shape)
    assert drift(x, y).value["self_retrieval"] < 0.9
    assert drift(x, y, groups=codes).value["self_retrieval"] == 1


def test_a_group_contributes_the_sum_of_what_its_samples_add():
    x, _, codes, _ = uneven()
    values = torch.as_tensor(x[:, 0])
    groups, n_groups = group_codes(codes, len(codes)), 24
    m = Measurement.mean("any", values).by_group(groups)
    away = [n_groups / len(x) * (values[codes == g] - values.mean()).sum() for g in range(n_groups)]
    np.testing.assert_allclose(m.contributions, values.mean() + torch.stack(away), rtol=1e-12)
    assert float(m.contributions.mean()) == pytest.approx(m.value)
    # Copies of a row count as one.
    once = Measurement.mean("any", values).interval(0.95)
    copies = Measurement.mean("any", values.repeat_interleave(5)).by_group(torch.arange(len(x)).repeat_interleave(5))
    assert copies.interval(0.95) == pytest.approx(once)


def test_intervals_of_drift_widen_where_groups_are_alike_and_go_where_they_are_few():
    x, codes = videos(60, 10, within=0.1)
    y = x * (1 + 0.3 * np.random.default_rng(1).random(60))[codes][:, None]
    alone, grouped = drift(x, y), drift(x, y, groups=codes)
    for name in ("relative_l2_drift", "centred_relative_l2_drift"):
        assert alone.value[name] == grouped.value[name]
        width = (grouped.high - grouped.low)[name] / (alone.high - alone.low)[name]
        assert width == pytest.approx(10**0.5, rel=0.35)
    assert grouped.loc[[*PAIRS], "low"].notna().all()
    few = drift(x[:190], y[:190], groups=codes[:190])
    means = few.loc[["cosine_drift", "relative_l2_drift", *PAIRS]]
    assert means.low.isna().all()
    assert set(means.note) == {"no interval: fewer than 20 groups"}


def test_every_table_takes_groups():
    images = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    groups = np.repeat(np.arange(30), 2)
    features = lambda x: x.mean(3).flatten(1)  # noqa: E731
    options = {"k": 5, "groups": groups}
    tables = [
        rg.robustness.corruption_robustness(features, images, corruptions="contrast", severities=[2], **options),
        rg.robustness.noise_robustness(features, images, sigmas=[0.1], **options),
    ]
    for table in tables:
        moved = table[(table.severity > 0) & (table.measure == "cosine_drift")]
        assert moved.low.notna().all()
        assert (moved.n == 60).all()
    both = rg.robustness.compare_robustness(
        features, lambda x: features(x) ** 2, images, corruptions="contrast", severities=[2], **options
    )
    assert both[both.measure == "mutual_knn"].low.notna().all()
    with pytest.raises(ValueError, match="`groups` has 3 entries"):
        rg.robustness.corruption_robustness(features, images, corruptions="contrast", groups=[0, 1, 2])


# The error of what neighbours say ---------------------------------------------------------------------------------


def test_halves_of_an_estimate_share_no_group():
    x, codes = videos(80, 4, 8, within=0.5)
    units = unit_rows(torch.as_tensor(x))
    near = Neighbours(units, 5, 0, torch.as_tensor(codes))
    assert len(near.splits) == SPLITS
    for half in near.splits:
        by_group = half.reshape(80, 4)
        assert bool((by_group == by_group[:, :1]).all())
        assert int(by_group[:, 0].sum()) == 40
    few = Neighbours(units[:100], 5, 0, torch.as_tensor(codes[:100]))
    found = few.shared_with(units[:100]).estimate(0.95)
    assert found.warnings == ("no interval: 25 groups are too few to be split into halves",)


def test_the_error_is_that_of_drawing_other_groups():
    accuracies, errors = [], []
    for seed in range(40):
        x, codes = videos(80, 6, 6, seed, within=0.3)
        labels = (x.reshape(80, 6, 6).mean(1)[:, 0] > 0).astype(int)[codes]
        near = Neighbours(unit_rows(torch.as_tensor(x)), 5, seed, torch.as_tensor(codes))
        votes = near.votes(torch.as_tensor(labels))
        accuracies.append(votes.value)
        errors.append(votes.error)
    assert np.mean(errors) == pytest.approx(np.std(accuracies), rel=0.35)
    # That of independent rows would be less than half of it.
    p = np.mean(accuracies)
    assert np.mean(errors) > 1.5 * math.sqrt(p * (1 - p) / 480)
