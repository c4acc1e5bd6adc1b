"""The report's page in a real browser, by the same checks as the library's own pages."""

import dataclasses

import browsing
import pytest

from repgeom_examples.distillation.reporting import findings, report

from ..planted_details import detailed
from ..planted_results import CLIP, CONFIG, failed, kept, planted, student

CONE = dataclasses.replace(CLIP, teacher_transform="cone=0.9")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A run with a long name, in which one model failed."""
    folder = tmp_path_factory.mktemp("run")
    settings = (
        dataclasses.replace(CLIP, variants=("mse", "cosine@epochs=20", "cosine+infonce@temperature=0.05")),
        CONE,
    )
    config = dataclasses.replace(CONFIG, name="a_long_name_without_a_space_" * 7, settings=settings)
    cells = failed(planted(config, n=40), lambda cell: cell == student(CLIP, 2, seed=123), "<b>the loss became nan</b>")
    page = folder / "report.html"
    found = findings.read(kept(folder, config, detailed(cells)))
    page.write_text(report.html(found, report.figures_of(found)), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def browser():
    with browsing.started() as started:
        yield started


@pytest.mark.parametrize("width", browsing.WIDTHS)
def test_nothing_overflows_and_axes_have_their_room(browser, file, width):
    with browsing.shown(browser, file, width) as tab:
        browsing.assert_fits(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, file, scheme):
    with browsing.shown(browser, file, 768, scheme) as tab:
        browsing.unfold(tab)
        browsing.assert_accessible(tab)


def test_the_page_is_small(file):
    assert file.stat().st_size < 1_500_000
