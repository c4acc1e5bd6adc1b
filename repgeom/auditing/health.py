"""Are features healthy enough for a test to pass? What `testing.assert_healthy` asks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from repgeom.auditing.audit import audit
from repgeom.auditing.comparing import compare_reports
from repgeom.auditing.drops import DROPPED, UNDECIDED, allowed_drop, check_measured, decide
from repgeom.auditing.finding import LEVELS
from repgeom.auditing.purposes import TRANSFER
from repgeom.auditing.report import Report


def faults(
    x: Any,
    purpose: str | None,
    fail_on: str | None,
    min_effective_rank: float | None,
    baseline: Any,
    max_drop: str | Sequence[str],
    strict: bool,
    paired: bool | None,
    audit_options: Mapping[str, Any],
) -> tuple[Report, list[str]]:
    """The report, and what is wrong with it: first why, then the lines of the verdict; nothing where all is well."""
    if fail_on not in (None, "warn", "fail"):
        raise ValueError(f'`fail_on` must be "fail", "warn" or None, got {fail_on!r}.')
    if min_effective_rank is not None and not math.isfinite(min_effective_rank):
        raise ValueError(f"`min_effective_rank` must be a number, got {min_effective_rank!r}.")
    # Before any row is read: a mistyped measure must not cost an hour.
    drops = [allowed_drop(text, "`max_drop`") for text in ([max_drop] if isinstance(max_drop, str) else max_drop)]
    if (drops or strict or paired is not None) and baseline is None:
        raise ValueError("`max_drop`, `strict` and `paired` compare with an earlier report: give it as `baseline`.")
    if baseline is not None and not isinstance(baseline, Report):
        baseline = Report.from_json(baseline)
    report = _report(x, purpose, audit_options)
    why = []
    if fail_on is not None and LEVELS.index(report.level) >= LEVELS.index(fail_on):
        why.append(f"the verdict is {report.level}")
    if min_effective_rank is not None:
        why += _too_few_dimensions(report, min_effective_rank)
    if baseline is not None:
        comparison = compare_reports(baseline, report, paired=paired)
        for drop in drops:
            check_measured(drop, report, "`max_drop`")
            decision = decide(drop, comparison)
            if decision.outcome == DROPPED or (strict and decision.outcome == UNDECIDED):
                why.append(f"since {baseline.name}: {decision.reason}")
    if not why:
        return report, []
    return report, [f"{report.name} is not healthy: {'; '.join(why)}.", report.verdict_text()]


def _report(x: Any, purpose: str | None, audit_options: Mapping[str, Any]) -> Report:
    if not isinstance(x, Report):
        return audit(x, purpose=purpose or TRANSFER, **audit_options)
    if audit_options:
        raise ValueError(f"`x` is a report already; {', '.join(audit_options)} would have been of its audit.")
    if purpose not in (None, x.purpose):
        raise ValueError(f"`x` is a report for {x.purpose}, and `purpose` is {purpose!r}: audit the features for that.")
    return x


def _too_few_dimensions(report: Report, least: float) -> list[str]:
    """Say that fewer dimensions are in use than there must be; nothing where that is not sure."""
    rank = report["effective_rank"]
    most, interval = rank.value, "no interval is known"
    if rank.low is not None and rank.high is not None:
        most, interval = rank.high, f"95 %: {rank.low:.4g} to {rank.high:.4g}"
    if most is not None and most >= least:
        return []
    value = "none" if rank.value is None else f"{rank.value:.4g}"
    return [f"its effective rank is {value} ({interval}), below {least:g}"]
