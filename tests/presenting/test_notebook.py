"""Results in a notebook: short, escaped, well-formed, in the colours of the notebook, with the numbers of the result."""

import dataclasses
import functools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.report import Report
from repgeom.models.profile import LayerProfile
from repgeom.presenting.text import number, quoted
from repgeom.spectral.spectrum import Spectrum

EVIL = "<script>alert(1)</script> & \"q\" 'q' \x1b[2K\n$x$ \u202e " + "x" * 200


@functools.cache
def features():
    return np.random.default_rng(0).standard_normal((300, 12)) * np.arange(1, 13) ** -0.5


@functools.cache
def report(name="mine"):
    x = features()
    labels = np.array([EVIL, "a", "b"])[np.arange(300) % 3]
    return rg.audit(x, labels=labels, reference=x + 0.1, name=name, thresholds={"rank_share": (2.0, 1.5)})


def profile(n=80, name=EVIL):
    one = report()
    reports = {f"layer.{i}": dataclasses.replace(one, name=f"layer.{i}") for i in range(n - 1)}
    return LayerProfile({EVIL: one} | reports, dict.fromkeys([EVIL, *reports], "Linear"), name=name, notes=(EVIL,))


RESULTS = {
    "report": lambda: report(EVIL),
    "healthy report": lambda: rg.audit(features(), name=EVIL),
    "profile": profile,
    "one layer": lambda: profile(1),
    "estimate": lambda: rg.estimate(features()),
    "estimate without interval": lambda: rg.estimate(features()[:20]),
    "comparison": lambda: rg.compare(features(), features() * np.linspace(1, 2, 12), paired=True),
    "comparison without interval": lambda: rg.compare(features()[:20], features()[20:40]),
    "spectrum": lambda: rg.spectrum(features()),
    "stack": lambda: rg.spectrum(features().reshape(3, 100, 12)),
    "no variance": lambda: Spectrum.from_singular_values([0.0, 0.0]),
    "one direction": lambda: Spectrum.from_singular_values([1.0]),
    "health": lambda: rg.health(features()),
    "report comparison": lambda: rg.compare_reports(report(), report(EVIL)),
    "classes": lambda: rg.class_effective_rank(features(), np.arange(300) % 3),
    "hubness": lambda: rg.hubness(features()),
    "intrinsic dimension": lambda: rg.intrinsic_dimension(features()),
    "norms": lambda: rg.norms(features()),
    "value": lambda: report()["effective_rank"],
    "finding": lambda: report().findings[0],
    "change": lambda: rg.compare_reports(report(), report())["effective_rank"],
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_it_is_one_safe_element_that_changes_nothing_around_it(make):
    html = make()._repr_html_()
    root = ElementTree.fromstring(html)  # every tag is closed and every name escaped
    assert (root.tag, root.get("class")) == ("div", "repgeom")
    assert {one.tag for one in root.iter()} <= {
        "div", "style", "p", "strong", "span", "bdi", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "svg",
        "title", "path",
    }  # fmt: skip
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert not re.search(r"https?:|url\(|@import| on\w+=", re.sub(r"title=\"[^\"]*\"", "", html))
    assert len(html) < 30_000
    for rule in re.findall(r"([^{}]+)\{", root.find("style").text):
        assert all(part.strip().startswith(".repgeom") for part in rule.split(","))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_verdicts_can_be_read_on_white_and_on_black():
    """All else is in the colour of the text around it. WCAG asks for 3 between bold words and what is behind them."""
    style = ElementTree.fromstring(report()._repr_html_()).find("style").text
    colours = re.findall(r"color:(#\w+)", style)
    assert len(colours) == 3
    for colour in colours:
        light = luminance(colour) + 0.05
        assert 1.05 / light > 3.5
        assert light / (luminance("#111111") + 0.05) > 3.5


def text_of(result):
    return re.sub(r"\s+", " ", " ".join(ElementTree.fromstring(result._repr_html_()).itertext()))


def test_a_report_says_its_verdict_its_findings_and_its_numbers():
    words = text_of(report())
    assert words.split("}")[-1].strip().startswith("FAIL mine 300 samples × 12 features")
    for finding in report().findings:
        assert (finding.reason in words) == (finding.level != "ok")
    for value in report().values:
        assert value.label.strip() in words
        assert quoted(value) in words


def test_a_profile_has_a_row_for_each_layer():
    found = profile(80, "model")
    root = ElementTree.fromstring(found._repr_html_())
    rows = root.findall(".//tbody/tr")
    assert len(rows) == len(found) == 80
    for row, layer_report in zip(rows, found.values(), strict=True):
        assert quoted(layer_report["effective_rank"]) in "".join(row.itertext())
        assert layer_report.level.upper() in "".join(row.itertext())


def test_the_picture_is_of_the_spectrum():
    s = rg.spectrum(features())
    path = ElementTree.fromstring(s._repr_html_()).findall(".//path")[-1].get("d")
    points = np.array([[float(number) for number in pair.split()] for pair in path[1:].split("L")])
    assert len(points) == 12
    heights = np.log10(np.asarray(s.variance_ratio))
    expected = np.interp(heights, [heights.min(), heights.max()], [points[:, 1].max(), points[:, 1].min()])
    np.testing.assert_allclose(points[:, 1], expected, atol=0.1)


@pytest.mark.parametrize("name", ["estimate", "comparison"])
def test_estimates_and_comparisons_show_their_numbers(name):
    result, words = RESULTS[name](), text_of(RESULTS[name]())
    for value in (result.value, result.low) if name == "estimate" else (result.difference, result.ratio_high):
        assert number(value) in words


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: rg.spectrum(features()), "<Spectrum: 12 directions of 300 × 12 float64, the first holds 32"),
        (
            lambda: rg.spectrum(features().reshape(3, 100, 12)),
            "<Spectrum: stack of 3, 12 directions of 100 × 12 float64",
        ),
        (lambda: Spectrum.from_singular_values([0.0, 0.0]), "<Spectrum: 2 directions of unknown × 2 float64, given>"),
    ],
)
def test_a_spectrum_is_named_on_one_line(made, words):
    text = repr(made())
    assert text.startswith(words)
    assert "\n" not in text
    assert len(text) < 120


def test_a_report_read_back_looks_the_same():
    assert Report.from_json(report().to_json())._repr_html_() == report()._repr_html_()
