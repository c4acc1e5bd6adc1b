"""How a comparison of two reports reads as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.main_measures import MAIN
from repgeom.presenting.screen import Screen
from repgeom.presenting.text import number

if TYPE_CHECKING:
    from repgeom.auditing.changes import Change
    from repgeom.auditing.comparing import ReportComparison
    from repgeom.auditing.report import Report


def comparison_table(c: ReportComparison, screen: Screen | None = None, *, every: bool = True, title: str = "") -> str:
    """The verdicts before and now, and one line per measure.

    Args:
        c: the comparison.
        screen: what it is laid out for; by default as piped output.
        every: all measures, else those that a screen has room for and those that surely changed.
        title: what stands before the names of both.
    """
    screen = screen or Screen()
    old, new = c.old, c.new
    before, now = screen.names([old.name, new.name])
    title += f"{before} ({_size(old)}) before, {now} ({_size(new)}) now"
    lines = screen.sentence(title, further="  ")
    verdicts = f"Verdict: {old.level.upper()} for {old.purpose} before, {new.level.upper()} for {new.purpose} now."
    first, *others = screen.sentence(verdicts, first="  ", further="    ")
    word = f"{new.level.upper()} for {new.purpose} now"
    lines += [screen.coloured(first, new.level, word), *others]
    sentences = [f"Worse: {_sentence(f.reason)}" for f in new.findings if f.name in c.new_findings]
    if c.gone_findings:
        sentences.append(f"Better: {', '.join(name.replace('_', ' ') for name in c.gone_findings)}.")
    sentences.append(f"Rows: {'compared one by one' if c.paired else 'not compared one by one'}; {c.rows}.")
    sentences += [f"Note: {note}" for note in c.notes]
    for sentence in sentences:
        lines += screen.sentence(sentence, first="  ", further="    ")
    shown = [change for change in c.changes if every or change.name in MAIN or surely_changed(change)]
    lines += ["", *_changes(shown, screen)]
    below = _notes(shown, every)
    if len(shown) < len(c.changes):
        below.append(f"{len(shown)} of {len(c.changes)} measures. --measures all shows all.")
    if below:
        lines.append("")
    for text in below:
        lines += screen.sentence(text, first="  ", further="    ")
    return "\n".join(lines)


def surely_changed(c: Change) -> bool:
    """Whether the interval of the difference lies on one side of 0."""
    return c.low is not None and c.high is not None and (c.low > 0 or c.high < 0)


def _changes(changes: Sequence[Change], screen: Screen) -> list[str]:
    """The table. Where a line is too narrow, ratios go first, then intervals, p and earlier values."""
    rows = [_row(change) for change in changes]
    labels, before, now, differences, ratios, p = ([screen.shown(row[i]) for row in rows] for i in range(6))
    brief = [screen.shown(number(change.difference)) for change in changes]
    columns = [
        Column("", labels, left=True, fewest=12),
        Column("before", before, goes=3),
        Column("now", now),
        Column("difference", differences, brief=brief, shortens=1),
        Column("ratio", ratios, goes=0),
        Column("p", p, goes=2),
    ]
    lines = table_lines(columns, screen, indent=2)
    assert lines is not None  # a label and two numbers fit the narrowest screen
    return lines


def _notes(changes: Sequence[Change], every: bool) -> list[str]:
    """Why there is no difference, and where all is said why it has no interval: each reason once."""
    found: dict[str, list[str]] = {}
    for change in changes:
        if change.note and (every or change.difference is None):
            found.setdefault(change.note, []).append(change.label.strip())
    return [f"{', '.join(labels)}: {note}" for note, labels in found.items()]


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
    return (c.label, number(c.old), number(c.new), difference, ratio, p_words(c.p_value))


def _size(r: Report) -> str:
    return f"{r.n_samples:,} × {r.n_features:,}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
