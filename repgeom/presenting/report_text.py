"""Reports as text: the verdict first and last, then findings, and a table of measures that fits a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.auditing.finding import LEVELS, numbers_named
from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.measure_table import measure_lines
from repgeom.presenting.screen import Screen
from repgeom.presenting.text import compared, convention, drift_rows, threshold, verdict

if TYPE_CHECKING:
    from repgeom.auditing.report import Report


def table(
    reports: Sequence[Report], screen: Screen | None = None, *, every: bool = True, remarks: Sequence[str] = ()
) -> str:
    """Reports side by side: verdicts, what was found in each, measures, and once more the verdict.

    Args:
        reports: at least one.
        screen: what it is laid out for; by default as piped output.
        every: all measures, else those that a screen has room for.
        remarks: what else is said, before the last line.
    """
    screen = screen or Screen()
    lines: list[str] = []
    if len(reports) > 1:
        lines += [*_overview(reports, screen), ""]
    explained: set[str] = set()
    for r in reports:
        lines += _body(r, screen, explained)
        if len(reports) > 1:
            lines += _verdict_line(r, screen, indent="  ")
        lines.append("")
        if not every:
            # What a rule means is said once; of the other reports only what it read there.
            explained |= {f.name for f in r.findings if f.level != "ok"}
    lines += [*measure_lines(reports, screen, every), ""]
    lines += _comparisons(reports, screen)
    for r in reports:
        lines += _drift(r, screen)
    for remark in remarks:
        lines += screen.sentence(remark)
    if len(reports) == 1:
        return "\n".join([*lines, *_verdict_line(reports[0], screen)])
    return "\n".join([*lines, *_count(reports, screen)])


def verdict_text(r: Report) -> str:
    """The lines of a verdict, without the table."""
    screen = Screen()
    return "\n".join([*_body(r, screen, set()), *_verdict_line(r, screen, indent="  ")])


def headline_text(reports: Sequence[Report], screen: Screen) -> str:
    """One line for each report: its name, the verdict, and what is worst."""
    lines = []
    for r in reports:
        words = f"{r.name}: {r.level.upper()} for {r.purpose}: {r.headline}"
        first, *others = screen.sentence(words, further="  ")
        lines += [screen.coloured(first, r.level, f"{r.level.upper()} for {r.purpose}"), *others]
    return "\n".join(lines)


def _overview(reports: Sequence[Report], screen: Screen) -> list[str]:
    """Level, name and dimensions in use of every report, a line each."""
    lines = []
    for r, name in zip(reports, screen.names([r.name for r in reports]), strict=True):
        found = screen.sentence(f"{name}: {r.summary}", first=f"{r.level.upper():<5} ", further=" " * 6)
        lines += [screen.coloured(found[0], r.level), *found[1:]]
    return lines


def _count(reports: Sequence[Report], screen: Screen) -> list[str]:
    """How many read what, and which are worst."""
    named = list(zip(reports, screen.names([r.name for r in reports]), strict=True))
    counts = {level: [name for r, name in named if r.level == level] for level in LEVELS}
    words = [f"{len(names)} {level.upper()}" for level, names in counts.items() if names]
    worst = max((r.level for r in reports), key=LEVELS.index)
    text = f"Verdicts of {len(reports)} audits: {', '.join(words)}"
    if worst != "ok":
        text += f" ({', '.join(counts[worst][:3])}"
        if len(counts[worst]) > 3:
            text += f" and {len(counts[worst]) - 3} more"
        text += ")"
    return [screen.coloured(line, worst) for line in screen.sentence(text + ".", further="  ")]


def _verdict_line(r: Report, screen: Screen, indent: str = "") -> list[str]:
    first, *others = screen.sentence(f"Verdict: {verdict(r)}", first=indent, further=indent + "  ")
    return [screen.coloured(first, r.level), *others]


def _body(r: Report, screen: Screen, explained: set[str]) -> list[str]:
    """Name, level and size of what was audited, what was found, and notes; rules that were explained are not again."""
    size = f"{r.n_samples:,} samples × {r.n_features:,} features, {r.dtype}"
    against = f", against {r.reference.name}" if r.reference is not None and r.reference.name != "reference" else ""
    words = f"{r.name}: {size} ({convention(r)}){against}"
    first, *others = screen.sentence(words, first=f"{r.level.upper()}  ", further="  ")
    lines = [screen.coloured(first, r.level), *others]
    lines += screen.sentence(f"{r.summary[:1].upper()}{r.summary[1:]}.", first="  ", further="  ")
    for f in r.findings:
        if f.level == "ok":
            continue
        first, *others = screen.sentence(f.reason, first=f"  {f.level.upper():<5}", further=" " * 7)
        lines += [screen.coloured(first, f.level), *others]
        details = numbers_named(f)
        if f.name not in explained:
            details |= {"likely": f.causes, "try": f.advice, "threshold": threshold(f)}
        for what, detail in details.items():
            lines += screen.sentence(f"{what}: {detail}", first=" " * 7, further=" " * 9)
    passed = sum(f.level == "ok" for f in r.findings)
    h = r.health
    counted = (
        f"{passed} of {len(r.findings)} checks ok. {h.zero_rows:,} zero rows, {h.duplicate_rows:,} duplicates, "
        f"{h.constant_features:,} constant features, {h.extreme_norms:,} extreme norms."
    )
    lines += screen.sentence(counted, first="  ", further="  ")
    for note in r.notes:
        lines += screen.sentence(f"Note: {note}", first="  ", further="    ")
    return lines


def _comparisons(reports: Sequence[Report], screen: Screen) -> list[str]:
    found = compared(reports)
    if not found:
        return []
    first, *others = screen.names([reports[0].name, *(name for name, _ in found)])
    lines = screen.sentence(f"Effective rank against {first}", further="  ")
    for name, (_, words) in zip(others, found, strict=True):
        lines += screen.sentence(f"{name}: {words}", first="  ", further="    ")
    return [*lines, ""]


def _drift(r: Report, screen: Screen) -> list[str]:
    """What corruption did, measure by measure. Where a line is too narrow, the last column goes, and then intervals."""
    rows = drift_rows(r)
    if not rows:
        return []
    names, values, limits, meanings = ([screen.shown(row[i]) for row in rows] for i in range(4))
    columns = [
        Column("", names, left=True, fewest=16),
        Column("value", values),
        Column("95 % interval", limits, goes=1),
        Column("what it is", meanings, left=True, goes=0),
    ]
    head = f"Corrupted, row by row: {r.name} against {r.corrupted} (unmoved rows have drift 0, ratios and overlaps 1)"
    lines = [*screen.sentence(head, further="  "), *(table_lines(columns, screen, indent=2) or [])]
    reasons: dict[str, list[str]] = {}  # of values that are missing: they stay where the last column goes
    for label, value, _, meaning in rows:
        if value == "–":
            reasons.setdefault(meaning, []).append(label)
    for meaning, labels in reasons.items():
        lines += screen.sentence(f"{', '.join(labels)}: {meaning}", first="  ", further="    ")
    return [*lines, ""]
