"""A verdict in words: its first line, its findings, its last line; the same in text, page, JSON and data."""

import html
import json
import re

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.purposes import PURPOSES
from repgeom.auditing.report import Report


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def lines_of(report):
    """The lines of the verdict, above the table."""
    return str(report).split("\n\n")[0].splitlines()


def page_of(report):
    """The words of the verdict's card on the page."""
    page = report.to_html()
    card = page[page.index("<section") : page.index("</section>")]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", card)))


CASES = {
    "interval": lambda: rg.audit(normal(400, 12), name="mine"),
    "margin": lambda: rg.audit(normal(60, 40)[:, :8] @ normal(8, 40, 1), name="mine"),
    "too few": lambda: rg.audit(normal(40, 300), name="mine"),
    "hardly any": lambda: rg.audit(normal(3, 12), name="mine"),
    "collapsed": lambda: rg.audit(normal(600, 2) @ normal(2, 64, 1), name="mine", purpose="retrieve"),
    "corrupt row": lambda: rg.audit(np.r_[normal(500, 60), 1e4 * normal(1, 60, 1)], name="mine"),
    "classify": lambda: rg.audit(
        normal(400, 12), name="mine", purpose="classify", labels=np.arange(400) % 4, reference=normal(400, 12)
    ),
}


@pytest.fixture(params=CASES)
def report(request):
    return CASES[request.param]()


def test_the_first_line_is_the_plain_sentence(report):
    first = lines_of(report)[1]
    assert first == f"  {report.summary[0].upper()}{report.summary[1:]}."
    title = html.unescape(re.search(r"<h1.*?</h1>", report.to_html(), re.DOTALL)[0]).replace("\xa0", " ")
    assert report.summary in re.sub(
        r"\s+", " ", re.sub(r"<[^>]+>", "", title)
    )  # on a page of one audit it stands there
    assert report.headline.startswith(report.summary)


def test_the_last_line_says_level_and_purpose(report):
    last = str(report).splitlines()[-1]
    assert last.startswith(f"Verdict: {report.level.upper()} for {report.purpose}")
    assert lines_of(report)[0].startswith(f"{report.level.upper()}  mine: ")
    for purpose in PURPOSES:
        assert last.count(purpose) == 1
    words = last.strip().removeprefix(f"Verdict: {report.level.upper()}")
    # The page writes the level in capitals by its style.
    assert page_of(report).strip().endswith(f"Verdict: {report.level} {words}".replace("  ", " "))


def test_text_and_page_say_the_same(report):
    words = page_of(report)
    for line in lines_of(report)[2:]:
        content = line.strip()
        for mark in ("WARN", "FAIL", "rows:", "columns:", "likely:", "try:", "threshold:", "Note:"):
            content = content.removeprefix(mark).strip()
        if " checks ok. " in content:
            content = content.split(". ")[0]
        assert content in words


def test_every_finding_that_is_bad_stands_with_reason_causes_advice_and_threshold(report):
    lines = lines_of(report)
    bad = [f for f in report.findings if f.level != "ok"]
    assert sum(line.startswith(("  WARN ", "  FAIL ")) for line in lines) == len(bad)
    for f in bad:
        at = lines.index(f"  {f.level.upper():<5}{f.reason}")
        # Which rows and columns it speaks of, where it does.
        while lines[at + 1].startswith(("       rows: ", "       columns: ")):
            at += 1
        assert lines[at + 1 : at + 3] == [f"       likely: {f.causes}", f"       try: {f.advice}"]
        assert lines[at + 3].startswith(f"       threshold: {f.name} ")
    passed = f"{len(report.findings) - len(bad)} of {len(report.findings)} checks ok"
    assert any(line.startswith(f"  {passed}. ") for line in lines)


def test_findings_that_are_ok_stand_on_the_page_and_in_json_with_their_numbers(report):
    words, found = page_of(report), json.loads(report.to_json())["verdict"]
    assert [f["name"] for f in found["findings"]] == [f.name for f in report.findings]
    for f in report.findings:
        if f.level == "ok":
            assert f"{f.name}: {f.reason}" in words
            assert f.causes not in words


def test_the_verdict_comes_back_from_json(report):
    found = json.loads(report.to_json())["verdict"]
    assert {key: found[key] for key in ("level", "purpose", "summary", "headline")} == {
        "level": report.level, "purpose": report.purpose, "summary": report.summary, "headline": report.headline,
    }  # fmt: skip
    back = Report.from_json(report.to_json())
    assert (back.level, back.purpose, back.summary, back.headline) == (
        report.level, report.purpose, report.summary, report.headline,
    )  # fmt: skip
    assert back.findings == report.findings
    assert lines_of(back) == lines_of(report)
    assert page_of(back) == page_of(report)


def test_each_kind_of_first_line_says_what_is_known():
    e = CASES["interval"]()["effective_rank"]
    assert (
        CASES["interval"]().summary == f"uses about {e.value:.4g} of 12 dimensions (95 %: {e.low:.4g} to {e.high:.4g})"
    )
    assert re.search(
        r"^uses about [678]\.\d+ of 40 dimensions \(no 95 % interval.* \d+%.*\)$", CASES["margin"]().summary
    )
    assert CASES["too few"]().summary.startswith("too few rows to say how many of 300 dimensions are in use: 40 rows, ")
    assert re.fullmatch(r"reads [12]\.?\d* of 12 dimensions in these 3 rows", CASES["hardly any"]().summary)


def test_a_headline_says_the_summary_and_then_what_is_worst():
    report = CASES["collapsed"]()
    worst = report.findings[0]
    assert worst.level == report.level == "fail"
    assert report.headline == f"{report.summary}; {worst.reason}"
    assert repr(report) == f"<Report mine: fail, {report.headline}>"
    healthy = CASES["interval"]()
    assert healthy.headline == healthy.summary


def test_reports_side_by_side_each_have_their_verdict():
    from repgeom.presenting.page import html as page
    from repgeom.presenting.report_text import table

    first, second = CASES["interval"](), CASES["collapsed"]()
    text = table([first, second])
    assert text.count("  Verdict: ") == 2
    assert text.index("Verdict: OK for transfer") < text.index("Verdict: FAIL for retrieve")
    assert page([first, second]).count("Verdict: <span") == 2


def test_a_reason_that_asks_ends_with_its_question_mark():
    labels = np.random.default_rng(0).permutation(np.arange(600) % 300)
    x = np.random.default_rng(1).standard_normal((600, 24)) * np.arange(1, 25) ** -0.7
    report = rg.audit(x, labels=labels)
    assert any(f.reason.endswith("labels in another order?") for f in report.findings if f.level != "ok")
    assert "in another order? Likely: " in report.to_markdown()
    assert "?." not in report.to_markdown()
