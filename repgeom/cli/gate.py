"""When does a command fail? By its verdict (`--fail-on`) and by what was lost since a baseline (`--fail-on-drop`)."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repgeom.presenting.escaping import printable

if TYPE_CHECKING:
    from repgeom.auditing.comparing import ReportComparison
    from repgeom.auditing.drops import AllowedDrop, Decision
    from repgeom.auditing.report import Report

FAILED_GATE = 1  # exit status where a report was made and is bad enough

# The verdicts at which each choice of `--fail-on` makes the command fail.
FAILING_LEVELS: dict[str | None, tuple[str, ...]] = {None: (), "warn": ("warn", "fail"), "fail": ("fail",)}


def add_drop_options(add: Any) -> None:
    """Options that say what may be lost since an earlier report."""
    add("--fail-on-drop", action="append", default=[], metavar="MEASURE=5%", help="exit with status 1 if the measure fell by "
        "more than this share of the earlier value, or by more than this amount (effective_rank=3); for measures that are "
        "better when lower, if it rose. Only where the whole interval lies beyond; may be given more than once")  # fmt: skip
    add("--strict", action="store_true", help="with --fail-on-drop: fail too where the interval lies on both sides of what is "
        "allowed, or none is known")  # fmt: skip
    add("--paired", action="store_true", help="row i of both reports is one sample: compare the scores that --keep-scores "
        "kept (done unasked where both reports hold the same checksum of labels, groups or ids)")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Gate:
    """What was asked on the command line, read before any row is."""

    fail_on: str | None
    drops: tuple[AllowedDrop, ...]
    strict: bool
    paired: bool | None
    baselines: tuple[Report, ...]

    @classmethod
    def of(cls, args: argparse.Namespace, n_reports: int) -> Gate:
        """From the arguments of a command that makes so many reports. Raises ValueError for what cannot be judged."""
        if not args.baseline:
            for option, given in (
                ("--fail-on-drop", args.fail_on_drop),
                ("--strict", args.strict),
                ("--paired", args.paired),
            ):
                if given:
                    raise ValueError(f"{option} compares with an earlier report: name it by --baseline old.json.")
            return cls(args.fail_on, (), False, None, ())
        # These imports are heavy, so they wait until they are needed: `repgeom --help` stays quick.
        from repgeom.auditing.drops import allowed_drop

        drops = tuple(allowed_drop(text) for text in args.fail_on_drop)
        if args.strict and not drops:
            raise ValueError("--strict says what becomes of --fail-on-drop, which is not given.")
        baselines = tuple(read_reports(args.baseline))
        if len(baselines) != n_reports:
            raise ValueError(
                f"{args.baseline} holds {_counted(len(baselines))} and {n_reports} would be compared: give as many."
            )
        return cls(args.fail_on, drops, args.strict, True if args.paired else None, baselines)

    def judged(self, reports: list[Report]) -> Judged:
        """Compare each report with its baseline and decide on every drop."""
        from repgeom.auditing.comparing import compare_reports
        from repgeom.auditing.drops import check_measured, decide

        comparisons, decisions = [], []
        for old, new in zip(_matched(self.baselines, reports), reports if self.baselines else [], strict=True):
            for drop in self.drops:
                check_measured(drop, new)
            comparison = compare_reports(old, new, paired=self.paired)
            comparisons.append(comparison)
            decisions.append(tuple(decide(drop, comparison) for drop in self.drops))
        return Judged(tuple(reports), self.fail_on, self.strict, tuple(comparisons), tuple(decisions))


@dataclasses.dataclass(frozen=True)
class Judged:
    """Reports with what the gate says of them. `decisions` has one tuple for each report that has a baseline."""

    reports: tuple[Report, ...]
    fail_on: str | None
    strict: bool
    comparisons: tuple[ReportComparison, ...]
    decisions: tuple[tuple[Decision, ...], ...]

    @property
    def status(self) -> int:
        """The exit status: 0, or `FAILED_GATE`."""
        bad_verdict = any(report.level in FAILING_LEVELS[self.fail_on] for report in self.reports)
        if bad_verdict or any(self.fails(decision) for one in self.decisions for decision in one):
            return FAILED_GATE
        return 0

    def fails(self, decision: Decision) -> bool:
        """Whether this decision makes the command fail."""
        return decision.outcome == "dropped" or (self.strict and decision.outcome == "undecided")

    @property
    def sentence(self) -> str:
        """Why the exit status is what it is; '' where no gate was asked for."""
        parts = []
        if self.fail_on is not None:
            parts.append(f"by --fail-on {self.fail_on}: {self._why_by_level()}")
        for report, decisions in zip(self.reports, self.decisions, strict=False):
            for decision in decisions:
                name = f"{report.name}: " if len(self.reports) > 1 else ""
                strict = " (--strict)" if self.strict and decision.outcome == "undecided" else ""
                parts.append(f"by --fail-on-drop {decision.allowed}{strict}: {name}{decision.reason}")
        if not parts:
            return ""
        return printable(f"Exit status {self.status} {'; '.join(parts)}.")

    def _why_by_level(self) -> str:
        failing = [f"{r.name} reads {r.level}" for r in self.reports if r.level in FAILING_LEVELS[self.fail_on]]
        if failing:
            return ", ".join(failing)
        return f"none reads {self.fail_on}" if self.fail_on == "fail" else "all read ok"


def read_reports(path: str) -> list[Report]:
    """The reports of a JSON file that `repgeom audit --json` wrote. Raises ValueError for what is none, OSError."""
    from repgeom.auditing.report import Report
    from repgeom.data.places import no_such_file

    if not os.path.lexists(path):
        raise no_such_file(path)
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder. Give the file that `repgeom audit --json` wrote.")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}. Give what `repgeom audit --json` wrote.") from None
    many = found if isinstance(found, list) else [found]
    if not many or not all(isinstance(one, dict) for one in many):
        raise ValueError(f"{path} holds no report. Give what `repgeom audit --json` wrote.")
    reports = []
    for one in many:
        try:
            reports.append(Report.from_json(json.dumps(one)))
        except ValueError as error:
            raise ValueError(str(error).replace("`text_or_path`", path)) from None
    return reports


def _matched(baselines: tuple[Report, ...], reports: list[Report]) -> list[Report]:
    """The baseline of each report: by name where all names are known, by order where none is."""
    before, now = [r.name for r in baselines], [r.name for r in reports]
    if len(baselines) < 2 or not set(before) & set(now):
        return list(baselines)
    if len(set(before)) != len(before) or set(before) != set(now):
        raise ValueError(
            f"the earlier reports are of {', '.join(before)} and the new ones of {', '.join(now)}: which belongs to which? "
            "Compare them one by one."
        )
    return [baselines[before.index(name)] for name in now]


def _counted(n: int) -> str:
    return "1 report" if n == 1 else f"{n} reports"
