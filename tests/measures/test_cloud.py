"""Directions, spread and hygiene: against pair loops over float64 rows, closed forms and planted counts."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import added_up

import repgeom as rg
from repgeom.measures import cloud_tally
from repgeom.measures.cloud_tally import CloudTally

EPS = np.finfo(float).eps
ABS = 256 * EPS  # a few hundred roundings of numbers near 1
EPS32 = float(np.finfo(np.float32).eps)
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def unit(row):
    return row / np.linalg.norm(row) if row.any() else row


def over_pairs(x, function):
    return np.mean([function(unit(a), unit(b)) for a, b in combinations(x, 2)])


def slow_uniformity(x, t=2.0):
    return np.log(over_pairs(x, lambda a, b: np.exp(-t * ((a - b) ** 2).sum())))


def slow_mean_cosine(x):
    return over_pairs(x, np.dot)


def slow_feature_std(x):
    return np.mean([np.std(column) for column in np.transpose([*map(unit, x)])])


def slow_norm_mean(x):
    return np.mean([np.sqrt(row @ row) for row in x])


def slow_norm_cv(x):
    return np.std([np.sqrt(row @ row) for row in x]) / slow_norm_mean(x)


def slow_alignment(x, alpha=2.0):
    return np.mean([((unit(a) - unit(b)) ** 2).sum() ** (alpha / 2) for a, b in zip(x, x[::-1], strict=True)])


MEASURES = {
    "mean_cosine": (rg.mean_cosine, slow_mean_cosine),
    "mean_cosine centred": (lambda x: rg.mean_cosine(x, center=True), lambda x: over_pairs(x - x.mean(0), np.dot)),
    "uniformity": (rg.uniformity, slow_uniformity),
    "uniformity t=0.5": (lambda x: rg.uniformity(x, t=0.5), lambda x: slow_uniformity(x, 0.5)),
    "feature_std": (rg.feature_std, slow_feature_std),
    "alignment": (lambda x: rg.alignment(x, x.flip(-2)), slow_alignment),
    "alignment α=1": (lambda x: rg.alignment(x, x.flip(-2), alpha=1.0), lambda x: slow_alignment(x, 1.0)),
}
every_measure = pytest.mark.parametrize(("fast", "slow"), MEASURES.values(), ids=MEASURES)


def cloud(rng, shape=(40, 6), offset=0.0):
    return rng.standard_normal(shape) * np.arange(1, shape[-1] + 1) + offset


@every_measure
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("shape", [(2, 5), (3, 1), (5, 30), (21, 3), (20, 20)], ids=str)
def test_agrees_with_its_definition(fast, slow, shape, offset, dtype, rng):
    x = torch.tensor(cloud(rng, shape, offset)).to(dtype)
    far = max(1, offset) if fast is MEASURES["mean_cosine centred"][0] else 1  # centring rounds to ε of the offset
    assert float(fast(x)) == pytest.approx(slow(x.double().numpy()), abs=ABS * far)


@every_measure
def test_rows_of_zeros_stay_zero(fast, slow, rng):
    x = cloud(rng, (12, 3))
    x[[2, 7]] = 0
    for y in (x, np.zeros((5, 3))):  # a dead layer must not read as spread out
        assert float(fast(torch.tensor(y))) == pytest.approx(slow(y), abs=ABS)


# --- closed forms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 10, 50])
def test_simplex(k):
    x = np.eye(k) - 1 / k
    assert rg.mean_cosine(x) == pytest.approx(-1 / (k - 1), abs=ABS)
    assert rg.uniformity(x) == pytest.approx(-4 * k / (k - 1), abs=ABS)
    assert rg.mean_cosine(np.vstack([x, -x])) == pytest.approx(-1 / (2 * k - 1), abs=ABS)  # balanced


def test_sphere(rng):
    d = 128
    x = rng.standard_normal((2000, d))
    assert rg.uniformity(x) == pytest.approx(-4 + 8 / d, abs=2e-3)
    assert rg.mean_cosine(x) == pytest.approx(0, abs=1e-3)
    assert rg.feature_std(x) == pytest.approx(d**-0.5, abs=1e-4)
    assert rg.norms(x).cv == pytest.approx((2 * d) ** -0.5, rel=4 / (2 * 2000) ** 0.5)
    assert rg.feature_std(np.vstack([np.eye(d), -np.eye(d)])) == pytest.approx(d**-0.5, rel=ABS)


def test_one_direction_is_full_collapse_whatever_the_lengths(rng):
    x = rng.uniform(0.1, 10, (30, 1)) * rng.standard_normal(5)
    assert [rg.mean_cosine(x), rg.uniformity(x), rg.feature_std(x)] == pytest.approx([1, 0, 0], abs=ABS)


@pytest.mark.parametrize("n", range(2, 10))
def test_constant_features_have_no_direction_once_centred(n):
    assert rg.mean_cosine(np.full((n, 3), 0.1), center=True) == 0


@pytest.mark.parametrize("t", [0.1, 2, 1000])
def test_uniformity_of_two_opposite_rows_is_its_lower_bound(t):
    assert rg.uniformity([[1.0, 0.0], [-1.0, 0.0]], t=t) == pytest.approx(-4 * t, rel=ABS)


# --- invariances, each beside a change that must be seen ---------------------------------------------------------


@pytest.mark.parametrize("name", MEASURES)
def test_rotation_scale_and_order_leave_it_and_stretching_moves_it(name, rng):
    measure = MEASURES[name][0]
    x = torch.tensor(cloud(rng, offset=2), dtype=torch.float32).double()
    changed = {"small float32": (x * 2.0**-100).float(), "large float32": (x * 2.0**100).float()}
    changed |= {"scale": 1e-7 * x, "beyond the root of float64": 1e-200 * x, "and above": 1e200 * x}
    if name != "feature_std":  # reads each column by itself
        changed["rotation"] = x @ torch.tensor(np.linalg.qr(rng.standard_normal((6, 6)))[0])
    if "alignment" not in name:  # reads the order as pairs
        changed["order"] = x[rng.permutation(40)]
    if name != "mean_cosine centred":
        changed["row lengths"] = x * torch.tensor(rng.uniform(0.1, 10, (40, 1)))
    before = float(measure(x))
    for how, y in changed.items():
        assert float(measure(y)) == pytest.approx(before, abs=ABS), how
    assert abs(float(measure(x * torch.arange(6, 0, -1) ** 2)) - before) > 1e-4
    moved = abs(float(measure(x + 5)) - before)
    assert moved < ABS if name == "mean_cosine centred" else moved > 1e-2


# --- batches, array kinds, gradients -----------------------------------------------------------------------------


@every_measure
def test_leading_dimensions_in_small_blocks_equal_a_loop(fast, slow, rng, monkeypatch):
    x = torch.tensor(cloud(rng, (2, 3, 11, 4), 1))
    alone = np.array([[fast(y).item() for y in z] for z in x])
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 200)
    assert fast(x).numpy() == pytest.approx(alone, abs=ABS)


@pytest.mark.parametrize("name", ["mean_cosine", "uniformity", "feature_std", "alignment"])
def test_array_kinds_and_what_comes_back(name, rng):
    measure = (lambda x: rg.alignment(x, x)) if name == "alignment" else getattr(rg, name)
    x = rng.integers(-9, 9, (12, 3)).astype(float)
    assert type(value := measure(x)) is float
    for kind in (x.tolist(), pd.DataFrame(x), x.astype(np.float16), x.astype(np.int8), x[::-1][::-1]):
        assert measure(kind) == value
    tensor = measure(torch.tensor(x, dtype=torch.float32))
    assert (tensor.dtype, tensor.shape, tensor.item()) == (torch.float64, (), value)
    assert measure(np.stack([x, x])).tolist() == [value, value]


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("shape", [(6, 3), (4, 6), (2, 4, 3)], ids=str)
def test_gradients(name, shape, rng):
    x = torch.tensor(cloud(rng, shape, 0.5), requires_grad=True)
    measure = rg.alignment if name == "alignment" else MEASURES[name][0]
    views = (x, torch.tensor(cloud(rng, shape), requires_grad=True)) if name == "alignment" else (x,)
    assert torch.autograd.gradcheck(measure, views)


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_views_that_agree_do_not_poison_the_gradient(alpha):
    x = torch.eye(3, dtype=torch.float64, requires_grad=True)
    rg.alignment(x, torch.eye(3), alpha=alpha).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("scale", [1, 1e-30, 1e30, 1e-200, 1e200])
def test_norms_are_those_of_numpy_at_any_scale(scale, rng):
    x = cloud(rng, (4, 10, 3))
    lengths, norms = np.linalg.norm(x, axis=-1), rg.norms(x * scale)
    for name, read in {"mean": "mean", "std": "std", "minimum": "min", "median": "median", "maximum": "max"}.items():
        assert getattr(norms, name) / scale == pytest.approx(getattr(np, read)(lengths, axis=-1), rel=ABS), name
    assert norms.cv == pytest.approx(lengths.std(-1) / lengths.mean(-1), rel=ABS)
    assert rg.norms(np.zeros((3, 2))).cv == 0


# --- counts, and one pass over chunks ----------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [8, 7 * 8, 1 << 22])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_planted_defects_are_counted(dtype, chunk, monkeypatch):
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", chunk)
    x = torch.tensor(np.random.default_rng(1).standard_normal((300, 8))).to(dtype)
    x[:, 3] = 1
    x[[5, 250]] = 0  # zero rows; the second repeats the first
    x[7:10] = x[6]
    x[20, 0], x[299, 7], x[21, 1:3] = float("nan"), float("nan"), float("inf")
    x[30, 0], x[200, 1], x[40, 1] = 400, -400, 8  # the last is long, but not extreme
    for array in (x, x.double().numpy()):
        h = rg.health(array)
        assert (h.n_samples, h.n_features, h.nan, h.inf, h.nonfinite_rows) == (300, 8, 2, 2, 3)
        assert (h.zero_rows, h.duplicate_rows, h.constant_features, h.extreme_norms) == (2, 4, 0, 2)
    x[[5, 250], 3] = 1
    assert (rg.health(x).zero_rows, rg.health(x).constant_features) == (0, 1)


@pytest.mark.parametrize("lengths", [[1, 100], [1, 1.1, 5, 5.2], [1, 1, 1, 1.02], [0, 0, 0, 1], [1, 2, 3, 4, 5, 99]])
def test_extreme_norms_follow_the_median_and_its_deviation(lengths):
    away = np.abs(lengths - np.median(lengths))
    expected = (away > 10 * max(1.4826 * np.median(away), 1e-3 * np.median(lengths))).sum()
    assert rg.health(np.outer(lengths, [1.0, 0.0])).extreme_norms == expected


@pytest.mark.parametrize(("dtype", "scale"), [(t, 1) for t in DTYPES] + [(DTYPES[2], 2.0**-100), (DTYPES[1], 2.0**100)])
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("step", [1, 7, 200])
def test_one_pass_over_chunks_equals_the_whole(step, offset, scale, dtype, rng):
    x = ((torch.tensor(cloud(rng, (200, 6))) + offset) * scale).to(dtype)
    x[3] = 0
    collected = added_up(CloudTally(), x, step)
    tolerance = 8 * (EPS if dtype == torch.float64 else EPS32)
    assert collected.mean_cosine() == pytest.approx(rg.mean_cosine(x).item(), abs=tolerance)
    assert collected.feature_std() == pytest.approx(rg.feature_std(x).item(), abs=tolerance)
    assert collected.norms().mean == pytest.approx(rg.norms(x).mean.item(), rel=tolerance)
    assert collected.health().zero_rows == (x == 0).all(1).sum()


@pytest.mark.parametrize("how", ["rows", "merged", "kept in a state"])
def test_medians_are_found_once_until_more_rows_come(how, rng, monkeypatch):
    x = torch.tensor(rng.standard_normal((300, 6)))
    x[::50] *= 1000
    collected = added_up(CloudTally(), x[:100], 30)
    collected.health()
    if how == "rows":
        added_up(collected, x[100:], 30, start=100)
    else:
        collected.merge(added_up(CloudTally(), x[100:], 30, start=100))
    if how == "kept in a state":
        collected = CloudTally.from_state(collected.state())
    sought = []
    monkeypatch.setattr(cloud_tally, "_median", lambda values: sought.append(len(values)) or values.median())
    found = collected.norms().median, collected.health().extreme_norms, len(collected.first_rows()["extreme_norms"])
    assert sought == [300, 300]
    lengths = x.norm(dim=1)
    assert found == (pytest.approx(float(lengths.median()), rel=1e-12), 6, 6)


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1.5, float("nan")])
def test_t_and_alpha_must_be_positive(value):
    with pytest.raises(ValueError, match=f"`t` must be positive, got {value}"):
        rg.uniformity(np.eye(3), t=value)
    with pytest.raises(ValueError, match=f"`alpha` must be positive, got {value}"):
        rg.alignment(np.eye(3), np.eye(3), alpha=value)


def test_views_must_have_one_shape_and_be_finite():
    with pytest.raises(ValueError, match=r"`features` and `positives` must have one shape, got \(3, 3\) and \(3, 2\)"):
        rg.alignment(np.eye(3), np.eye(3)[:, :2])
    with pytest.raises(ValueError, match=r"`positives` has 1 non-finite value; the first is inf at row 2, column 1"):
        rg.alignment(np.eye(3), [[1, 2, 3], [1, 2, 3], [1, np.inf, 3]])


@pytest.mark.parametrize("name", ["mean_cosine", "uniformity", "feature_std", "norms"])
def test_bad_features_are_named(name):
    measure, x = getattr(rg, name), torch.ones(2, 6, 3, dtype=torch.float16)
    x[1, 4, 2] = x[1, 5, 0] = float("nan")
    with pytest.raises(ValueError, match=r"2 non-finite values; .* nan at row 4, column 2 of batch \(1,\) .*float16"):
        measure(x)
    with pytest.raises(ValueError, match=r"`features` has 1 row \(shape \(1, 3\)\) and needs at least 2"):
        measure(np.ones((1, 3)))
    with pytest.raises(TypeError, match="complex"):
        measure(np.ones((3, 3)) * 1j)
    with pytest.raises(ValueError, match=r"must be one array .* got shape \(2, 6, 3\)"):
        rg.health(x)
