"""The gap between two clouds: sums over pairs of rows, planted gaps, and clouds that have none or cannot be compared."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import mannwhitneyu

import repgeom as rg
from repgeom.inference.clouds import Clouds, _wins, score_interval, trace_of_square, two_way_variance
from repgeom.inference.intervals import normal_quantile, quantile, wilson


def clouds(n=60, d=5, gap=0.6, seed=0):
    """Pairs that share a part, and means that lie apart along the first feature."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, d))
    x, y = z + 0.6 * rng.standard_normal((n, d)), z + 0.6 * rng.standard_normal((n, d)) + 2.0
    return x + gap * np.eye(d)[0] + 2.0, y


def units(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def slow_squared(x, y, paired):
    """The mean product over pairs of different rows, which is right whatever the spread."""
    n, m = len(x), len(y)
    if paired:
        d = x - y
        return np.mean([d[i] @ d[j] for i in range(n) for j in range(n) if i != j])
    xx = np.mean([x[i] @ x[j] for i in range(n) for j in range(n) if i != j])
    yy = np.mean([y[i] @ y[j] for i in range(m) for j in range(m) if i != j])
    return xx + yy - 2 * np.mean([a @ b for a in x for b in y])


def slow_hits(x, y):
    similar = units(x) @ units(y).T
    return np.mean(similar.argmax(1) == np.arange(len(x)))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("normalize", ["l2", None])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_agrees_with_sums_over_pairs(paired, normalize, dtype):
    x, y = (torch.tensor(z).to(getattr(torch, dtype)) for z in clouds())
    if not paired:
        y = y[:-7]
    found = rg.modality_gap(x, y, paired=paired, normalize=normalize)
    x, y = x.double().numpy(), y.double().numpy()
    if normalize:
        x, y = units(x), units(y)
    step = x.mean(0) - y.mean(0)
    squared, within = slow_squared(x, y, paired), (np.trace(np.cov(x.T)) + np.trace(np.cov(y.T))) / 2
    assert found.squared.in_these_rows == pytest.approx(step @ step, rel=1e-9)
    assert found.squared.value == pytest.approx(squared, rel=1e-9)
    assert found.distance == pytest.approx(np.sqrt(squared), rel=1e-9)
    assert found.share.value == pytest.approx(squared / 4 / (squared / 4 + within), rel=1e-9)
    assert found.n == (len(x), len(y))
    if paired:
        assert found.a_to_b.before.value == pytest.approx(slow_hits(x, y))
        assert found.b_to_a.before.value == pytest.approx(slow_hits(y, x))
        assert found.a_to_b.after.value == pytest.approx(slow_hits(x - step / 2, y + step / 2))
        assert found.a_to_b.gain.value == pytest.approx(found.a_to_b.after.value - found.a_to_b.before.value)
        assert found.a_to_b.candidates == len(x)
    else:
        assert (found.a_to_b, found.b_to_a) == (None, None)


def slow_separability(x, y, made, without):
    """The mean of both halves without one group of each half; −1 leaves out none."""
    kept = [np.ones(len(h), bool) for h in made.halves]
    for rows, of_rows, groups in zip(kept, made.halves, made.groups, strict=True):
        for half in (0, 1):
            rows[(of_rows.numpy() == half) & (groups.numpy() == without[half])] = False
    areas = []
    for half in (0, 1):
        here = [k & (h.numpy() == half) for h, k in zip(made.halves, kept, strict=True)]
        there = [k & (h.numpy() != half) for h, k in zip(made.halves, kept, strict=True)]
        step = x[there[0]].mean(0) - y[there[1]].mean(0)
        a, b = x[here[0]] @ step, y[here[1]] @ step
        areas.append(mannwhitneyu(a, b).statistic / len(a) / len(b))
    return np.mean(areas)


@pytest.mark.parametrize("paired", [True, False])
def test_separability_is_of_the_half_that_the_line_was_not_drawn_through(paired):
    x, y = clouds(90)
    made = Clouds(torch.tensor(x), torch.tensor(y), paired, None, 3)
    found = rg.modality_gap(x, y, paired=paired, normalize=None, seed=3).separability
    areas = (made._areas(0) + made._areas(1).mT) / 2
    for without in [(-1, -1), (-1, 4), (7, -1), (0, 0), (19, 3)]:
        value = areas[without[0] + 1, without[1] + 1]
        assert value == pytest.approx(slow_separability(x, y, made, without), rel=1e-12)
    assert found.value == areas[0, 0]
    assert found.se == pytest.approx(np.sqrt(two_way_variance(areas)), rel=1e-12)


def test_where_hardly_a_row_is_misplaced_the_area_errs_as_a_share_of_all_rows():
    x, y = (np.random.default_rng(seed).standard_normal((100, 3)) for seed in (0, 1))
    near_one = rg.modality_gap(x + 3 * np.eye(3)[0], y, normalize=None).separability
    far_from_one = rg.modality_gap(x + np.eye(3)[0], y, normalize=None).separability
    assert 0.97 < near_one.value < 1
    # As many rows as would err as much: the area knows more than 100, but from few misplaced ones.
    rows = [e.value * (1 - e.value) / e.se**2 for e in (near_one, far_from_one)]
    assert rows[0] > 100
    assert rows[0] * (1 - near_one.value) < 10 < rows[1] * (1 - far_from_one.value)
    t = quantile(0.95, 19)
    assert (near_one.low, near_one.high) == pytest.approx(wilson(near_one.value, 100, t))
    assert (far_from_one.low, far_from_one.high) == pytest.approx(wilson(far_from_one.value, rows[1], t))


def test_the_variance_of_a_product_of_two_means_is_unbiased():
    """Var x̄ ȳ = x̄² s²_y / n + ȳ² s²_x / n − s²_x s²_y / n² is unbiased for independent x and y (Goodman 1960)."""
    x, y = np.random.default_rng(0).normal(1, 2, (2, 20))
    means = [np.r_[z.mean(), [np.delete(z, i).mean() for i in range(20)]] for z in (x, y)]
    of_x, of_y = x.var(ddof=1) / 20, y.var(ddof=1) / 20
    expected = x.mean() ** 2 * of_y + y.mean() ** 2 * of_x - of_x * of_y
    assert expected > 0.6 * (x.mean() ** 2 * of_y + y.mean() ** 2 * of_x)
    assert two_way_variance(torch.tensor(np.outer(*means))) == pytest.approx(expected)
    # Of a sum of two means nothing hangs on both.
    assert two_way_variance(torch.tensor(np.add.outer(*means))) == pytest.approx(of_x + of_y)
    # Where the means are zero, all would be taken off: half is left.
    small = np.outer(means[0] - 0.98 * x.mean(), means[1] - 0.98 * y.mean())
    jackknife = (0.02 * x.mean()) ** 2 * of_y + (0.02 * y.mean()) ** 2 * of_x
    assert two_way_variance(torch.tensor(small)) == pytest.approx(jackknife / 2)


def test_a_row_that_ties_with_another_is_half_above_it():
    x, y = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    wins = _wins(x, y, torch.tensor([3, 5]), torch.tensor([0, 5]))
    expected = torch.zeros(20, 20, dtype=torch.float64)
    expected[3, 0], expected[3, 5], expected[5, 0], expected[5, 5] = 1.0, 0.5, 1.0, 1.0
    assert torch.equal(wins, expected)


def test_without_a_gap_the_plain_distance_reads_one_and_ours_does_not():
    rng = np.random.default_rng(0)
    found = [rg.modality_gap(*rng.standard_normal((2, 256, 512)), paired=False) for _ in range(10)]
    assert np.mean([np.sqrt(f.squared.in_these_rows) for f in found]) == pytest.approx(np.sqrt(2 / 256), rel=0.02)
    assert np.mean([f.squared.value for f in found]) == pytest.approx(0, abs=0.0005)
    assert all(f.squared.low == 0 for f in found)
    assert np.mean([f.separability.value for f in found]) == pytest.approx(0.5, abs=0.03)


def test_pairs_that_share_a_part_are_not_taken_for_independent():
    x, y = clouds(400, gap=0.0)
    paired, apart = (rg.modality_gap(x, y, paired=p, normalize=None).squared for p in (True, False))
    assert apart.value < paired.value
    assert (paired.high - paired.low) < 0.6 * (apart.high - apart.low)


@pytest.mark.parametrize("normalize", ["l2", None])
def test_a_group_of_copies_counts_as_one_pair(normalize):
    """Each pair three times over, in any order: what was known before, and nothing more."""
    x, y = clouds(120)
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(120), 3))
    found = rg.modality_gap(x[groups], y[groups], groups=groups, normalize=normalize)
    once = rg.modality_gap(x, y, normalize=normalize)
    for a, b in ((found.squared, once.squared), (found.separability, once.separability)):
        assert (a.value, a.low, a.high, a.se) == pytest.approx((b.value, b.low, b.high, b.se), rel=1e-9, abs=1e-12)
    for a, b in ((found.a_to_b.before, once.a_to_b.before), (found.b_to_a.gain, once.b_to_a.gain)):
        assert (a.value, a.se) == pytest.approx((b.value, b.se), rel=1e-9, abs=1e-12)
    # The variance within is divided by rows less one.
    assert found.share.low == pytest.approx(once.share.low, rel=0.05)
    assert found.a_to_b.candidates == 1 + 357


def test_texts_of_one_image_are_sought_beside_those_of_others_alone():
    x, y = clouds(60)
    groups = np.arange(60) // 4
    found = rg.modality_gap(x, y, groups=groups, normalize=None)
    hits = []
    for i in range(60):
        others = [j for j in range(60) if j == i or groups[j] != groups[i]]
        hits.append(others[int(np.argmax(units(y)[others] @ units(x)[i]))] == i)
    assert found.a_to_b.before.value == pytest.approx(np.mean(hits))
    # Of equal groups: the mean product of the steps of two different ones.
    steps = (x - y).reshape(15, 4, -1).mean(1)
    assert found.squared.value == pytest.approx(slow_squared(steps, 0 * steps, True), rel=1e-9)
    assert "no interval: fewer than 50 groups" in found.squared.warnings
    assert "15 groups are too few" in found.a_to_b.before.warnings[0]


def test_removing_the_gap_brings_partners_back():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((300, 32))
    x, y = z + 0.5 * rng.standard_normal((300, 32)) + 2, z + 0.5 * rng.standard_normal((300, 32))
    found = rg.modality_gap(x, y)
    assert found.separability.value > 0.95
    assert found.a_to_b.gain.low > 0.1
    assert found.a_to_b.after.low > found.a_to_b.before.value + 0.1
    assert "are the most similar to all others" in found.a_to_b.before.warnings[0]
    assert "retrieval b to a" in str(found)
    assert "(0.5 none, 1 a plane parts them)" in str(found)


def test_where_no_row_is_found_or_lost_the_interval_of_the_gain_says_how_few_were_sought():
    x = np.random.default_rng(0).standard_normal((80, 6))
    gain = rg.modality_gap(x, x).a_to_b.gain
    most = wilson(0.0, 80, normal_quantile(0.95))[1]
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.0, -most, most))


def test_rows_that_tie_share_a_hit():
    """Every caption stands there twice: one of two is the partner."""
    x = np.repeat(np.eye(30), 2, 0)
    found = rg.modality_gap(x, x, normalize=None)
    assert found.a_to_b.before.value == 0.5
    # Of groups that hold both, the partner alone is left; of others the copy still ties.
    for groups, share in ((np.arange(60) // 2, 1.0), (np.arange(60) % 30, 0.5)):
        assert rg.modality_gap(x, x, normalize=None, groups=groups).a_to_b.before.value == share


@pytest.mark.parametrize("value", [-0.1, 0.0, 0.3, 5.0])
def test_the_ends_of_the_interval_are_where_the_value_is_z_errors_away(value):
    slope, constant, z = 0.02, 0.01, quantile(0.95, 60)
    for end in score_interval(value, slope, constant, z):
        assert end == 0 or abs(value - end) == pytest.approx(z * np.sqrt(slope * end + constant), rel=1e-9)


def test_the_trace_of_a_square_is_unbiased():
    rng = np.random.default_rng(0)
    variances = np.arange(1, 11.0) ** -1
    found = []
    for _ in range(400):
        x = rng.standard_normal((12, 10)) * np.sqrt(variances)
        x = torch.tensor(x - x.mean(0))
        found.append(trace_of_square(x.T @ x, x.square().sum(1)))
    error = np.std(found) / 20
    assert np.mean(found) == pytest.approx((variances**2).sum(), abs=3 * error)


def test_the_interval_holds_the_gap_of_the_population():
    """Of 100 draws 95 are expected; below 89 or at 100 with a wide margin something is wrong."""
    held, widths, values = [], [], []
    for seed in range(100):
        squared = rg.modality_gap(*clouds(100, 8, 0.4, seed), normalize=None, max_rows=10).squared
        held.append(squared.low <= 0.16 <= squared.high)
        widths.append(squared.se)
        values.append(squared.value)
    assert 89 <= sum(held) <= 99
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(np.std(values), rel=0.25)


def test_what_moves_the_gap():
    x, y = clouds(80, 6)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    value = rg.modality_gap(x, y).squared.value
    assert rg.modality_gap(x @ rotation, y @ rotation).squared.value == pytest.approx(value, rel=1e-9)
    assert rg.modality_gap(3 * x, 5 * y).squared.value == pytest.approx(value, rel=1e-9)
    assert rg.modality_gap(y, x).squared.value == pytest.approx(value, rel=1e-9)
    assert rg.modality_gap(3 * x, 3 * y, normalize=None).squared.value == pytest.approx(
        9 * rg.modality_gap(x, y, normalize=None).squared.value, rel=1e-9
    )
    assert rg.modality_gap(x + 3, y + 3).squared.value != pytest.approx(value, rel=0.1)


def test_no_interval_where_none_is_known():
    few = rg.modality_gap(*clouds(49))
    for found in (few.squared, few.share, few.separability):
        assert (found.low, found.warnings) == (None, ("no interval: fewer than 50 rows",))
    assert "49 rows are too few" in few.a_to_b.before.warnings[0]
    x, y = clouds(200)
    x[3] *= 1e4
    heavy = rg.modality_gap(x, y, normalize=None)
    assert heavy.squared.low is None
    assert "its error rests on about 2 of 200 rows" in heavy.squared.warnings[0]


X = clouds()[0]
REFUSED = {
    "other widths": (X, X[:, :3], {}, r"`a` has 5 columns and `b` 3"),
    "other rows": (X, X[:50], {}, r"`a` has 60 rows and `b` 50 .* row i of both must be the same sample"),
    "three rows": (X[:3], X[:3], {}, r"`a` has 3 rows .* needs at least 4"),
    "NaN": (X, np.where(X[0, 0] == X, np.nan, X), {}, r"`b` has 1 non-finite value"),
    "two points": (np.ones((9, 2)), np.zeros((9, 2)), {}, r"`a` and `b` are one point each"),
    "normalize": (X, X, {"normalize": "l1"}, r"`normalize` must be None or \"l2\""),
    "confidence": (X, X, {"confidence": 95}, r"`confidence` must lie between 0 and 1"),
    "huge": (X * 1e80, X, {"normalize": None}, r"`a` or `b` holds values too large"),
    "another order": (
        pd.DataFrame(X),
        pd.DataFrame(X).iloc[::-1],
        {},
        r"`b` has the rows of `a` in another order",
    ),
    "groups of none": (X, X[::2], {"paired": False, "groups": np.arange(60) // 2}, "`groups` say which pairs depend"),
    "three groups": (X, X + 1, {"groups": np.arange(60) // 20}, "`groups` holds 3 groups of pairs; .* at least 4"),
    "a stack": (X[None], X[None], {}, r"`a` must be \(n_samples, n_features\), got shape \(1, 60, 5\)"),
}


@pytest.mark.parametrize(("a", "b", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_clouds_that_cannot_be_compared_are_refused(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        rg.modality_gap(a, b, **options)


@pytest.mark.parametrize("paired", [True, False])
def test_the_share_may_be_0_where_the_gap_may_be(paired):
    zeros = 0
    for seed in range(20):
        x, y = clouds(gap=0.3 * (seed % 3), seed=seed)
        found = rg.modality_gap(x, y, paired=paired, normalize=None)
        zeros += found.squared.low == 0
        assert (found.squared.low == 0) == (found.share.low == 0)
    assert zeros
    x = np.random.default_rng(0).standard_normal((200, 6))
    shuffled = np.random.default_rng(1).permutation(x)
    found = rg.modality_gap(x, shuffled, paired=False)
    assert found.squared.low == found.share.low == 0


@pytest.mark.parametrize("n_drawing", [11, 16])
def test_where_few_rows_draw_all_others_retrieval_has_no_interval(n_drawing):
    """Rows of `a` lie in n_drawing directions, in each of which one row of `b` lies; all other rows of `b` lie elsewhere.

    It takes 1.5 √64, which is 12.
    """
    n, axes = 64, np.eye(32)
    a = axes[np.arange(n) % n_drawing]
    b = 0.9 * axes[16 + np.arange(n) % 16] + 0.1 * np.random.default_rng(0).standard_normal((n, 32))
    b[:n_drawing] = axes[:n_drawing]
    found = rg.modality_gap(a, b, normalize=None).a_to_b
    assert found.before.value == n_drawing / n
    assert (found.before.low is None) == (n_drawing < 12)
    if n_drawing < 12:
        assert (found.before.se, found.before.degrees) == (None, None)
        assert found.before.warnings == (
            "no interval: about 11 of 64 rows are the most similar to all others; it takes at least 12",
        )
    assert found.gain.low is not None
