"""Pages in a real browser: nothing overflows, nothing is loaded, everybody can read them, and values can be read off plots."""

import itertools

import browsing
import numpy as np
import pytest
from pages import all_pages, normal

import repgeom as rg
from repgeom.presenting.cells import cells

PAGES = ("one", "two", "wide", "twelve", "classes", "two classes", "layer", "layers")


@pytest.fixture(scope="module")
def browser():
    """One process for the whole file."""
    with browsing.started() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    texts = all_pages()
    assert set(texts) == set(PAGES)
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture
def shown(browser, files, request):
    name, width, scheme = request.param
    with browsing.shown(browser, files[name], width, scheme) as tab:
        yield tab


def shown_as(*cases):
    return pytest.mark.parametrize("shown", cases, indirect=True, ids=lambda case: "-".join(map(str, case)))


@shown_as(*((name, width, "light") for name, width in itertools.product(PAGES, browsing.WIDTHS)))
def test_nothing_overflows_and_axes_have_their_room(shown):
    browsing.assert_fits(shown)


@shown_as(*((name, 1440, "light") for name in PAGES))
def test_axe_finds_nothing_serious(shown):
    # Eighty layers unfolded are eighty times the same.
    if shown.locator("details").count() < 60:
        browsing.unfold(shown)
    browsing.assert_accessible(shown)


@shown_as(("two", 390, "dark"), ("one", 768, "dark"), ("layer", 390, "dark"))
def test_axe_finds_nothing_serious_in_the_dark(shown):
    browsing.unfold(shown)
    browsing.assert_accessible(shown)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small_and_whole(files, name):
    text = files[name].read_text(encoding="utf-8")
    assert len(text.encode()) < 1_500_000
    assert "https://" not in text.replace("https://arxiv.org", "")
    assert "http://" not in text


@shown_as(("classes", 1440, "light"), ("classes", 1440, "dark"))
def test_the_scheme_of_the_system_is_followed(shown, request):
    dark = "dark" in request.node.name
    background = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    curve = shown.evaluate("getComputedStyle(document.querySelector('.axes g path')).stroke")
    assert (sum(map(int, background[4:-1].split(","))) < 100) == dark
    assert curve == ("rgb(97, 153, 247)" if dark else "rgb(11, 79, 168)")


@shown_as(("twelve", 768, "dark"))
def test_paper_is_white_and_shows_what_is_folded(shown):
    folded = shown.locator("details:not([open]) .finding").first
    assert not folded.is_visible()
    shown.emulate_media(media="print")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert folded.is_visible()
    assert shown.evaluate("getComputedStyle(document.querySelector('.legend.many')).overflowY") == "visible"
    assert shown.pdf().startswith(b"%PDF")
    shown.emulate_media(media="screen")
    assert not folded.is_visible()


@shown_as(("two classes", 768, "light"))
def test_values_are_read_by_keys_and_by_pointer(shown):
    shares = np.asarray(rg.spectrum(normal(160, 24)).variance_ratio)
    figure = shown.locator("figure").first
    axes, value = figure.locator("[role=slider]"), figure.locator(".legend .v").first
    assert axes.get_attribute("aria-label") == "Spectrum: share of variance by direction"
    axes.focus()
    for key, direction in (("ArrowRight", 2), ("PageUp", 12), ("End", 24), ("ArrowRight", 24), ("Home", 1)):
        shown.keyboard.press(key)
        assert float(value.text_content()) == pytest.approx(shares[direction - 1], rel=2e-3)
        assert axes.get_attribute("aria-valuetext").startswith(f"direction {direction}: two classes 0.")
        assert figure.locator(".reading").text_content() == f"direction {direction}"
    axes.scroll_into_view_if_needed()
    box = axes.bounding_box()
    shown.mouse.move(box["x"] + box["width"] - 2, box["y"] + 50)
    assert figure.locator(".reading").text_content() == "direction 24"


@shown_as(("twelve", 1440, "light"))
def test_names_are_shown_whole_on_hover_and_never_obeyed(shown):
    assert shown.locator("script").count() == 1
    whole = shown.locator(".legend").first.locator("bdi").evaluate_all("all => all.map(e => e.title)")
    short = shown.locator(".legend").first.locator("bdi").all_text_contents()
    assert whole[4] == "<script>alert(1)</script> &lt;b&gt;"
    assert len(whole[0]) > 180
    assert len(set(short)) == len(short)
    assert max(map(cells, short)) <= 36
    shown.locator("table a").nth(6).click()
    assert shown.locator("#input-7 .finding").first.is_visible()
