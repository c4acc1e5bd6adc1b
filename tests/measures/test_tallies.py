"""Tallies of the cloud, of classes and of pairs: in any split and order, through bytes, and at their limits."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import added_up

import repgeom as rg
from repgeom.measures import class_tally
from repgeom.measures.class_tally import ClassTally, most_rows, refuse_sample_ids
from repgeom.measures.cloud_tally import CloudTally
from repgeom.measures.pair_sums import pair_sums
from repgeom.measures.pair_tally import PairTally
from repgeom.reading import thinning
from repgeom.reading.tally import Piece, from_bytes, to_bytes


def normal(n, d, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal((n, d)))


def through_bytes(tally):
    return type(tally).from_state(from_bytes(to_bytes(tally.state())))


# The cloud -----------------------------------------------------------------------------------------------------------


def spoilt(n=60):
    x = normal(n, 4) * torch.linspace(1, 30, n)[:, None]
    x[:, 2] = 5.0
    x[4] = x[31]
    x[50] = x[31]
    x[12], x[44] = 0, 0
    x[7, 1], x[33, 0], x[33, 3] = math.nan, math.inf, -math.inf
    x[20] *= 100
    return x


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_cloud_is_one_in_any_order_and_through_bytes(order):
    x = spoilt()
    finite = x[torch.isfinite(x).all(1)]
    ends = [(0, 13), (13, 40), (40, 60)]
    parts = [through_bytes(added_up(CloudTally(), x[a:b], 5, a)) for a, b in (ends[i] for i in order)]
    whole = CloudTally()
    for part in parts:
        whole.merge(part)
    whole = through_bytes(whole)
    assert whole.health() == rg.health(x)
    assert (rg.health(x).nan, rg.health(x).inf, rg.health(x).nonfinite_rows) == (1, 2, 2)
    assert (rg.health(x).zero_rows, rg.health(x).duplicate_rows, rg.health(x).extreme_norms) == (2, 3, 1)
    lengths = finite.norm(dim=1).numpy()
    norms = whole.norms()
    assert norms.mean == pytest.approx(lengths.mean(), rel=1e-12)
    assert norms.std == pytest.approx(lengths.std(), rel=1e-12)
    assert norms.cv == pytest.approx(lengths.std() / lengths.mean(), rel=1e-12)
    assert (norms.minimum, norms.maximum) == pytest.approx((0.0, lengths.max()))
    assert norms.median == pytest.approx(np.median(lengths))
    assert whole.mean_cosine() == pytest.approx(rg.mean_cosine(finite).item(), rel=1e-9)
    assert whole.feature_std() == pytest.approx(rg.feature_std(finite).item(), rel=1e-9)
    assert whole.longest_row == 20
    assert whole.n_features == 4
    assert whole.kept == 58


def test_the_longest_row_is_the_first_of_the_longest_by_its_place():
    x = torch.ones(6, 2)
    x[3] = 2.0
    assert added_up(CloudTally(), x, 2, 100).longest_row == 103
    assert CloudTally().longest_row == -1
    assert added_up(CloudTally(), torch.zeros(3, 2), 2, 9).longest_row == 9
    merged = added_up(CloudTally(), torch.zeros(3, 2), 2, 9)
    merged.merge(added_up(CloudTally(), torch.zeros(3, 2), 2, 50))
    assert merged.longest_row == 9
    merged.merge(CloudTally())
    assert merged.longest_row == 9
    empty = CloudTally()
    empty.merge(merged)
    assert (empty.longest_row, empty.n_features, empty.n_samples) == (9, 2, 6)


def test_empty_tallies_add_nothing_before_or_after():
    x = normal(9, 3)
    filled = added_up(CloudTally(), x, 4)
    filled.merge(CloudTally())
    empty = CloudTally()
    empty.merge(filled)
    assert empty.health() == filled.health() == rg.health(x)
    assert empty.norms() == filled.norms()


def test_one_row_has_no_spread_and_rows_of_zeros_no_variation():
    norms = added_up(CloudTally(), torch.zeros(3, 2), 1).norms()
    assert (norms.mean, norms.std, norms.cv, norms.minimum, norms.maximum) == (0, 0, 0, 0, 0)
    assert CloudTally().health().extreme_norms == 0
    assert CloudTally().health().constant_features == 0


def test_beyond_the_rows_that_are_kept_repeats_and_extremes_are_scaled_up(monkeypatch):
    monkeypatch.setattr(thinning, "KEPT_ROWS", 512)
    distinct = normal(4000, 3)
    x = torch.cat([distinct, distinct, torch.ones(700, 3)])
    x[:80] *= 1e6
    order = torch.tensor(np.random.default_rng(1).permutation(len(x)))
    for split in (len(x), 3000):
        tally = added_up(CloudTally(), x[order[:split]], 500)
        rest = added_up(CloudTally(), x[order[split:]], 500, split)
        tally.merge(through_bytes(rest))
        tally = through_bytes(tally)
        found = tally.health()
        assert tally.kept <= 512
        assert found.duplicate_rows == pytest.approx(3920 + 699, rel=0.1)
        assert found.extreme_norms == pytest.approx(80, abs=70)
        assert found.n_samples == len(x)


# Classes -------------------------------------------------------------------------------------------------------------


def slow_share(x, labels):
    x, within = np.asarray(x), 0.0
    for label in set(labels):
        rows = x[np.asarray(labels) == label]
        within += ((rows - rows.mean(0)) ** 2).sum()
    return 1 - within / ((x - x.mean(0)) ** 2).sum()


@pytest.mark.parametrize("normalize", [None, "l2"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_classes_are_one_in_any_order_and_through_bytes(order, normalize):
    labels = np.random.default_rng(2).choice(["cat", "dog", "ant", "bee"], 90)
    labels[:20] = "dog"
    x = normal(90, 3) + torch.tensor(np.char.str_len(labels) + (labels == "bee"))[:, None]
    ends = [(0, 20), (20, 50), (50, 90)]
    whole = ClassTally(normalize)
    for a, b in (ends[i] for i in order):
        whole.merge(through_bytes(added_up(ClassTally(normalize), x[a:b], 7, a, labels=labels[a:b])))
    whole = through_bytes(whole)
    rows = x
    if normalize:
        rows = x / x.norm(dim=1, keepdim=True)
    assert whole.between_share() == pytest.approx(slow_share(rows, labels), rel=1e-9)
    assert whole.classes()[0].tolist() == ["ant", "bee", "cat", "dog"]
    assert whole.sizes().tolist() == [(labels == name).sum() for name in ("ant", "bee", "cat", "dog")]
    assert whole.n_samples == 90
    for name, kept in zip(("ant", "bee", "cat", "dog"), whole.rows_by_class(), strict=True):
        assert sorted(kept[:, 0].tolist()) == sorted(x[torch.tensor(labels == name)][:, 0].tolist())
    whole.update(Piece(torch.zeros(0, 3), np.empty(0, np.int64), labels=np.empty(0, str)))
    assert whole.n_samples == 90


def test_no_rows_are_no_classes():
    empty = ClassTally()
    assert empty.rows_by_class() == []
    empty.merge(ClassTally())
    assert empty.n_samples == 0


@pytest.mark.parametrize("whole", [True, False])
def test_rows_that_are_kept_do_not_depend_on_the_split(whole):
    x, labels = normal(400, 2), np.arange(400) % 3
    tally = ClassTally(seed=5)
    cuts = [0, 400]
    if not whole:
        cuts = [0, 150, 170, 400]
    for a, b in itertools.pairwise(cuts):
        part = added_up(ClassTally(seed=5), x[a:b], 64, a, labels=labels[a:b])
        if a == 0:
            tally = part
        else:
            tally.merge(part)
    kept = tally.rows_by_class()
    assert [len(rows) for rows in kept] == [32, 32, 32]
    once = added_up(ClassTally(seed=5), x, 400, labels=labels).rows_by_class()
    for rows, wanted in zip(kept, once, strict=True):
        assert sorted(rows[:, 0].tolist()) == sorted(wanted[:, 0].tolist())
    other = added_up(ClassTally(seed=6), x, 400, labels=labels).rows_by_class()
    assert sorted(other[0][:, 0].tolist()) != sorted(once[0][:, 0].tolist())


def test_rows_of_a_class_are_sixteen_a_feature_or_what_fits():
    assert most_rows(10, 8) == 128
    assert most_rows(0, 8) == 128
    values = 1 << 25
    assert most_rows(values // 8 // 128, 8) == 128
    assert most_rows(values // 8 // 127, 8) == 127
    assert most_rows(values, 8) == 2


@pytest.mark.parametrize(
    ("classes", "samples", "refused"), [(51, 100, True), (50, 100, False), (99, 99, False), (60, 101, True)]
)
def test_labels_that_hardly_repeat_are_refused(classes, samples, refused):
    if not refused:
        refuse_sample_ids(classes, samples)
        return
    with pytest.raises(ValueError, match=f"`labels` has {classes} different values for {samples} rows"):
        refuse_sample_ids(classes, samples)


@pytest.mark.parametrize(("repeated", "refused"), [(0, True), (1, True), (200, False)])
def test_a_stream_of_sample_ids_is_refused_once_it_is_long(repeated, refused, monkeypatch):
    monkeypatch.setattr(class_tally, "_LOOKED_AT", 2000)
    labels = np.arange(2000)
    labels[:repeated] = 1999
    tally = added_up(ClassTally(), torch.zeros(1999, 1), 500, labels=labels[:1999])
    if refused:
        with pytest.raises(ValueError, match="different values for 2,000 rows"):
            added_up(tally, torch.zeros(1, 1), 1, 1999, labels=labels[1999:])
    else:
        added_up(tally, torch.zeros(1, 1), 1, 1999, labels=labels[1999:])


# Pairs ---------------------------------------------------------------------------------------------------------------


def scatter(x):
    rows = x - x.mean(0)
    return rows.mT @ rows


def assert_same_sums(found, x, y):
    """Of centred rows, by their definitions."""
    u, v = x - x.mean(0), y - y.mean(0)
    p, q = u.square().sum(1), v.square().sum(1)
    wanted = {"a": p.sum(), "b": q.sum(), "aa": p @ p, "bb": q @ q, "ab": p @ q, "cross": u.mT @ v}
    for name, value in wanted.items():
        torch.testing.assert_close(getattr(found, name), value, rtol=1e-9, atol=1e-9)
    assert found.n == len(x)


@pytest.mark.parametrize("normalize", [None, "l2"])
def test_pairs_are_one_in_any_split_and_through_bytes(normalize):
    x, y = normal(50, 4) * torch.linspace(1, 3, 50)[:, None] + 1, normal(50, 4, 1) - 2
    y[:, 0] += x[:, 1]
    rows_x, rows_y = x, y
    if normalize:
        rows_x, rows_y = (z / z.norm(dim=1, keepdim=True) for z in (x, y))
    cosines = torch.nn.functional.cosine_similarity(x, y)
    for ends in ([0, 3, 20, 50], [0, 20, 23, 50], [0, 2, 4, 50], [0, 47, 50]):
        parts = []
        for a, b in itertools.pairwise(ends):
            part = added_up(PairTally(normalize), x[a:b], 2, a, reference=y[a:b])
            part = through_bytes(part)
            if parts and part.sums is not None and parts[0].sums is not None:
                part.move(parts[0], scatter(rows_x[a:b]), scatter(rows_y[a:b]))
            parts.append(part)
            if len(parts) > 1:
                parts[0].merge(part)
        whole = through_bytes(parts[0])
        assert whole.n == 50
        assert whole.mean_cosine() == pytest.approx(cosines.mean().item(), rel=1e-12)
        assert_same_sums(whole.pair_sums(scatter(rows_x), scatter(rows_y)), rows_x, rows_y)


def test_as_many_rows_as_the_wider_has_features_are_held_as_they_are():
    x, y = normal(12, 3), normal(12, 7, 1)
    seven = added_up(PairTally(), x[:7], 2, reference=y[:7])
    assert seven.sums is None
    assert sum(len(rows) for rows, _ in seven.held) == 7
    eight = added_up(PairTally(), x[:8], 2, reference=y[:8])
    assert eight.held == []
    assert eight.sums.n == 8
    found, wanted = seven.pair_sums(None, None), pair_sums(x[:7], y[:7])
    assert found.linear_cka() == pytest.approx(wanted.linear_cka().item())
    seven.merge(added_up(PairTally(), x[7:], 2, 7, reference=y[7:]))
    assert seven.sums.n == 12
    assert_same_sums(seven.pair_sums(scatter(x), scatter(y)), x, y)


def test_other_processes_follow_the_origins_that_were_chosen():
    x, y = normal(30, 2) + 5, normal(30, 2, 1) - 5
    first = PairTally()
    first.prepare(Piece.numbered(x[:10], 0, reference=y[:10]))
    origins = first.plan()["origins"]
    assert torch.equal(origins[0], x[:10].mean(0))
    assert torch.equal(origins[1], y[:10].mean(0))
    second = PairTally()
    assert second.plan() == {"origins": None}
    second.follow({"origins": None})
    second.follow(from_bytes(to_bytes(first.plan())))
    added_up(first, x[:20], 10, reference=y[:20])
    added_up(second, x[20:], 10, 20, reference=y[20:])
    assert torch.equal(second.sums.origin_x, first.sums.origin_x)
    assert torch.equal(first.plan()["origins"][1], origins[1])
    first.merge(second)
    assert_same_sums(first.pair_sums(scatter(x), scatter(y)), x, y)
    alone = added_up(PairTally(), x, 10, reference=y)
    assert torch.equal(alone.plan()["origins"][0], x[:10].mean(0))


def test_rows_of_other_widths_have_no_cosine_and_no_rows_add_nothing():
    x, y = normal(9, 3), normal(9, 4, 1)
    tally = added_up(PairTally(), x, 4, reference=y)
    assert tally.cosines == 0.0
    tally.merge(PairTally())
    assert tally.n == 9
    assert_same_sums(tally.pair_sums(scatter(x), scatter(y)), x, y)
