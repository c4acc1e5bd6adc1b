"""A page says each sentence once, keeps numbers whole, and draws no dust."""

import re

import numpy as np
import pytest

import repgeom as rg
from repgeom.presenting.report_charts import spectrum_charts
from repgeom.presenting.spectrum_plots import plot_spectrum


def rows(rank=3, dtype="float32", noise=0.0):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, rank)) @ rng.standard_normal((rank, 32)) + noise * rng.standard_normal((400, 32))
    return x.astype(dtype)


def text_of(page):
    body = page[page.index("<h1>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body.replace("\u00a0", " ")))


@pytest.mark.parametrize("noise", [0.01, 1.0])
def test_summary_and_finding_of_one_audit_stand_once(noise):
    report = rg.audit(rows(noise=noise))
    text = text_of(report.to_html()).lower()
    assert text.count(report.summary.lower()) == 1
    for finding in report.findings:
        if finding.level != "ok":
            assert text.count(finding.reason.lower()) == 1


def test_several_audits_keep_a_summary_each():
    reports = {"a": rg.audit(rows(), name="a"), "b": rg.audit(rows(8), name="b")}
    from repgeom.presenting.page import html

    text = text_of(html(list(reports.values()))).lower()
    assert all(text.count(report.summary.lower()) == 1 for report in reports.values())


def test_no_line_of_a_title_ends_before_a_percent_sign():
    page = rg.audit(rows(noise=0.1)).to_html()
    heading = re.search(r"<h1>.*?</h1>", page, re.DOTALL)[0]
    assert "95\u00a0%" in heading
    assert not re.search(r"\d %", heading)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rounding_is_not_drawn(dtype):
    spectrum = rg.spectrum(rows(dtype=dtype))
    drawn = np.asarray(spectrum_charts([("x", spectrum)])[0].series[0].values)
    assert np.isfinite(drawn).sum() == 3
    line = plot_spectrum(spectrum, baseline=False).get_lines()[0]
    assert len(line.get_xdata()) == 3


def test_small_directions_that_are_there_are_drawn():
    x = rg.testing.features_with_spectrum(10.0 ** -np.arange(8.0), n_samples=400)
    drawn = np.asarray(spectrum_charts([("x", rg.spectrum(x))])[0].series[0].values)
    assert np.isfinite(drawn).sum() >= 5
