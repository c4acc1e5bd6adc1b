"""The files that other programs read: JUnit for test reports, Markdown for summaries of CI and model cards."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from repgeom.cli.gate import FAILING_LEVELS
from repgeom.cli.output import check_writable
from repgeom.data.saving import write_whole

if TYPE_CHECKING:
    from repgeom.auditing.finding import Finding
    from repgeom.auditing.report import Report
    from repgeom.cli.delivering import Delivery
    from repgeom.cli.gate import Judged

# What XML 1.0 cannot hold in any form, and the carriage return, which its readers turn into something else.
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def add_result_files(add: Any) -> None:
    """Options of the files."""
    add("--junit", metavar="PATH", help="also write a JUnit file: one test for each rule and each --fail-on-drop")
    add("--markdown", metavar="PATH", help="also write verdict, main numbers and findings as Markdown, for a summary of CI or a "
        "model card; the file that $GITHUB_STEP_SUMMARY names is added to, any other replaced")  # fmt: skip


def check_result_files(*paths: str | None) -> None:
    """Raise an OSError or ValueError if a file cannot be written. All but the first need the path of a file."""
    for option, path in zip(("--junit", "--markdown"), paths[1:], strict=True):
        if path == "-":
            raise ValueError(f"{option} needs the path of a file; only --json can print to standard output with -.")
    for path in paths:
        check_writable(path)


def deliver_result_files(delivery: Delivery, judged: Judged, junit_path: str | None, markdown_path: str | None) -> None:
    """Write the files that were asked for."""
    delivery.file(junit_path, lambda path: write_whole(path, junit(judged)))
    delivery.file(markdown_path, lambda path: _write_markdown(path, _markdown(judged)))


def _write_markdown(path: str, text: str) -> None:
    if _is_step_summary(path):
        # A job's steps share this file, so what is there stays.
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n" + text)
    else:
        write_whole(path, text)


def _is_step_summary(path: str) -> bool:
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return False
    return Path(path).resolve() == Path(summary).resolve()


def _markdown(judged: Judged) -> str:
    from repgeom.presenting.markdown import comparison_markdown, escaped, report_markdown

    parts = [report_markdown(report) for report in judged.reports]
    parts += [comparison_markdown(comparison) for comparison in judged.comparisons]
    if judged.sentence:
        parts.append(escaped(judged.sentence) + "\n")
    return "\n".join(parts)


# JUnit ----------------------------------------------------------------------------------------------------------------


def junit(judged: Judged) -> bytes:
    """The reports as test suites. A rule fails at the level that `--fail-on` names, and at "fail" where it is not given."""
    root = ElementTree.Element("testsuites", name="repgeom")
    for i, report in enumerate(judged.reports):
        cases = [_rule_case(report, finding, judged.fail_on) for finding in report.findings]
        if judged.decisions:
            cases += [_drop_case(report, judged, decision) for decision in judged.decisions[i]]
        root.append(_suite(report, cases))
    for key in ("tests", "failures", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    found: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"


def _suite(report: Report, cases: list[ElementTree.Element]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=_xml(report.name), tests=str(len(cases)), errors="0")
    for key, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)
    return suite


def _rule_case(report: Report, finding: Finding, fail_on: str | None) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_xml(f"repgeom.{report.name}"), name=_xml(finding.name))
    words = f"{finding.level}: {finding.reason}\nlikely: {finding.causes}\ntry: {finding.advice}"
    if finding.level in FAILING_LEVELS[fail_on or "fail"]:
        failure = ElementTree.SubElement(case, "failure", type=finding.level, message=_xml(finding.reason))
        failure.text = _xml(words)
    elif finding.level != "ok":
        ElementTree.SubElement(case, "system-out").text = _xml(words)
    return case


def _drop_case(report: Report, judged: Judged, decision: Any) -> ElementTree.Element:
    name = _xml(f"--fail-on-drop {decision.allowed}")
    case = ElementTree.Element("testcase", classname=_xml(f"repgeom.{report.name}"), name=name)
    reason = _xml(decision.reason)
    if judged.fails(decision):
        failure = ElementTree.SubElement(case, "failure", type=decision.outcome, message=reason)
        failure.text = (
            reason + "\ntry: look at what changed since the earlier report, `repgeom compare` shows every measure"
        )
    elif decision.outcome == "undecided":
        ElementTree.SubElement(case, "skipped", message=reason)
    else:
        ElementTree.SubElement(case, "system-out").text = reason
    return case


def _xml(text: str) -> str:
    """Text without what XML cannot hold: a control character or half a character becomes a replacement sign."""
    return _NOT_IN_XML.sub("�", text)
