"""Which rows are copies: equal ones, ones that were rounded or encoded anew, and no others."""

import tracemalloc

import numpy as np
import pytest
from estimate_reference import normal, rotation

import repgeom.inference.copies as module
from repgeom.inference.copies import copies_of, mostly_alike


def marked(rows, seed=0):
    """Eight projections of each row."""
    return rows @ np.random.default_rng(seed).standard_normal((rows.shape[1], 8))


def n_copies(rows, seed=0):
    return len(rows) - len(set(copies_of(marked(rows, seed)).tolist()))


def assert_same_groups(codes, wanted):
    pairs = set(zip(codes.tolist(), np.asarray(wanted).tolist(), strict=True))
    assert len(pairs) == len(set(codes.tolist())) == len(set(np.asarray(wanted).tolist()))
    assert set(codes.tolist()) == set(range(len(pairs)))


def slow_radii(marks):
    """Within which another row is a copy, of each row: from all distances."""
    n = len(marks)
    ascending = np.sort(np.linalg.norm(marks[:, None] - marks, axis=2), axis=1)
    fourth, eighth = ascending[:, 4], ascending[:, 8]
    dimensions = min(8, np.log(2) / max(1e-12, np.log(np.median(eighth / fourth))))
    # Of one row in a hundred sets the nearest lies so near by chance, where four neighbours lie within the fourth.
    return min(0.2, (0.01 / (4 * n)) ** (1 / dimensions)) * fourth


def slow_codes(marks):
    """The least row that each is joined to: pairs within the radii of both, and pairs of pairs."""
    radii, codes = slow_radii(marks), np.arange(len(marks))
    for _ in range(3):
        for i, radius in enumerate(radii):
            near = np.linalg.norm(marks - marks[i], axis=1) <= np.minimum(radius, radii)
            codes[near | np.isin(codes, codes[near])] = codes[near].min()
    return codes


@pytest.mark.parametrize(("n", "d"), [(60, 3), (60, 16), (260, 3), (260, 40)])
def test_copies_by_their_definition(n, d):
    """Every third row has another, from well within to just beyond the radius."""
    marks, away = marked(normal(n, d)), normal(n, 8, 3)
    away *= (slow_radii(marks) / np.linalg.norm(away, axis=1))[:, None]
    beside = (marks + away * np.linspace(0.2, 1.1, n)[:, None])[::3]
    marks = np.r_[marks, beside]
    wanted = slow_codes(marks)
    assert 0.1 < np.mean(wanted[n:] < n) < 0.9
    assert_same_groups(copies_of(marks), np.unique(wanted, return_inverse=True)[1])


def test_rows_lie_in_no_more_dimensions_than_marks():
    """Each corner of a cube in eight dimensions has eight neighbours, all as far: of rows, in endless dimensions."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 8), -1).reshape(-1, 8)
    beside = corners[:4] + np.array([[0.1], [0.15], [0.195], [0.21]]) * np.eye(8)[0]
    wanted = np.r_[np.arange(256), 0, 1, 2, 256]
    assert_same_groups(copies_of(np.r_[corners, beside]), wanted)


# In four dimensions a thousand rows lie nearer than a hundredth of their spread by chance.
@pytest.mark.parametrize(
    ("n", "d", "noise"),
    [
        (60, 4, 0.01),
        (1000, 4, 1e-6),
        (1000, 4, 0.0),
        (60, 16, 0.01),
        (1000, 16, 0.01),
        (60, 256, 1e-6),
        (1000, 256, 0.01),
    ],
)
def test_rows_and_their_copies_share_a_code(n, d, noise):
    """Noise as a share of the rows' spread: of rounding, and of another encoding of the same image."""
    rows, n_copied = normal(n, d), n // 20
    first = np.random.default_rng(1).permutation(n - n_copied)[:n_copied]
    rows[-n_copied:] = rows[first] + noise * normal(n_copied, d, 2)
    wanted = np.arange(n)
    wanted[-n_copied:] = first
    assert_same_groups(copies_of(marked(rows)), wanted)


def test_copies_of_copies_are_one():
    rows = normal(300, 20)
    rows[50:56] = rows[7] + 1e-6 * normal(6, 20, 1)
    rows[60:62] = rows[9]
    wanted = np.arange(300)
    wanted[50:56], wanted[60:62] = 7, 9
    assert_same_groups(copies_of(marked(rows)), wanted)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8, 16, 64])
@pytest.mark.parametrize("n", [12, 100, 1500])
def test_gaussian_rows_have_no_copies(n, d):
    draws = 6 if n == 1500 else 40
    found = [n_copies(normal(n, d, seed), seed) for seed in range(draws)]
    # A row in a hundred *sets*, not rows, may lie so near another by chance.
    assert sum(count > 0 for count in found) <= max(1, 0.05 * draws), found
    assert max(found) <= 1


@pytest.mark.parametrize("law", ["t", "Cauchy", "log-normal", "clusters", "sparse"])
def test_heavy_and_clustered_rows_have_no_copies(law):
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((500, 16))
        if law == "t":
            x /= np.sqrt(rng.chisquare(3, (500, 1)) / 3)
        elif law == "Cauchy":
            x /= np.abs(rng.standard_normal((500, 1)))
        elif law == "log-normal":
            x *= np.exp(1.2 * rng.standard_normal((500, 1)))
        elif law == "clusters":
            x = 0.1 * x + 3 * rng.standard_normal((10, 16))[rng.integers(0, 10, 500)]
        else:
            x = np.maximum(rng.standard_normal((500, 64)), 0) * (rng.random((500, 64)) < 0.5)
        found.append(n_copies(x, seed))
    assert sum(count > 0 for count in found) <= 1, found


def test_translation_scale_order_and_rotation_of_the_marks_do_not_matter():
    rows = normal(400, 12)
    rows[-20:] = rows[:20] + 1e-3 * normal(20, 12, 3)
    marks, wanted = marked(rows), np.r_[np.arange(380), np.arange(20)]
    order = np.random.default_rng(5).permutation(400)
    assert_same_groups(copies_of(marks), wanted)
    for other in (marks * 1e6, marks * 1e-6, marks + 1e3, marks @ rotation(8), -marks):
        assert_same_groups(copies_of(other), wanted)
    assert_same_groups(copies_of(marks[order]), wanted[order])


def test_a_thousand_equal_and_nearly_equal_rows_are_one_and_their_pairs_are_not_counted(monkeypatch):
    """Half a million pairs would take long; rows of one small cell are joined beforehand."""
    import scipy.spatial

    seen = []

    class Tree(scipy.spatial.cKDTree):
        def query_ball_point(self, *args, **kwargs):
            found = super().query_ball_point(*args, **kwargs)
            seen.append(sum(len(others) for others in found))
            return found

    monkeypatch.setattr(scipy.spatial, "cKDTree", Tree)
    rows = normal(3000, 20)
    rows[1000:2000], rows[2000:2800] = rows[3], rows[5] + 1e-7 * normal(800, 20, 1)
    wanted = np.arange(3000)
    wanted[1000:2000], wanted[2000:2800] = 3, 5
    assert_same_groups(copies_of(marked(rows)), wanted)
    assert 0 < sum(seen) < 5000


@pytest.mark.parametrize("n", [1, 2, 9])
def test_of_fewer_than_ten_rows_only_equal_ones_are_copies(n):
    rows = normal(n, 6)
    assert n_copies(rows) == 0
    if n > 1:
        rows[-1] = rows[0]
        assert n_copies(rows) == 1
        rows[-1] = rows[0] * (1 + 1e-9)
        assert n_copies(rows) == 0


def test_of_ten_rows_near_ones_are_copies_too():
    rows = normal(10, 6)
    assert n_copies(rows) == 0
    rows[-1] = rows[0] * (1 + 1e-9)
    assert n_copies(rows) == 1


def test_of_fewer_than_ten_different_rows_only_equal_ones_are_copies():
    rows = normal(30, 6)[np.arange(30) % 9]
    rows[8::9] = rows[0] * (1 + 1e-9)
    assert n_copies(rows) == 21
    assert n_copies(np.r_[rows, normal(1, 6, 1)]) == 22


@pytest.mark.parametrize(("n", "searched"), [(20_000, True), (20_001, False)])
def test_up_to_twenty_thousand_rows_are_searched(n, searched, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_near", lambda marks: seen.append(len(marks)) or np.arange(len(marks)))
    assert len(set(copies_of(normal(n, 1)).tolist())) == n
    assert seen == [n] * searched


def test_of_more_rows_than_are_searched_only_equal_ones_are_copies(monkeypatch):
    monkeypatch.setattr(module, "_MOST_SEARCHED", 100)
    rows = normal(101, 6)
    rows[90], rows[91] = rows[4], rows[5] * (1 + 1e-9)
    assert n_copies(rows) == 1
    assert n_copies(rows[:100]) == 2


def test_rows_that_are_all_equal_are_one():
    assert set(copies_of(np.ones((50, 8)))) == {0}
    two = np.repeat(normal(2, 8), 25, 0)
    assert len(set(copies_of(two))) == 2
    grid = np.stack(np.meshgrid(*[np.arange(2.0)] * 3), -1).reshape(-1, 3)[np.arange(200) % 8]
    assert n_copies(grid) == 192


@pytest.mark.parametrize(("n", "alike"), [(6, False), (7, True)])
def test_rows_are_mostly_alike_where_more_than_half_are_copies(n, alike):
    codes = np.r_[[0, 1, 2], np.zeros(n - 3, int)]
    assert mostly_alike(codes) == alike


def test_one_row_far_away_costs_no_memory_and_hides_no_copy():
    marks = np.random.default_rng(3).standard_normal((4000, 8))
    marks[7] = marks[3] + 1e-9
    marks[100] = 1e6
    tracemalloc.start()
    try:
        codes = copies_of(marks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert codes[7] == codes[3]
    assert len(set(codes.tolist())) == 3999
    # The differences of all pairs of these rows would take 512 MB.
    assert peak < 64e6
