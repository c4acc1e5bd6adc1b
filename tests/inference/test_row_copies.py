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
        def query_pairs(self, *args, **kwargs):
            found = super().query_pairs(*args, **kwargs)
            seen.append(len(found))
            return found

    monkeypatch.setattr(scipy.spatial, "cKDTree", Tree)
    rows = normal(3000, 20)
    rows[1000:2000], rows[2000:2800] = rows[3], rows[5] + 1e-7 * normal(800, 20, 1)
    wanted = np.arange(3000)
    wanted[1000:2000], wanted[2000:2800] = 3, 5
    assert_same_groups(copies_of(marked(rows)), wanted)
    assert sum(seen) < 5000


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
