"""How a comparison of two reports reads as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeom.presenting.escaping import printable
from repgeom.presenting.text import number

if TYPE_CHECKING:
    from repgeom.auditing.changes import Change
    from repgeom.auditing.comparing import ReportComparison
    from repgeom.auditing.report import Report


def comparison_table(c: ReportComparison) -> str:
    """The verdicts before and now, then one line per measure."""
    old, new = c.old, c.new
    lines = [
        f"{_named(old)} before, {_named(new)} now",
        f"  Verdict: {old.level.upper()} for {old.purpose} before, {new.level.upper()} for {new.purpose} now.",
    ]
    lines += [f"  Worse: {_sentence(printable(f.reason))}" for f in new.findings if f.name in c.new_findings]
    if c.gone_findings:
        lines.append(f"  Better: {', '.join(name.replace('_', ' ') for name in c.gone_findings)}.")
    lines.append(f"  Rows: {'compared one by one' if c.paired else 'not compared one by one'}; {c.rows}.")
    lines += [f"  Note: {printable(note)}" for note in c.notes]
    rows = [("", "before", "now", "difference", "ratio", "p", ""), *(_row(change) for change in c.changes)]
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines.append("")
    for row in rows:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(row[1:6], widths[1:], strict=True))
        lines.append(f"  {row[0].ljust(widths[0])}  {numbers}  {row[6]}".rstrip())
    return "\n".join(map(printable, lines))


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A number with its interval, where one is known."""
    if value is None:
        return "–"
    if low is None or high is None:
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def p_words(p: float | None) -> str:
    """A p-value as a person reads it; '' where there is none."""
    if p is None:
        return ""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _row(c: Change) -> tuple[str, ...]:
    difference = with_interval(c.difference, c.low, c.high)
    ratio = "" if c.ratio is None else with_interval(c.ratio, c.ratio_low, c.ratio_high)
    how = c.note
    if c.paired and not how:
        how = "row by row"
    return (printable(c.label), number(c.old), number(c.new), difference, ratio, p_words(c.p_value), printable(how))


def _named(r: Report) -> str:
    return f"{printable(r.name)} ({r.n_samples:,} × {r.n_features:,})"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
