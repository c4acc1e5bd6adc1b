"""A page is drawn in one style: whatever the caller's is, and however many threads draw at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import style

import repgeom as rg


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 6))
    return rg.audit(x, reference=x + rng.standard_normal(x.shape), labels=np.arange(60) % 3)


@pytest.fixture(scope="module")
def page(report):
    return report.to_html()


STYLES = {
    "a style sheet": "dark_background",
    "sizes": {"lines.linewidth": 7, "font.size": 20, "figure.dpi": 50, "axes.xmargin": 0.4},
    "what a page is saved as": {"svg.fonttype": "path", "svg.hashsalt": "other", "savefig.bbox": "tight"},
    "another program sets the text": {"text.usetex": True},
    "numbers": {"axes.unicode_minus": False, "axes.formatter.use_locale": False, "axes.formatter.limits": (-1, 1)},
}


@pytest.mark.parametrize("name", STYLES)
def test_a_page_does_not_feel_the_callers_style(report, page, name):
    with style.context(STYLES[name]):
        before = dict(mpl.rcParams)
        assert report.to_html() == page
        assert dict(mpl.rcParams) == before


def test_a_figure_for_the_caller_has_his_style(report):
    with style.context({"figure.facecolor": "red"}):
        assert report.plot().get_facecolor() == (1.0, 0.0, 0.0, 1.0)


def test_pages_of_several_threads_are_the_same(report, page):
    before = dict(mpl.rcParams)
    together = threading.Barrier(4)

    def drawn(_):
        together.wait(30)
        return report.to_html()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(drawn, range(4)))
    assert found == [page] * 4
    assert dict(mpl.rcParams) == before
