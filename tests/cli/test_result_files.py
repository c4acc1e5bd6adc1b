"""JUnit and Markdown: for any name valid XML and text that Markdown shows as it is; the step summary is added to."""

import dataclasses
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.drops import AllowedDrop, Decision
from repgeom.cli.gate import Judged
from repgeom.cli.main import main
from repgeom.cli.results import junit
from repgeom.presenting.markdown import escaped

NAMES = [
    "a.npy", "a & b <c> \"d\" 'e'", "]]>", "\x00\x01\x1b[31mOK", "line\nbreak\ttab\r", "| pipe | `code` |", "\udc80 no utf-8",
    "\ufffe\uffff", "日本 é ∞ 🙂", "$\\frac{$ @all #1 *b* _i_ ~s~ [x](http://y)", "<!-- --><script>", "",
]  # fmt: skip


@pytest.fixture(scope="module")
def bad():
    return rg.audit(np.random.default_rng(0).standard_normal((300, 1)) * np.arange(1, 9.0))


def judged(report, *, fail_on=None, strict=False, outcomes=()):
    decisions = tuple(
        Decision(AllowedDrop("effective_rank", 0.05, True), outcome, f"{report.name} {outcome}") for outcome in outcomes
    )
    return Judged((report,), fail_on, strict, (), (decisions,) if outcomes else ())


def suite_of(*args, **options):
    return ElementTree.fromstring(junit(judged(*args, **options)))[0]


# JUnit ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_any_name_gives_valid_xml(bad, name):
    finding = dataclasses.replace(bad.findings[0], reason=name, advice=name, causes=name)
    suite = suite_of(
        dataclasses.replace(bad, name=name, findings=(finding,)), outcomes=["dropped", "undecided", "kept"]
    )
    shown = re.sub("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]", "�", name)
    assert suite.get("name") == shown
    assert f"try: {shown}" in suite[0].find("failure").text


@pytest.mark.parametrize("fail_on", [None, "warn", "fail"])
def test_one_test_a_rule_that_fails_as_the_command_does(bad, fail_on):
    warned = dataclasses.replace(bad.findings[-1], level="warn", name="warned")
    report = dataclasses.replace(bad, findings=(*bad.findings, warned))
    suite = suite_of(report, fail_on=fail_on)
    assert [case.get("name") for case in suite] == [f.name for f in report.findings]
    failing = ("warn", "fail") if fail_on == "warn" else ("fail",)
    for case, finding in zip(suite, report.findings, strict=True):
        failure = case.find("failure")
        assert (failure is not None) is (finding.level in failing)
        if failure is not None:
            assert failure.get("message") == finding.reason
            assert finding.advice in failure.text
    assert suite.find("*[@name='warned']/system-out" if fail_on != "warn" else "*[@name='warned']/failure") is not None
    assert int(suite.get("failures")) == len(suite.findall("*/failure")) > 0
    assert int(suite.get("tests")) == len(suite)


@pytest.mark.parametrize(("strict", "undecided"), [(False, "skipped"), (True, "failure")])
def test_one_test_a_drop(bad, strict, undecided):
    cases = suite_of(bad, strict=strict, outcomes=["dropped", "undecided", "kept"])[-3:]
    assert [case[0].tag for case in cases] == ["failure", undecided, "system-out"]
    assert all(case.get("name") == "--fail-on-drop effective_rank=5%" for case in cases)


# Markdown ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_shown_as_it_is(bad, name):
    report = dataclasses.replace(bad, name=name)
    for text in (report.to_markdown(), rg.compare_reports(report, report).to_markdown()):
        assert text.isprintable() or set(filter(lambda c: not c.isprintable(), text)) == {"\n"}
        heading = text.splitlines()[0]
        assert heading.startswith("### ")
        # Without escaped signs nothing is left that Markdown would read.
        assert not re.search(r"[`*_\[\]<>|~$@&]", re.sub(r"\\.", "", heading))
        for line in text.splitlines():
            if line.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", line)) in (5, 6)


def test_the_few_numbers_one_quotes_with_intervals_and_every_finding(bad):
    text = bad.to_markdown()
    assert f"FAIL for {bad.purpose}" in text
    assert re.search(r"\| effective rank \| [\d.]+ \[[\d.]+, [\d.]+\] \|", text)
    for finding in bad.findings:
        assert (escaped(finding.reason) in text) is (finding.level != "ok")
    assert len(text.splitlines()) < 40


def test_a_comparison_shows_what_surely_changed():
    x = np.random.default_rng(0).standard_normal((400, 8))
    text = rg.compare_reports(rg.audit(x), rg.audit(x * np.r_[np.ones(6), 0.1, 0.1])).to_markdown()
    assert re.search(r"\| effective rank \| [\d.]+ \| [\d.]+ \| −[\d.]+ \[−[\d.]+, −[\d.]+\] \| &lt; 0.0001 \|", text)
    assert "numerical rank" not in text


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.random.default_rng(0).standard_normal((200, 6)))
    return tmp_path


@pytest.mark.parametrize("written_as", ["summary.md", "./summary.md", "link.md"])
def test_the_step_summary_is_added_to_and_any_other_file_replaced(here, written_as, monkeypatch):
    (here / "summary.md").write_text("of the step before\n")
    (here / "link.md").symlink_to("summary.md")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    (here / "card.md").write_text("old")
    for _ in range(2):
        assert main(["audit", "a.npy", "--markdown", written_as]) == 0
        assert main(["audit", "a.npy", "--markdown", "card.md"]) == 0
    summary, card = ((here / name).read_text() for name in ("summary.md", "card.md"))
    assert summary == "of the step before\n" + 2 * ("\n" + card)
    assert card == rg.audit("a.npy").to_markdown()


def test_python_writes_it_whole(here):
    report = rg.audit("a.npy")
    assert report.to_markdown("r.md") == (here / "r.md").read_text()


@pytest.mark.parametrize("command", ["audit", "compare"])
def test_both_commands_write_both_files(here, command):
    main(["audit", "a.npy", "--json", "a.json"])
    start = ["audit", "a.npy", "--baseline", "a.json"] if command == "audit" else ["compare", "a.json", "a.json"]
    assert main([*start, "--fail-on-drop", "effective_rank=5%", "--junit", "r.xml", "--markdown", "r.md"]) == 0
    suite = ElementTree.parse("r.xml").getroot()[0]
    assert suite[-1].get("name") == "--fail-on-drop effective_rank=5%"
    text = (here / "r.md").read_text()
    assert "### a.npy: OK for transfer" in text
    assert "### a.npy before, a.npy now: OK → OK" in text
    assert "Exit status 0 by --fail-on-drop" in text
