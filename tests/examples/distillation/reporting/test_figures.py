"""Pictures read back from what they draw: each is the chart that it is made of."""

import dataclasses
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from repgeom.pages import DotChart, LineChart, Series
from repgeom.presenting.marks import looks_of
from repgeom_examples.distillation.reporting import charts, figures

from ..planted_details import detailed
from ..planted_results import CLIP, CONFIG, planted


def axes():
    return Figure().subplots()


def test_a_line_chart_is_drawn_as_it_says():
    ours = Series("ours", [1.0, 2.0, 3.0], low=[0.5, 1.5, 2.5], high=[1.5, 2.5, 3.5])
    published = Series("published", [np.nan, 2.5], points=True)
    teacher = Series("teacher", [3.0, 3.0, 3.0], compared=True)
    chart = LineChart("title", [1, 10, 100], "step", "rank", [ours, published, teacher], limits=(0, 4), x_log=True)
    ax = figures.plot_chart(chart, axes())
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["ours"].get_ydata().tolist() == [1, 2, 3]
    assert lines["ours"].get_xdata().tolist() == [1, 10, 100]
    assert (lines["published"].get_linestyle(), lines["published"].get_marker()) == ("None", "D")
    assert lines["ours"].get_marker() != "D"
    assert to_hex(lines["teacher"].get_color()) == to_hex(figures.TEACHER_COLOR)
    assert len(ax.collections) == 1  # the band of the one with an interval
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylim()) == ("log", "linear", (0, 4))


def test_a_dot_chart_is_bars_with_intervals_and_points():
    ours = Series("ours", [20.0, 48.0], low=[18.0, np.nan], high=[22.0, np.nan])
    published = Series("published", [16.0, np.nan], points=True)
    ax = figures.plot_chart(DotChart("title", ["cosine", "infonce"], "rank", [ours, published]), axes())
    assert [bar.get_width() for bar in ax.patches] == [20, 48]
    (bars,) = [c for c in ax.containers if not hasattr(c, "patches")]
    assert bars.lines[2][0].get_segments()[0][:, 0].tolist() == [18, 22]
    points = next(line for line in ax.lines if line.get_label() == "published")
    assert points.get_xdata()[0] == 16
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cosine", "infonce"]


@pytest.mark.parametrize("name", charts.FIGURES)
def test_every_figure_has_a_panel_for_each_chart(name):
    config = dataclasses.replace(CONFIG, settings=(dataclasses.replace(CLIP, variants=("mse", "cosine@epochs=20")),))
    figure = charts.drawn(name, config, detailed(planted(config, n=40)))
    assert figure.charts
    assert [ax.get_title().replace("\n", " ") for ax in figures.picture(figure).axes] == [
        chart.title for chart in figure.charts
    ]


def test_numbers_beside_an_axis_do_not_run_into_each_other():
    """Uniformity is negative, so its numbers are long."""
    values = Series("ours", [-0.68, -0.63], low=[-0.78, -0.67], high=[-0.57, -0.59])
    published = Series("published", [-0.4061, -0.4285], points=True)
    chart = DotChart(
        "title", ["S (w1), cosine", "L (w4), cosine"], "uniformity", [values, published], limits=(-0.817, -0.37)
    )
    picture = figures.picture(charts.Drawn("v1-figure2", "title", "", [chart] * 3, []))
    picture.draw_without_rendering()
    for ax in picture.axes:
        inside = [
            label.get_window_extent() for label in ax.get_xticklabels() if -0.817 <= label.get_position()[0] <= -0.37
        ]
        assert len(inside) > 2
        assert all(left.x1 + 4 < right.x0 for left, right in itertools.pairwise(inside))


def test_a_figure_without_a_chart_is_not_drawn():
    with pytest.raises(ValueError, match="v1-figure1 has no chart"):
        figures.picture(charts.drawn("v1-figure1", CONFIG, {}))


@pytest.mark.parametrize("name", ["v2-figure1", "v1-figure3"])
def test_every_curve_can_be_told_from_the_others(name):
    config = dataclasses.replace(CONFIG, objectives=("cosine", "cosine+infonce", "mse"), settings=(CLIP,))
    (ax,) = figures.picture(charts.drawn(name, config, planted(config))).axes
    looks = [(to_hex(line.get_color()), line.get_linestyle(), line.get_marker()) for line in ax.lines]
    assert len(set(looks)) == len(looks) == {"v2-figure1": 10, "v1-figure3": 8}[name]


@pytest.mark.parametrize("name", charts.FIGURES)
def test_every_series_of_ours_can_be_told_without_colours(name):
    setting = dataclasses.replace(CLIP, variants=("mse", "cosine@epochs=20", "cosine+infonce@epochs=20"))
    config = dataclasses.replace(CONFIG, settings=(setting,))
    figure = charts.drawn(name, config, detailed(planted(config, n=40)))
    for ax, chart in zip(figures.picture(figure).axes, figure.charts, strict=True):
        ours = [line for line in ax.lines if not line.get_label().startswith(("published", "_"))]
        looks = [(line.get_linestyle(), line._dash_pattern[1] and tuple(line._dash_pattern[1]), line.get_linewidth(), line.get_marker()) for line in ours]  # fmt: skip
        assert len(set(looks)) == len(looks)
        page = [look.classes.split(" ", 1)[1] for look, s in zip(looks_of(chart.series), chart.series, strict=True) if not s.points]  # fmt: skip
        assert len(set(page)) == len(page)


def test_what_is_published_of_a_teacher_looks_alike_in_every_chart():
    config = dataclasses.replace(CONFIG, settings=(CLIP,))
    cells = detailed(planted(config, n=40))
    found = {}
    for name in ("v1-figure1", "v1-figure2", "v2-figure2"):
        for chart in charts.drawn(name, config, cells).charts:
            for series in chart.series:
                if series.points:
                    found.setdefault(series.name, set()).add(series.look)
    assert {name: len(looks) for name, looks in found.items()} == dict.fromkeys(found, 1)
    assert len(set.union(*found.values())) == len(found) == 2
