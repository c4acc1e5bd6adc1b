"""Plots, by the data in their artists."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import repgeom as rg
from repgeom.presenting.figure import plot_reports


@pytest.fixture(autouse=True)
def close_figures():
    before = dict(plt.rcParams)
    yield
    plt.close("all")
    assert dict(plt.rcParams) == before


def texts(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def test_spectra_are_overlaid_on_a_log_scale_with_n():
    teacher, student = (
        rg.Spectrum.from_variances([4.0, 2, 1, 1], n_samples=90),
        np.random.default_rng(0).normal(size=(50, 4)),
    )
    ax = rg.plot_spectrum({"teacher": teacher, "student": student})
    assert ax.get_yscale() == "log"
    assert texts(ax) == ["teacher (n = 90)", "student (n = 50)", "isotropic, same size"]
    assert ax.lines[0].get_ydata() == pytest.approx([0.5, 0.25, 0.125, 0.125])
    assert ax.lines[1].get_ydata() == pytest.approx(rg.spectrum(student).variance_ratio)
    assert ax.lines[2].get_ydata() == pytest.approx(rg.isotropic_baseline(teacher).variance_ratio)


def test_given_axes_are_used_and_zeros_are_not_drawn():
    _, given = plt.subplots()
    ax = rg.plot_spectrum(rg.Spectrum.from_variances([3.0, 1.0, 0.0]), ax=given)
    assert ax is given
    assert ax.lines[0].get_xdata().tolist() == [1, 2]
    assert texts(ax) == ["features"]


def test_cumulative_variance():
    ax = rg.plot_cumulative_variance(rg.Spectrum.from_variances([3.0, 1.0]))
    assert ax.lines[0].get_ydata() == pytest.approx([0.75, 1])


def test_captured_variance():
    ax = rg.plot_captured_variance({"student": [0.5, 1.0]}, own=[0.9, 1.0])
    assert texts(ax) == ["student", "reference itself"]
    assert ax.lines[1].get_ydata() == pytest.approx([0.9, 1])


def test_class_ranks_show_the_lowest():
    x = np.random.default_rng(0).standard_normal((400, 6))
    x[:100, 1:] *= 1e-3
    ranks = rg.class_effective_rank(x, np.repeat(["a", "b", "c", "d"], 100))
    ax = rg.plot_class_ranks(ranks, most=2)
    assert not ax.patches  # bars on a log axis have a length that means nothing
    heights = ax.lines[0].get_ydata()
    assert heights[0] == pytest.approx(ranks.effective_rank[0])
    assert "2 lowest of 4" in ax.get_title()
    assert ax.get_xticklabels()[0].get_text() == "a"


def test_errors():
    with pytest.raises(ValueError, match="`spectra` is empty"):
        rg.plot_spectrum({})
    with pytest.raises(ValueError, match=r"'s' is a stack of shape \(2, 3\); give each"):
        rg.plot_spectrum({"s": rg.Spectrum.from_variances(np.ones((2, 3)))})


def test_a_reports_figure_has_a_plot_for_all_it_knows():
    x = np.random.default_rng(0).standard_normal((60, 5))
    assert len(rg.audit(x).plot().axes) == 2
    figure = rg.audit(x, reference=2 * x, labels=np.arange(60) % 2).plot()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Spectrum", "Cumulative variance", "Rank within each class", "Captured variance"]
    assert plt.get_fignums() == []


def test_two_audits_of_one_name_stay_apart():
    x = np.random.default_rng(0).standard_normal((60, 5))
    figure = plot_reports([rg.audit(x), rg.audit(x)])
    assert texts(figure.axes[0])[:2] == ["features[1] (n = 60)", "features[2] (n = 60)"]
