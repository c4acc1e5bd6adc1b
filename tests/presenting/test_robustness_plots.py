"""Drawings of Fourier heat maps and of tables of robustness, by the data in their artists."""

import itertools

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import repgeom as rg
from repgeom.robustness.rows import COLUMNS


@pytest.fixture
def ax():
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.subplots()


def heat_of(drift, error=None):
    m = len(drift)
    return rg.types.FourierHeatmap(drift, error, np.arange(m) - m // 2, None, 1.0, 0.125, 1, 1)


@pytest.mark.parametrize("m", [1, 4, 5])
@pytest.mark.parametrize("what", ["drift", "error"])
def test_a_heat_map_is_drawn_where_its_frequencies_are(m, what, ax, rng):
    drift, error = rng.random((2, m, m))
    assert rg.plot_fourier_heatmap(heat_of(drift, error), what=what, ax=ax) is ax
    ax.figure.canvas.draw()
    values = {"drift": drift, "error": error}[what]
    for (i, down), (j, across) in itertools.product(enumerate(np.arange(m) - m // 2), repeat=2):
        place = MouseEvent("motion_notify_event", ax.figure.canvas, *ax.transData.transform((across, down)))
        assert ax.images[0].get_cursor_data(place) == values[i, j]
    assert ax.images[0].norm.vmin == 0
    assert ("across" in ax.get_xlabel(), "down" in ax.get_ylabel(), "0.125" in ax.get_title()) == (True, True, True)
    assert {"drift": "distance", "error": "share"}[what] in ax.get_title()


def test_a_heat_map_shows_the_error_where_there_is_one(ax, rng):
    drift, error = rng.random((2, 3, 3))
    assert np.array_equal(rg.plot_fourier_heatmap(heat_of(drift, error), ax=ax).images[0].get_array(), error)
    assert np.array_equal(rg.plot_fourier_heatmap(heat_of(drift), ax=ax).images[1].get_array(), drift)
    for what in ("error", "err"):
        with pytest.raises(ValueError, match=f"`what` must be .*; got '{what}'"):
            rg.plot_fourier_heatmap(heat_of(drift), what=what, ax=ax)


def robustness_table(measure="accuracy", clean=True):
    pd = pytest.importorskip("pandas")
    rows = [("fog", 1, 0.8, 0.7, 0.85), ("fog", 3, 0.6, 0.5, 0.65), ("zoom_blur", 1, 0.4, np.nan, np.nan)]
    rows += [("clean", 0, 0.9, 0.85, 0.95)] * clean
    return pd.DataFrame([(c, float(s), measure, *values, 9, "") for c, s, *values in rows], columns=COLUMNS)


def points(ax):
    """{severity: [(value, row)]} and the ends of each interval, as drawn."""
    found, ends = {}, []
    for container in ax.containers:
        data, _, (bars,) = container.lines
        found[container.get_label()] = list(
            zip(data.get_xdata(), np.round(data.get_ydata().astype(float)), strict=True)
        )
        ends += [tuple(segment[:, 0].round(12)) for segment in bars.get_segments()]
    return found, ends


@pytest.mark.parametrize("clean", [True, False])
def test_a_robustness_table_is_drawn_with_its_intervals(clean, ax):
    assert rg.plot_robustness(robustness_table(clean=clean), ax=ax) is ax
    found, ends = points(ax)
    assert found == {"1": [(0.8, 0), (0.4, 1)], "3": [(0.6, 0)]}
    assert ends == [(0.7, 0.85), (0.4, 0.4), (0.5, 0.65)]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["fog", "zoom blur"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # from top to bottom
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [0.9] * clean
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["clean"] * clean + ["1", "3"]


def test_the_measure_of_a_drawing_is_the_asked_one_or_the_first_that_is_there(ax):
    import pandas as pd

    names = ["centred_relative_l2_drift", "effective_rank", "knn_accuracy", "accuracy"]
    tables = [robustness_table(name) for name in names]
    for n, expected in [(1, names[0]), (2, names[0]), (3, names[2]), (4, names[3])]:
        shown_axes = rg.plot_robustness(pd.concat(tables[:n]), ax=Figure().subplots())
        label = "kNN accuracy" if expected == "knn_accuracy" else expected.replace("_", " ")  # as in its record
        assert shown_axes.get_xlabel() == label
    shown_axes = rg.plot_robustness(pd.concat(tables), measure="effective_rank", ax=ax)
    assert shown_axes.get_xlabel() == "effective rank (dimensions)"
    with pytest.raises(ValueError, match="no measure 'rank'; it has accuracy, centred_relative_l2_drift"):
        rg.plot_robustness(pd.concat(tables), measure="rank", ax=Figure().subplots())


def comparison_table(measure="accuracy", clean=True):
    rows = [("clean", 0, 0.05, 0.01, 0.09, 0.01, 0.01)] * clean
    rows += [("fog", 1, 0.1, 0.05, 0.15, 0.001, 0.003), ("fog", 3, -0.02, -0.06, 0.02, 0.3, 0.3)]
    rows += [("zoom_blur", 1, 0.04, 0.01, 0.07, 0.03, 0.06), ("zoom_blur", 3, 0.2, np.nan, np.nan, np.nan, np.nan)]
    columns = ["corruption", "severity", "difference", "low", "high", "p_value", "p_holm"]
    return pytest.importorskip("pandas").DataFrame(rows, columns=columns).assign(measure=measure, first=0.5, second=0.6)


@pytest.mark.parametrize("clean", [True, False])
def test_a_comparison_is_drawn_by_its_differences(clean, ax):
    assert rg.plot_robustness(comparison_table(clean=clean), ax=ax) is ax
    found, ends = points(ax)
    first = int(clean)  # the clean row stands above the others
    expected = {"1": [(0.1, first), (0.04, first + 1)], "3": [(-0.02, first), (0.2, first + 1)]}
    assert found == ({"clean": [(0.05, 0)]} if clean else {}) | expected
    assert set(ends) == {(0.05, 0.15), (0.01, 0.07), (-0.06, 0.02), (0.2, 0.2)} | ({(0.01, 0.09)} if clean else set())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["clean"] * clean + ["fog", "zoom blur"]
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [0]
    # Open are those whose corrected p-value is not below 0.05, and those that have none.
    opened = [x for line in ax.lines if line.get_color() == "white" for x in line.get_xdata()]
    assert sorted(opened) == [-0.02, 0.04, 0.2]
    assert "second − first" in ax.get_xlabel()
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert set(legend) == {"1", "3", "open: p ≥ 0.05 (Holm)"} | ({"clean"} if clean else set())


def test_a_comparison_as_it_comes_is_drawn(ax):
    import torch

    images = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    table = rg.robustness.compare_robustness(
        lambda x: x[:, :, ::8, ::8].flatten(1), lambda x: x[:, 0, ::4, 0], images,
        corruptions=["fog", "contrast"], severities=[1, 2], k=3,
    )  # fmt: skip
    drawn, _ = points(rg.plot_robustness(table, measure="effective_rank", ax=ax))
    rows = table[table.measure == "effective_rank"].set_index(["corruption", "severity"]).difference
    assert drawn["clean"] == [(rows["clean", 0], 0)]
    assert drawn["2"] == [(rows["fog", 2], 1), (rows["contrast", 2], 2)]
    with pytest.raises(ValueError, match="no measure 'accuracy'; it has"):
        rg.plot_robustness(table, measure="accuracy", ax=Figure().subplots())
