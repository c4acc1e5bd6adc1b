"""The report's page in a real browser, by the same checks as the library's own pages."""

import dataclasses

import browsing
import pytest

from repgeom_examples.distillation.reporting import findings, matrix, report

from ..planted_details import detailed
from ..planted_results import CLIP, CONFIG, failed, kept, planted, student

CONE = dataclasses.replace(CLIP, teacher_transform="cone=0.9")
# As many as the default run has.
FURTHER = tuple(dataclasses.replace(CLIP, teacher_transform=f"cone=0.{i}", widths=(1,)) for i in range(1, 5))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A run with a long name, in which one model failed."""
    folder = tmp_path_factory.mktemp("run")
    settings = (
        dataclasses.replace(CLIP, variants=("mse", "cosine@epochs=20", "cosine+infonce@temperature=0.05")),
        CONE,
        *FURTHER,
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


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_the_verdicts_are_a_table_in_every_width(browser, file, width):
    """A claim's verdicts stand beside each other, whole, below the letters of their settings."""
    with browsing.shown(browser, file, width) as tab:
        rows = tab.evaluate("""() => Array.from(document.querySelectorAll(".matrix tr"), row =>
            Array.from(row.children, cell => [cell.getBoundingClientRect(), cell.innerText]))""")
    assert [words for _, words in rows[0]] == ["claim", *"ABCDEF"]
    lefts = {tuple(round(box["left"]) for box, _ in row) for row in rows}
    assert len(lefts) == 1
    words = set(matrix.BRIEF.values()) if width < 1000 else set(matrix.BRIEF)
    assert {words for row in rows[1:] for _, words in row[1:]} <= {*words, matrix.NO_TEST}


def test_paper_has_what_is_open_and_the_rest_stays_folded(browser, file):
    with browsing.shown(browser, file, 768) as tab:
        tab.emulate_media(media="print")
        folded = tab.evaluate("""() => {
            dispatchEvent(new Event("beforeprint"));
            return Array.from(document.querySelectorAll("details:not([open]) > summary"), e => e.innerText.trim());
        }""")
        assert "Every test" in folded
        assert "All settings of this run" in folded
        assert not tab.locator("tbody tr").filter(has_text="given: ").first.is_visible()
        assert tab.locator(".matrix").is_visible()
        display = "e => getComputedStyle(e).display"
        assert tab.locator("table.stack.many:visible td").first.evaluate(display) == "table-cell"


def test_the_page_is_small(file):
    assert file.stat().st_size < 1_500_000
