"""Plots of many series, of results and arrays alike, into any axes; the pictures of docstrings are drawn."""

import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.models.profile import LayerProfile
from repgeom.presenting.axes import point_styles, styles
from repgeom.presenting.report_charts import spectrum_charts
from repgeom.presenting.spectrum_plots import drawn_shares
from repgeom.robustness.fourier import FourierHeatmap

PLOTS = [getattr(rg, name) for name in rg.__all__ if name.startswith("plot_")]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((120, 6)) * np.arange(1, 7) ** -0.5


@pytest.fixture(scope="module")
def reports(x):
    labels = np.arange(120) % 3
    return [rg.audit(x * scale, reference=x, labels=labels, name="same name") for scale in (1, [1, 1, 1, 1, 1, 3])]


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def code_of(plot):
    """The code of the picture in a docstring."""
    block = re.search(r"\.\. plot::\n\n((?:    .*\n|\n)+)", inspect.getdoc(plot) + "\n")
    assert block, f"{plot.__name__} has no picture"
    return inspect.cleandoc(block[1])


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_the_picture_of_a_docstring_is_drawn(plot):
    code = code_of(plot)
    assert f"rg.{plot.__name__}(" in code
    exec(code, {})
    figure = plt.gcf()
    assert any(ax.has_data() for ax in figure.axes)
    figure.draw_without_rendering()


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_every_plot_takes_a_place_to_draw_in(plot):
    assert {"ax", "figure"} & set(inspect.signature(plot).parameters)


@pytest.mark.parametrize("made", [styles, point_styles])
def test_eighty_series_differ(made):
    found = made(80)
    assert len({str(style) for style in found}) == 80
    assert len({str(style) for style in found[:8]}) == len({style["color"] for style in found[:8]}) == 8
    assert made(8) == found[:8]


@pytest.mark.parametrize("n", [2, 12, 30, 80])
@pytest.mark.parametrize("plot", [rg.plot_spectrum, rg.plot_cumulative_variance])
def test_many_series_have_a_legend_that_leaves_the_axes_their_room(x, plot, n):
    spectrum = rg.spectrum(x)
    ax = plot({f"encoder.layer.{i}.attention.output.dense": spectrum for i in range(n)})
    assert len(set(labels_of(ax)[:n])) == n
    ax.figure.draw_without_rendering()
    axes, figure = ax.get_window_extent(), ax.figure.bbox
    assert axes.width > 0.4 * figure.width
    assert axes.height > 0.6 * figure.height
    legend = ax.get_legend().get_window_extent()
    assert legend.x1 <= figure.width + 1
    assert legend.y0 >= -1


def test_spectra_of_results_and_of_arrays_are_the_same(x, reports):
    profile = LayerProfile({"first": reports[0], "second": reports[1]}, {})
    expected = [np.asarray(r.spectrum.variance_ratio) for r in reports]
    for given, names in (
        (reports, ["same name[1]", "same name[2]"]),
        (profile, ["first", "second"]),
        ({"a": x, "b": reports[1].spectrum}, ["a", "b"]),
        (reports[0], ["same name"]),
    ):
        _, place = plt.subplots()
        ax = rg.plot_spectrum(given, ax=place, baseline=False)
        assert ax is place
        assert labels_of(ax) == [f"{name} (n = 120)" for name in names]
        for line, share in zip(ax.lines, expected, strict=False):
            np.testing.assert_allclose(line.get_ydata(), share, rtol=1e-5)


def test_captured_variance_of_reports(x, reports):
    ax = rg.plot_captured_variance(reports)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), reports[1].reference.captured)
    np.testing.assert_allclose(ax.lines[2].get_ydata(), reports[0].reference.own_curve)
    with pytest.raises(ValueError, match="'features' has no captured variance"):
        rg.plot_captured_variance(rg.audit(x))


def test_classes_of_reports_results_and_arrays(x, reports):
    labels = np.arange(120) % 3
    heights = []
    for given in (x, reports[0], rg.class_effective_rank(x, labels)):
        ax = rg.plot_class_ranks(given, labels=labels)
        heights.append(ax.lines[0].get_ydata())
    np.testing.assert_allclose(heights[0], heights[1], rtol=1e-6)
    np.testing.assert_allclose(heights[0], heights[2], rtol=1e-6)
    with pytest.raises(ValueError, match="'features' is features: say by `labels`"):
        rg.plot_class_ranks(x)
    with pytest.raises(ValueError, match="'features' has no classes"):
        rg.plot_class_ranks(rg.audit(x))


def test_curves_and_maps_of_arrays(x):
    few = x[:40, :3]
    curve = rg.sample_size_curve(few)
    lines = [rg.plot_sample_size_curve(given).lines[0].get_ydata() for given in (few, curve)]
    np.testing.assert_allclose(*lines)
    ax = rg.plot_fourier_heatmap(np.eye(5))
    np.testing.assert_array_equal(ax.images[0].get_array(), np.eye(5))
    assert ax.images[0].get_extent() == [-2.5, 2.5, 2.5, -2.5]
    made = FourierHeatmap(np.eye(5), None, np.arange(-2, 3), None, 4.0, 0.125, 25, 9)
    assert rg.plot_fourier_heatmap(made).images[0].get_extent() == [-2.5, 2.5, 2.5, -2.5]
    with pytest.raises(ValueError, match=r"an array of shape \(m, m\); got shape \(2, 3\)"):
        rg.plot_fourier_heatmap(np.ones((2, 3)))


@pytest.mark.parametrize("n", [1, 2, 12])
def test_reports_stand_side_by_side_in_one_figure(reports, n):
    many = [reports[i % 2] for i in range(n)]
    figure = rg.plot_reports(many if n > 1 else many[0])
    assert [ax.get_title() for ax in figure.axes] == [
        "Spectrum", "Cumulative variance", "Rank within each class", "Captured variance",
    ]  # fmt: skip
    assert len(set(labels_of(figure.axes[0])[:n])) == n
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert ax.get_window_extent().width > 0.25 * figure.bbox.width
    assert plt.get_fignums() == []
    mine = plt.figure(figsize=(12, 8), layout="constrained")
    assert rg.plot_reports({"a": reports[0]}, figure=mine) is mine
    for wrong in ([], {}, [1], np.eye(3)):
        with pytest.raises(ValueError, match="`reports` must be one `Report` or several"):
            rg.plot_reports(wrong)


def test_more_than_eighty_lines_differ_too():
    assert len({str(style) for style in styles(200)}) == 200


@pytest.mark.parametrize("make", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("streamed", [False, True])
def test_directions_that_are_only_rounding_are_not_drawn(make, streamed):
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((500, 32)) @ rng.standard_normal((32, 64))).to(make)
    s = rg.spectrum(x)
    if streamed:
        accumulator = rg.SpectrumAccumulator()
        for rows in x.split(100):
            accumulator.update(rows)
        s = accumulator.spectrum()
    assert np.isfinite(drawn_shares(s)).sum() == 32
    ax = rg.plot_spectrum({"thin": s}, baseline=False)
    assert len(ax.lines[0].get_ydata()) == 32
    assert np.isfinite(spectrum_charts([("thin", s)])[0].series[0].values).sum() == 32


def test_small_directions_that_are_no_rounding_are_drawn():
    x = np.random.default_rng(0).standard_normal((400, 8)) * 10.0 ** -np.arange(8)
    assert np.isfinite(drawn_shares(rg.spectrum(x))).sum() == 8


@pytest.mark.parametrize("place", [0, 1])
def test_the_colour_bar_of_a_map_leaves_its_neighbour_alone(place):
    figure, axes = plt.subplots(1, 2, figsize=(8, 4))  # no layout that makes room
    found = rg.cka_map({f"{i}": np.random.default_rng(i).standard_normal((60, 4)) for i in range(3)})
    other = axes[1 - place]
    other.set_ylabel("effective rank (dimensions)")
    found.plot(ax=axes[place])
    figure.draw_without_rendering()
    bar = figure.axes[-1].get_tightbbox()
    assert bar.x1 <= figure.bbox.width
    assert not bar.overlaps(other.get_tightbbox())
