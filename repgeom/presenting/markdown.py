"""A report in few lines of Markdown, for a summary of CI or a model card."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from repgeom.presenting.compared import p_words, surely_changed, with_interval
from repgeom.presenting.escaping import printable
from repgeom.presenting.main_measures import QUOTED
from repgeom.presenting.text import convention, number, quoted

if TYPE_CHECKING:
    from repgeom.auditing.changes import Change
    from repgeom.auditing.comparing import ReportComparison
    from repgeom.auditing.report import Report

# What Markdown, or GitHub's dialect of it, would take for a sign of its own.
_SIGNS = re.compile(r"([\\`*_{}\[\]<>|#~$@&])")


def report_markdown(r: Report) -> str:
    """Verdict, the few numbers that one quotes, and what was found."""
    how = "" if convention(r) == "centred" else f", {convention(r)}"
    lines = [
        f"### {escaped(r.name)}: {r.level.upper()} for {escaped(r.purpose)}",
        "",
        f"{escaped(_sentence(r.headline))} {r.n_samples:,} samples × {r.n_features:,} features, {escaped(r.dtype)}{how}.",
        "",
        "| measure | value [95 % interval] | in these rows | isotropic |",
        "| --- | ---: | ---: | ---: |",
    ]
    for v in r.values:
        if v.name in QUOTED and v.value is not None:
            cells = (escaped(v.label.strip()), quoted(v), number(v.in_these_rows), number(v.baseline))
            lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for f in r.findings:
        if f.level != "ok":
            lines.append(
                f"* **{f.level.upper()}** {escaped(_ended(f.reason))} Likely: {escaped(f.causes)}. Try: {escaped(f.advice)}."
            )
    passed = sum(f.level == "ok" for f in r.findings)
    lines.append(f"* {passed} of {len(r.findings)} checks ok.")
    lines += ["", f"Made by repgeom {escaped(r.repgeom_version)}.", ""]
    return "\n".join(lines)


def comparison_markdown(c: ReportComparison) -> str:
    """The verdicts before and now, and every measure that surely changed beside those that one quotes."""
    lines = [
        f"### {escaped(c.old.name)} before, {escaped(c.new.name)} now: {c.old.level.upper()} → {c.new.level.upper()}",
        "",
        f"Rows: {'compared one by one' if c.paired else 'not compared one by one'}; {escaped(c.rows)}.",
        "",
        "| measure | before | now | difference [95 % interval] | p |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(change) for change in c.changes if _worth_a_line(change)]
    lines.append("")
    lines += [f"* Worse: {escaped(_ended(f.reason))}" for f in c.new.findings if f.name in c.new_findings]
    lines += [f"* {escaped(note)}" for note in c.notes]
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line; control characters are spelled out."""
    return _SIGNS.sub(r"\\\1", printable(text))


def _row(c: Change) -> str:
    difference = with_interval(c.difference, c.low, c.high)
    cells = (escaped(c.label), number(c.old), number(c.new), difference, p_words(c.p_value).replace("<", "&lt;"))
    return "| " + " | ".join(cells) + " |"


def _worth_a_line(c: Change) -> bool:
    """Whether one quotes the measure, or it surely changed."""
    if c.difference is None:
        return False
    return c.name in QUOTED or surely_changed(c)


def _ended(sentence: str) -> str:
    """With a full stop, but after a question."""
    return sentence if sentence.endswith("?") else f"{sentence}."


def _sentence(text: str) -> str:
    return _ended(f"{text[:1].upper()}{text[1:]}")
