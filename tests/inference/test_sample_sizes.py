"""Curves of a measure against the number of rows."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from estimate_reference import decaying, gaussian, normal

import repgeom as rg


def test_curve_ends_at_the_estimate_of_all_rows(tmp_path):
    x = decaying(200, 10)
    np.save(tmp_path / "x.npy", x)
    curve, e = rg.sample_size_curve(x, sizes=[200, 40, 40], draws=3), rg.estimate(x)
    assert list(curve.columns) == ["n_samples", "draw", "value", "low", "high", "in_these_rows"]
    assert curve.n_samples.tolist() == [40, 40, 40, 200]
    assert curve.draw.tolist() == [0, 1, 2, 0]
    assert curve.iloc[-1, 2:].tolist() == pytest.approx([e.value, e.low, e.high, e.in_these_rows])
    assert curve.low[:3].isna().all()
    assert curve.value.nunique() == 4
    assert curve.equals(rg.sample_size_curve(tmp_path / "x.npy", sizes=[200, 40], draws=3))
    assert not curve.equals(rg.sample_size_curve(x, sizes=[200, 40], draws=3, seed=1))


@pytest.mark.parametrize(("n", "first", "count"), [(16, 16, 1), (17, 16, 2), (200, 16, 10), (6400, 100, 10)])
def test_sizes_by_default(n, first, count):
    sizes = rg.sample_size_curve(normal(n, 2), draws=1).n_samples.unique()
    assert (sizes[0], sizes[-1], len(sizes)) == (first, n, count)


@pytest.mark.parametrize(("sizes", "draws"), [([3], 1), ([201], 1), ([], 1), ([-1], 1), ([20], 0)])
def test_sizes_and_draws_out_of_range_are_refused(sizes, draws):
    with pytest.raises(ValueError, match=r"`sizes` must be whole numbers between 4 and the 200 rows|`draws` must be"):
        rg.sample_size_curve(normal(200, 3), sizes=sizes, draws=draws)


@pytest.mark.parametrize(("sizes", "draws"), [([100.7], 1), (["a"], 1), ([20], 2.5), ([20], None)])
def test_sizes_and_draws_of_another_kind_are_refused_in_words(sizes, draws):
    with pytest.raises((ValueError, TypeError), match=r"`sizes`|`draws`"):
        rg.sample_size_curve(normal(200, 3), sizes=sizes, draws=draws)


def test_curve_is_drawn_by_its_means():
    curve = rg.sample_size_curve(normal(200, 5), sizes=[20, 200], draws=4)
    axes = plt.subplots(1, 2)[1]
    ax = rg.plot_sample_size_curve(curve, ax=axes[0])
    assert ax is axes[0]
    assert [line.get_label() for line in ax.lines] == ["value", "in these rows"]
    for line, column in zip(ax.lines, ("value", "in_these_rows"), strict=True):
        assert line.get_xdata().tolist() == [20, 200]
        assert line.get_ydata() == pytest.approx(curve.groupby("n_samples")[column].mean().to_numpy())
    rg.plot_sample_size_curve({"a": curve, "b": curve}, ax=axes[1])
    words = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert words == ["a: value", "a: in these rows", "b: value", "b: in these rows"]
    plt.close("all")


def test_the_curve_is_level_where_that_of_these_rows_climbs():
    x = gaussian(np.random.default_rng(11), 800, np.ones(40))
    curve = rg.sample_size_curve(x, sizes=[40, 160, 800], draws=5, seed=1)
    assert list(curve.columns) == ["n_samples", "draw", "value", "low", "high", "in_these_rows"]
    assert curve.n_samples.value_counts().to_dict() == {40: 5, 160: 5, 800: 1}
    mean = curve.groupby("n_samples").mean()
    assert mean.value.tolist() == pytest.approx([40] * 3, rel=0.05)
    assert mean.in_these_rows.tolist() == pytest.approx([24, 35, 39], rel=0.05)
    assert mean.low.isna().tolist() == [True, False, False]
    again = rg.sample_size_curve(x, sizes=[40, 160, 800], draws=5, seed=1)
    assert curve.equals(again)


def test_plot_sample_size_curve_draws_what_is_in_the_table():
    curve = rg.sample_size_curve(gaussian(np.random.default_rng(12), 400, np.ones(10)), draws=2)
    ax = rg.plot_sample_size_curve({"x": curve})
    value, of_rows = ax.get_lines()
    mean = curve.groupby("n_samples").mean()
    assert value.get_ydata().tolist() == mean.value.tolist()
    assert of_rows.get_xdata().tolist() == mean.index.tolist()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["x: value", "x: in these rows"]
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize("sizes", [None, [300, 400], [400], [16, 17, 18, 399, 400], list(range(100, 400, 20))])
def test_numbers_of_samples_are_written_plainly_and_apart(sizes):
    x = gaussian(np.random.default_rng(12), 400, np.ones(6))
    ax = rg.plot_sample_size_curve(rg.sample_size_curve(x, draws=1, sizes=sizes))
    ax.figure.canvas.draw()
    labels = [label for label in ax.get_xticklabels(which="both") if label.get_text()]
    assert labels
    assert all(label.get_text().replace(",", "").isdigit() for label in labels)
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
    assert all(one.x1 < next_one.x0 for one, next_one in pairwise(boxes))
