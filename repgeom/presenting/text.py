"""How a report reads as text, and how a person reads a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.auditing.finding import Finding, numbers_named
from repgeom.auditing.purposes import PURPOSES
from repgeom.presenting.cells import shortened
from repgeom.presenting.escaping import printable
from repgeom.robustness.drift import MEASURES as DRIFT_MEASURES

THESE_ROWS = "in these rows"

if TYPE_CHECKING:
    from repgeom.auditing.report import Report
    from repgeom.auditing.values import Value
    from repgeom.inference.compare import Comparison
    from repgeom.inference.estimate import Estimate


def table(reports: Sequence[Report]) -> str:
    """Reports side by side as text: verdicts first, then one row per measure."""
    lines: list[str] = []
    for r in reports:
        lines += [*_verdict_lines(r), ""]
    heads = [r.name for r in reports] if len(reports) > 1 else ["value"]
    lines += _measure_lines(reports, [shortened(printable(head), 22) for head in heads])
    lines += _comparison_lines(reports)
    for r in reports:
        lines += _drift_lines(r)
    # Each is one line, so whatever names and notes hold stays in it.
    return "\n".join(map(printable, lines)).rstrip()


def verdict_text(r: Report) -> str:
    """The lines of a verdict, without the table."""
    return "\n".join(_verdict_lines(r))


def number(value: float | None) -> str:
    """A number as a person reads it: four figures, no exponent where it can be helped."""
    if value is None:
        return "–"
    if math.isinf(value) or math.isnan(value):
        return {"inf": "∞", "-inf": "−∞"}.get(str(value), "–")
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.2e}".replace("-", "−")
    # Four figures: from 1 to 10 one stands before the point, so three behind it.
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if abs(value) < 1000 else 0
    return f"{value:,.{min(digits, 5)}f}".replace("-", "−")


def quoted(v: Value | None) -> str:
    """A measure's value with what is known of it; empty where a report has no such measure."""
    if v is None:
        return ""
    if v.estimate is None:
        return number(v.value)
    return estimated(v.estimate)


def estimated(x: Estimate) -> str:
    """The population's value with its interval, or "≈" where none is known."""
    if x.low is None or x.high is None:
        return f"≈ {number(x.value)}"
    return f"{number(x.value)} [{number(x.low)}, {number(x.high)}]"


def compared(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """Every report against the first in effective rank: its name, and the difference in words."""
    found = []
    for r in reports[1:]:
        c = r.compare(reports[0])
        if c is not None:
            found.append((r.name, _difference(c)))
    return found


def _difference(c: Comparison) -> str:
    values = f"{number(c.second.value)} against {number(c.first.value)}"
    if c.low is None or c.high is None or c.p_value is None:
        why = next((w for w in c.warnings if "no interval: " in w), "no interval")
        return f"{values}; {why}"
    how = "row i of both taken for one sample" if c.paired else "not paired"
    p = f"p = {c.p_value:.2g}" if c.p_value >= 1e-4 else "p < 0.0001"
    difference = f"{number(c.difference)} [{number(c.low)}, {number(c.high)}]"
    return f"{values}, difference {difference}, {p} ({how})"


def interval(limits: tuple[float, float]) -> str:
    return f"{number(limits[0])} to {number(limits[1])}"


def rows_of(reports: Sequence[Report]) -> list[tuple[Value, list[Value | None]]]:
    """The measures that any report has, each with its value in every report."""
    first: dict[str, Value] = {}
    for r in reports:
        for v in r.values:
            first.setdefault(v.name, v)
    return [(v, [next((w for w in r.values if w.name == name), None) for r in reports]) for name, v in first.items()]


def _verdict_lines(r: Report) -> list[str]:
    size = f"{r.n_samples:,} samples × {r.n_features:,} features, {r.dtype}"
    how = convention(r)
    against = f", against {r.reference.name}" if r.reference is not None and r.reference.name != "reference" else ""
    lines = [f"{r.name}: {size} ({how}){against}", f"  {r.summary[:1].upper()}{r.summary[1:]}."]
    for f in r.findings:
        if f.level == "ok":
            continue
        lines += [
            f"  {f.level.upper():<5}{f.reason}",
            *(f"       {what}: {words}" for what, words in numbers_named(f).items()),
            f"       likely: {f.causes}",
            f"       try: {f.advice}",
            f"       threshold: {threshold(f)}",
        ]
    passed = sum(f.level == "ok" for f in r.findings)
    h = r.health
    lines.append(
        f"  {passed} of {len(r.findings)} checks ok. {h.zero_rows:,} zero rows, {h.duplicate_rows:,} duplicates, "
        f"{h.constant_features:,} constant features, {h.extreme_norms:,} extreme norms."
    )
    lines += [f"  Note: {note}" for note in r.notes]
    return [*lines, f"  Verdict: {verdict(r)}"]


def convention(r: Report) -> str:
    """What was done to the rows, in words."""
    words = []
    # Reports of before know no standardising.
    if r.convention.get("standardized"):
        words.append("columns standardized")
    if r.convention["normalize"]:
        words.append("rows scaled to unit length")
    return ", then ".join([*words, "centred"])


def verdict(r: Report) -> str:
    """The level, with the purpose it speaks of."""
    others = ", ".join(purpose for purpose in PURPOSES if purpose != r.purpose)
    return f"{r.level.upper()} for {r.purpose}; other purposes are {others}."


def threshold(f: Finding) -> str:
    limit = f.fail if f.level == "fail" else f.warn
    return f"{f.name} {f.worse} {limit:g} ({f.source})"


def _measure_lines(reports: Sequence[Report], heads: list[str]) -> list[str]:
    rows = rows_of(reports)
    # Baselines and ranges depend on the size, so one column of them serves reports of one size only.
    same_size = len({(r.n_samples, r.n_features) for r in reports}) == 1
    cells = []
    for v, found in rows:
        base = number(v.baseline) if same_size else "varies"
        values = [quoted(w) for w in found]
        limits = interval(v.range) if same_size else "varies"
        remark = v.formula + (f"; {v.note}" if v.note else "")
        if any(w is not None and w.estimate is not None for w in found):
            of_rows = ["" if w is None else number(w.in_these_rows) for w in found]
            cells.append((v.group, [v.label, *values, "", "", remark]))
            cells.append((v.group, [f"  {THESE_ROWS}", *of_rows, base, limits, ""]))
        else:
            cells.append((v.group, [v.label, *values, base, limits, remark]))
    head = ["", *heads, "isotropic", "range", "formula"]
    widths = [max(len(row[i]) for row in [head, *(c for _, c in cells)]) for i in range(len(head))]
    lines, group = [_line(head, widths)], ""
    for g, row in cells:
        if g != group:
            lines.append(g)
            group = g
        lines.append(_line(["  " + row[0], *row[1:]], [widths[0] + 2, *widths[1:]]))
    lines[0] = "  " + lines[0]
    return [*lines, ""]


def _comparison_lines(reports: Sequence[Report]) -> list[str]:
    found = compared(reports)
    if not found:
        return []
    return [f"Effective rank against {reports[0].name}", *(f"  {name}: {words}" for name, words in found), ""]


def _line(row: list[str], widths: list[int]) -> str:
    middle = [cell.rjust(width) for cell, width in zip(row[1:-2], widths[1:-2], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *middle, row[-2].rjust(widths[-2]), row[-1]]).rstrip()


def drift_rows(r: Report) -> list[tuple[str, str, str, str]]:
    """Name, value, interval and meaning of each measure of what corruption did; empty where nothing was compared."""
    if r.drift is None:
        return []
    columns = (r.drift[c] for c in ("measure", "value", "low", "high", "note"))
    return [
        (name, number(value), "–" if math.isnan(low) else interval((low, high)), note or DRIFT_MEASURES.get(name, ""))
        for name, value, low, high, note in zip(*columns, strict=True)
    ]


def _drift_lines(r: Report) -> list[str]:
    rows = [(name.replace("_", " "), *row) for name, *row in drift_rows(r)]
    if not rows:
        return []
    head = (f"{r.name} against {r.corrupted}", "value", "95 % interval", "what it is")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    # The first column's heading has a line of its own, so the names alone decide its width, with their indent of two.
    widths[0] = max(len(row[0]) for row in rows) + 2
    lines = [_line(["  " + row[0], *row[1:]], widths) for row in rows]
    return [
        f"Corrupted, row by row: {head[0]} (unmoved rows have drift 0, ratios and overlaps 1)",
        _line(["", *head[1:]], widths),
        *lines,
        "",
    ]
