"""Charts of a page by what stands in them: places, ticks, looks, and how much is drawn of much."""

import re

import numpy as np
import pytest

import repgeom as rg
from repgeom.pages import DotChart, LineChart, Series, templates
from repgeom.presenting.marks import MOST_PLACES, dots_of, lines_of, looks_of
from repgeom.presenting.report_charts import charts_of
from repgeom.presenting.scales import scale_of, tick_text


def drawn(path):
    """The points of a path."""
    return [(int(x), int(y)) for x, y in re.findall(r"[ML](-?\d+) (-?\d+)", path)]


def line_chart(*series, n=5, **options):
    return LineChart("title", np.arange(1, n + 1), "direction", "share", series, **options)


def test_points_stand_where_the_values_say():
    chart = line_chart(Series("a", [0, 1, 2, 3, 4]), limits=(0, 4))
    found = lines_of(chart)
    assert drawn(found.curves[0].line) == [(0, 1000), (250, 750), (500, 500), (750, 250), (1000, 0)]
    assert found.curves[0].values == ["0", "1", "2", "3", "4"]
    logs = lines_of(line_chart(Series("a", [1, 10, 100, 1000, 10000]), limits=(1, 1e4), log=True))
    assert [y for _, y in drawn(logs.curves[0].line)] == [1000, 750, 500, 250, 0]


def test_a_curve_is_broken_where_there_is_no_value():
    found = lines_of(line_chart(Series("a", [1, np.nan, 3, 0, 5]), log=True)).curves[0]
    assert [part.count("L") for part in found.line.split("M")[1:]] == [0, 0, 0]
    assert found.values[1] == "–"
    short = lines_of(line_chart(Series("a", [1, 2]), Series("b", [1, 2, 3, 4, 5]))).curves[0]
    assert len(drawn(short.line)) == 2
    assert short.values[2:] == ["–"] * 3


def test_on_a_logarithmic_axis_each_factor_of_ten_is_as_far_as_the_next():
    chart = LineChart("title", [1, 10, 100], "direction", "share", [Series("a", [0, 1, 2])], limits=(0, 2), x_log=True)
    found = lines_of(chart)
    assert drawn(found.curves[0].line) == [(0, 1000), (500, 500), (1000, 0)]
    assert [text for _, text in found.x_ticks] == ["1", "10", "100"]
    assert found.names == ["1", "10", "100"]


def test_points_without_a_line_look_otherwise_and_have_their_values():
    chart = line_chart(
        Series("ours", [1, 2, 3, 4, 5]), Series("published", [np.nan, 2, np.nan, 4], points=True), limits=(0, 5)
    )
    ours, published = lines_of(chart).curves
    assert ours.points == ""
    assert (published.line, published.points) == ("", "M250 600h0M750 200h0")
    assert published.values[1] == "2"
    assert "spots" in published.look.classes
    assert "spots" not in ours.look.classes


def test_a_joined_line_goes_on_over_places_without_a_value():
    values = [np.nan, 1, np.nan, 3, np.nan]
    broken, joined = lines_of(line_chart(Series("a", values), Series("b", values, joined=True), limits=(0, 4))).curves
    assert broken.line == "M250 750M750 250"
    assert joined.line == "M250 750L750 250"


def test_a_band_lies_between_its_ends_and_only_where_both_are_known():
    s = Series("a", [2, 2, 2, 2, 2], low=[1, 1, np.nan, 0, 1], high=[3, 4, 3, np.nan, 3])
    found = lines_of(line_chart(s, limits=(0, 4), marked=True)).curves[0]
    areas = [part for part in found.band.split("Z") if part]
    assert [drawn(area) for area in areas] == [[(0, 250), (250, 0), (250, 750), (0, 750)], [(1000, 250), (1000, 750)]]
    assert found.points.count("h0") == 5


@pytest.mark.parametrize("n", [1, 2, 240, 241, 5000])
def test_of_much_enough_is_drawn(n):
    found = lines_of(line_chart(Series("a", np.linspace(1, 2, n)), n=n))
    assert len(found.places) == min(n, MOST_PLACES)
    assert found.places == sorted(found.places)
    assert found.names[-1] == f"{n:,}"
    assert found.names[:40] == [str(i) for i in range(1, min(n, 40) + 1)]
    assert all(i < len(found.names) for i in found.read)
    assert found.read[-1] == len(found.names) - 1


@pytest.mark.parametrize("n", [1, 12, 80])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_series_has_a_look_of_its_own(n, ordered):
    series = [Series("compared", [1], compared=True), *(Series(str(i), [1]) for i in range(n)), Series("too", [1], compared=True)]  # fmt: skip
    looks = looks_of(series, ordered=ordered)
    assert len({(look.classes, look.style) for look in looks}) == n + 2
    assert looks[0].classes.startswith("compared")
    if ordered:
        first = [int(look.style[8:].split(";")[0].removeprefix("#"), 16) for look in (looks[1], looks[-2])]
        assert (first[0] < first[1]) == (n > 1)


def test_an_input_looks_alike_in_every_chart():
    x = np.random.default_rng(0).standard_normal((40, 5))
    labels = np.arange(40) % 2
    reports = [
        rg.audit(x, name="a"),
        rg.audit(x, name="b", labels=labels),
        rg.audit(x, name="c", labels=labels, reference=x[::-1]),
    ]
    lines, dots = charts_of(reports)
    looks = {}
    for chart in [*lines, *dots]:
        for s, look in zip(chart.series, looks_of(chart.series), strict=True):
            if not s.compared:
                looks.setdefault(s.name, set()).add(look)
    assert {name: len(found) for name, found in looks.items()} == {"a": 1, "b": 1, "c": 1}
    assert len(set.union(*looks.values())) == 3


@pytest.mark.parametrize(
    ("limits", "log", "ticks"),
    [
        ((0, 1), False, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ((-3, 7), False, ["−2", "0", "2", "4", "6"]),
        ((0, 32000), False, ["0", "10,000", "20,000", "30,000"]),
        ((1e-16, 1), True, ["10⁻¹⁶", "10⁻¹³", "10⁻¹⁰", "10⁻⁷", "10⁻⁴", "0.1"]),
        ((0.02, 0.3), True, ["0.02", "0.05", "0.1", "0.2"]),
        ((0.05, 0.11), True, ["0.05", "0.06", "0.07", "0.08", "0.09", "0.1", "0.11"]),
        ((0, 1.02), False, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_ticks_are_round_numbers(limits, log, ticks):
    scale = scale_of([], limits, log)
    found = scale.ticks()
    assert [text for _, text in found] == ticks
    assert all(0 <= place <= 100 for place, _ in found)


@pytest.mark.parametrize("values", [[], [np.nan], [0.0], [5.0], [-3.0, 2.0], [1e-300, 1e300], [1e-12, 1e-12]])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_have_a_scale(values, log):
    scale = scale_of([np.array(values)], None, log)
    assert scale.low < scale.high
    places = scale.at(np.array(values, dtype=float))
    known = np.isfinite(places)
    assert np.all((places[known] >= 0) & (places[known] <= 1))
    assert scale.ticks()


def test_numbers_beside_an_axis():
    texts = [tick_text(x) for x in (0, 0.001, 2e-5, 1e6, 2.5e7, -0.5, 1234)]
    assert texts == ["0", "0.001", "2·10⁻⁵", "10⁶", "2.5·10⁷", "−0.5", "1,234"]


def test_a_dot_stands_in_the_row_of_its_name():
    series = [Series("a", [1, np.nan], low=[0, np.nan], high=[2, np.nan]), Series("b", [4.0])]
    found = dots_of(DotChart("ranks", ["cat", "dog"], "dimensions", series, limits=(0, 4)))
    (cat, dots), (dog, none) = found.rows
    assert (cat, dog, none) == ("cat", "dog", [])
    place, _, text, low, high = dots[0]
    assert (place, text, low, high) == (25, "1", 0, 50)
    assert [dot[0] for dot in dots] == [25, 100]


def test_long_names_beside_dots_are_told_apart(tmp_path):
    (tmp_path / "mine.j2").write_text(
        '{% extends "page.html.j2" %}{% from "parts.html.j2" import dot_chart with context %}{% block main %}{{ dot_chart(dots) }}{% endblock %}'
    )
    names = [f"a class with a really long name, number {i} of the set" for i in range(12)]
    dots = DotChart("ranks", names, "dimensions", [Series("a", range(12))])
    page = templates(tmp_path).get_template("mine.j2").render(dots=dots)
    for kind, most in (("for-wide", 22), ("for-narrow", 14)):
        shown = re.findall(rf'<bdi class="{kind}" title="(.*?)">(.*?)</bdi>', page)
        assert [whole for whole, _ in shown] == names
        assert len({short for _, short in shown}) == 12
        assert all(len(short) <= most for _, short in shown)


def test_a_template_of_ones_own_has_the_parts_of_a_report(tmp_path):
    (tmp_path / "mine.j2").write_text(
        '{% extends "page.html.j2" %}{% from "parts.html.j2" import line_chart, dot_chart, table_of, level with context %}'
        '{% block title %}{{ name }}{% endblock %}{% block main %}<h1>{{ level("good", "ok") }}</h1>'
        '{{ line_chart(chart) }}{{ dot_chart(dots) }}{{ table_of(rows, name) }}{% endblock %}'
    )  # fmt: skip
    chart = line_chart(Series("<i>", [1, 2, 3, 4, 5]))
    dots = DotChart("<b>", ["<u>"], "<s>", [Series("<i>", [1])])
    page = templates(tmp_path).get_template("mine.j2").render(
        name="\x1b[2K", chart=chart, dots=dots, rows=[["<th>", "b"], ["<td>", "\u202e"]]
    )  # fmt: skip
    assert "\\x1b[2K" in page
    assert "\\u202e" in page
    assert not re.search(r"<(?:i|u|s|b)>", page)
    assert page.count("&lt;td&gt;") == 1
    assert '<span class="level ok">good</span>' in page
