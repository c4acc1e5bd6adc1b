"""A page in a real browser: what sticks out of its box, how much room plots have, what axe finds, what is loaded."""

import contextlib
import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="`pip install 'repgeom[browser]'` brings playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra `browser` brings axe")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = (390, 768, 1440)
SERIOUS = {"serious", "critical"}

# What sticks out of the box around it. Boxes that shorten their text with an ellipsis, and scroll on purpose, clip it.
OVERFLOWING = """() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page itself");
  const clips = e => getComputedStyle(e).overflowX !== "visible";
  for (const e of document.querySelectorAll("main *, footer")) {
    const head = e.closest("thead");
    const unseen = head && getComputedStyle(head).clipPath !== "none";
    if (e.closest("svg, .hidden") || unseen || !e.getClientRects().length) continue;
    const box = e.getBoundingClientRect();
    let around = e.parentElement;
    if (getComputedStyle(e).position === "absolute") around = e.closest("figure") || around;
    while (getComputedStyle(around).display === "contents") around = around.parentElement;
    const outer = around.getBoundingClientRect();
    const out = box.right > outer.right + 1.5 || box.left < outer.left - 1.5;
    if (out && !clips(around)) found.push(e.outerHTML.slice(0, 150));
    if (clips(e) && getComputedStyle(e).textOverflow !== "ellipsis" && e.scrollWidth > e.clientWidth + 1) found.push(e.outerHTML.slice(0, 150));
  }
  return found.slice(0, 5);
}"""
SHARES_OF_AXES = """() => Array.from(document.querySelectorAll("figure"), figure => {
  const box = figure.getBoundingClientRect();
  const parts = Array.from(figure.querySelectorAll(".axes, .track"), e => e.getBoundingClientRect());
  const height = parts.reduce((sum, part) => sum + part.height, 0);
  return Math.min(parts[0].width / box.width, height / box.height);
})"""


@contextlib.contextmanager
def started():
    """A browser. Skips where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as p:
        try:
            browser = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@contextlib.contextmanager
def shown(browser, file, width, scheme="light"):
    """A tab with a page, which may load nothing and raise no error."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    asked, errors = [], []
    tab.on("request", lambda asking: asked.append(asking.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(file.as_uri())
    yield tab
    assert asked == [file.as_uri()]
    assert not errors
    context.close()


def unfold(tab):
    tab.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")


def assert_fits(tab):
    """Nothing overflows, folded and unfolded, and the axes of each plot have half of its panel's width and height, or more."""
    assert tab.evaluate(OVERFLOWING) == []
    shares = tab.evaluate(SHARES_OF_AXES)
    assert shares
    assert min(shares) >= 0.5, shares
    unfold(tab)
    assert tab.evaluate(OVERFLOWING) == []


def assert_accessible(tab):
    """No serious finding of axe."""
    found = axe.Axe().run(tab).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in SERIOUS] == []
