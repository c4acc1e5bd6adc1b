"""Reports as one HTML page that loads nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.auditing.finding import LEVELS, numbers_named
from repgeom.data.saving import write_whole
from repgeom.presenting.marks import looks_of
from repgeom.presenting.report_charts import charts_of
from repgeom.presenting.templates import own_templates
from repgeom.presenting.text import (
    THESE_ROWS,
    compared,
    convention,
    drift_rows,
    interval,
    number,
    quoted,
    rows_of,
    threshold,
    verdict,
)

if TYPE_CHECKING:
    from repgeom.auditing.report import Report

# So many reports stand side by side in one table of measures. Of more each measure has a small table of its own.
SIDE_BY_SIDE = 2
COUNTED = {
    "nan": "NaN values",
    "inf": "infinite values",
    "zero_rows": "rows of zeros",
    "duplicate_rows": "rows that repeat an earlier one",
    "constant_features": "constant features",
    "extreme_norms": "rows with an extreme norm",
}


def html(reports: Sequence[Report], path: str | os.PathLike[str] | None = None) -> str:
    """Reports side by side as one HTML page."""
    groups = list(dict.fromkeys(v.group for r in reports for v in r.values))
    rows = rows_of(reports)
    charts, dots = charts_of(reports)
    text = (
        own_templates()
        .get_template("report.html.j2")
        .render(
            reports=reports,
            sentence=sentence_of(reports),
            worst=max((r.level for r in reports), key=LEVELS.index),
            looks=looks_of(charts[0].series),
            groups=[(g, [row for row in rows if row[0].group == g]) for g in groups],
            side_by_side=len(reports) <= SIDE_BY_SIDE,
            drifts=[(r, drift_rows(r)) for r in reports if r.drift is not None],
            charts=charts,
            dots=dots,
            counted=COUNTED,
            interval=interval,
            number=number,
            quoted=quoted,
            compared=compared(reports),
            these_rows=THESE_ROWS,
            threshold=threshold,
            numbers_named=numbers_named,
            convention=convention,
            verdict=verdict,
            main_finding=main_finding,
        )
    )
    if path is not None:
        write_whole(path, text)
    return text


def sentence_of(reports: Sequence[Report]) -> str:
    """The verdict on all of them in one sentence, behind the worst level."""
    purposes = dict.fromkeys(r.purpose for r in reports)
    purpose = f"for {next(iter(purposes))}" if len(purposes) == 1 else "for their purposes"
    if len(reports) == 1:
        return f"{purpose}: {reports[0].summary}."
    times = Counter(r.level for r in reports)
    n = len(reports)
    if times["ok"] == n:
        return f"{purpose}: all {n} representations pass every check."
    parts: list[str] = []
    for level, one, several in (("fail", "fails", "fail"), ("warn", "has a warning", "have a warning")):
        if times[level]:
            counted = f"{times[level]}" if parts else f"{times[level]} of {n} representations"
            parts.append(f"{counted} {one if times[level] == 1 else several}")
    return f"{purpose}: {', '.join(parts)}."


def main_finding(r: Report) -> str:
    """The first of the worst findings; empty where all checks are ok."""
    bad = [f for f in r.findings if f.level == r.level != "ok"]
    return bad[0].reason if bad else ""
