"""Two reports of different days, measure by measure: what changed, and how sure is that?"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from repgeom.auditing.changes import Change, changes_of
from repgeom.auditing.finding import LEVELS
from repgeom.auditing.json_form import plain
from repgeom.auditing.report import Report
from repgeom.auditing.row_identity import IDS, fingerprint, same_rows
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.saving import write_whole
from repgeom.data.settings import own_settings

if TYPE_CHECKING:
    import pandas as pd

COMPARISON_VERSION = 1  # of the JSON below; to be raised with every change of names or meanings


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class ReportComparison(ShownInNotebook):
    """What `compare_reports` returns. `comparison["effective_rank"].difference` reads one measure; `print` shows them all.

    Attributes:
        old, new: the reports.
        changes: one for each measure of either report.
        paired: whether rows were taken for the same samples, of measures whose scores both reports keep.
        rows: how that is known, or why it is not.
        notes: what else a reader must know.
    """

    old: Report
    new: Report
    changes: tuple[Change, ...]
    paired: bool
    rows: str
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Change:
        for change in self.changes:
            if change.name == name:
                return change
        raise KeyError(
            f"no measure named {name!r} in either report; there are {', '.join(c.name for c in self.changes)}"
        )

    def __str__(self) -> str:
        import sys

        from repgeom.presenting.compared import comparison_table
        from repgeom.presenting.screen import screen_of

        return comparison_table(self, screen_of(sys.stdout, colour=False))

    def __repr__(self) -> str:
        return f"<ReportComparison {self.old.name} -> {self.new.name}: {self.old.level} -> {self.new.level}>"

    @property
    def new_findings(self) -> tuple[str, ...]:
        """Names of rules that are worse in the new report than in the old one."""
        return _worse(self.old, self.new)

    @property
    def gone_findings(self) -> tuple[str, ...]:
        """Names of rules that are better in the new report than in the old one."""
        return _worse(self.new, self.old)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python values; infinity and NaN become text."""
        found: dict[str, Any] = plain(
            {
                "comparison_version": COMPARISON_VERSION,
                "old": _heading(self.old),
                "new": _heading(self.new),
                "paired": self.paired,
                "rows": self.rows,
                "worse_findings": self.new_findings,
                "better_findings": self.gone_findings,
                "measures": {
                    c.name: {k: v for k, v in dataclasses.asdict(c).items() if k != "name"} for c in self.changes
                },
                "notes": self.notes,
            }
        )
        return found

    def to_json(self, path: str | os.PathLike[str] | None = None, *, indent: int | None = 2) -> str:
        """The dictionary as JSON text; written to `path` if given, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def to_frame(self) -> pd.DataFrame:
        """One row per measure, indexed by name: old and new value, difference, ratio, their intervals, p_value, note."""
        import pandas as pd

        frame = pd.DataFrame([dataclasses.asdict(c) for c in self.changes]).set_index("name").rename_axis("measure")
        numbers = [name for name in frame.columns if name not in ("label", "unit", "better", "paired", "note")]
        # None becomes NaN, and a column without any number is still one of floats.
        return frame.astype(dict.fromkeys(numbers, float))

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """What changed, in few lines, for a summary of CI; written to `path` if given."""
        from repgeom.presenting.markdown import comparison_markdown

        text = comparison_markdown(self)
        if path is not None:
            write_whole(path, text)
        return text


@own_settings
def compare_reports(
    old: Report | str | os.PathLike[str], new: Report | str | os.PathLike[str], *, paired: bool | None = None
) -> ReportComparison:
    """Measure by measure, what a report says that an earlier one did not: differences with intervals and tests.

    Rows that are known to be the same samples in the same order are compared row by row, where both reports keep the rows'
    scores (`to_json(keep_scores=True)`, `repgeom audit --keep-scores`); most of what the draw of samples adds then cancels.
    They are known if both reports scored the same row numbers and hold the same checksum of ids, labels or groups in
    them, or if you say so by `paired`. All else is compared by standard errors, as rows that are independent of each other
    (Welch 1947): a wide interval rather than one too narrow where the same samples stand behind both.

    Args:
        old: a `Report`, or the path or text of one that `Report.to_json` wrote.
        new: the same; differences are of `new` minus `old`.
        paired: True if row i of both is one sample; False to compare as independent rows whatever is known; None to go
            by the checksums.

    Returns:
        A `ReportComparison`. A measure that cannot be compared (other neighbours, classes or reference) says why.

    Raises:
        ValueError: what is no report; reports of rows scaled to unit length and of rows as they are; `paired=True` where
            other rows were scored or scores were not kept.
        FileNotFoundError: a path that is not there.

    >>> import numpy as np, repgeom as rg
    >>> x = np.random.default_rng(0).standard_normal((2000, 20))
    >>> old = rg.audit(x).to_json()
    >>> change = compare_reports(old, rg.audit(x[:, :10]))["effective_rank"]
    >>> round(change.old), round(change.new), round(change.ratio_high, 2)
    (20, 10, 0.5)
    """
    old, new = (one if isinstance(one, Report) else Report.from_json(one) for one in (old, new))
    _refuse_other_rows(old, new)
    same, how = same_rows(old.rows, new.rows)
    if paired is True:
        _refuse_unpaired(old, new)
        same, how = True, "row i of both is one sample, as was said"
    elif paired is False:
        same, how = False, "compared as independent rows, as was asked"
    kept = bool(old.contributions) and bool(new.contributions)
    if same and not kept:
        how += "; but scores were not kept (--keep-scores), so rows are compared as independent ones"
    by_rows = same and kept
    return ReportComparison(old, new, changes_of(old, new, by_rows), by_rows, how, _notes(old, new))


def with_row_ids(report: Report, ids: Collection[Any] | None) -> Report:
    """The report with a checksum of its rows' ids, by which a later one of the same rows is known. Raises ValueError."""
    if ids is None:
        return report
    check_row_ids(ids, report.n_samples + report.health.nonfinite_rows)  # rows left out have ids too
    rows = dataclasses.replace(report.rows, marks={**report.rows.marks, IDS: fingerprint(ids)})
    return dataclasses.replace(report, rows=rows)


def check_row_ids(ids: Collection[Any] | None, n_samples: int) -> None:
    """Raise ValueError for ids of another number of rows, or ids that are not different."""
    if ids is None:
        return
    if len(ids) != n_samples:
        raise ValueError(f"there are {len(ids):,} row ids for {n_samples:,} rows.")
    n_different = len(set(map(str, ids)))
    if n_different < n_samples:
        raise ValueError(
            f"only {n_different:,} of {n_samples:,} row ids are different: an id belongs to one row. Give what groups rows by "
            "`groups` (--groups) and classes by `labels` (--labels)."
        )


def _refuse_other_rows(old: Report, new: Report) -> None:
    """Raise ValueError where no measure of the two means the same."""
    standardized = [bool(r.convention.get("standardized")) for r in (old, new)]
    if standardized[0] != standardized[1]:
        words = ["standardized columns" if one else "columns as they are" for one in standardized]
        raise ValueError(
            f"the old report is of {words[0]} and the new one of {words[1]}, so their measures are different numbers: audit both "
            "with the same `standardize` (--standardize)."
        )
    scaled = [r.convention["normalize"] for r in (old, new)]
    if scaled[0] != scaled[1]:
        words = ["rows scaled to unit length" if one else "rows as they are" for one in scaled]
        raise ValueError(
            f"the old report is of {words[0]} and the new one of {words[1]}, so their measures are different numbers: audit "
            "both with the same `normalize` (--normalize)."
        )


def _refuse_unpaired(old: Report, new: Report) -> None:
    """Raise ValueError where rows cannot be compared one by one, though it was asked."""
    for which, report in (("old", old), ("new", new)):
        if not report.contributions:
            raise ValueError(
                f"`paired` needs the rows' scores, which the {which} report ({report.name}) does not hold: write it with "
                "`to_json(keep_scores=True)` or `repgeom audit --keep-scores`."
            )
    if old.rows.scored != new.rows.scored:
        raise ValueError(
            f"`paired` needs the same rows in both reports; the old one is of {old.n_samples:,} rows and the new one of "
            f"{new.n_samples:,}, of which other ones were scored (other seed, other rows left out, or other groups)."
        )


def _notes(old: Report, new: Report) -> tuple[str, ...]:
    """Say what differs between the reports that a reader would not expect."""
    notes = []
    if old.purpose != new.purpose:
        notes.append(f"The verdicts speak of other purposes: {old.purpose} before, {new.purpose} now.")
    if old.n_features != new.n_features:
        notes.append(f"The widths differ: {old.n_features:,} features before, {new.n_features:,} now.")
    if old.n_samples != new.n_samples:
        notes.append(
            f"The numbers of rows differ: {old.n_samples:,} before, {new.n_samples:,} now. Measures that are not estimated "
            "for the population can move by that alone."
        )
    if old.dtype != new.dtype:
        notes.append(f"The types differ: {old.dtype} before, {new.dtype} now.")
    if old.repgeom_version != new.repgeom_version:
        notes.append(f"Made by repgeom {old.repgeom_version} before and {new.repgeom_version} now.")
    return tuple(notes)


def _worse(first: Report, second: Report) -> tuple[str, ...]:
    """Names of the rules that read worse in the second report; one that the first does not have counts as ok there."""
    before = {f.name: LEVELS.index(f.level) for f in first.findings}
    return tuple(f.name for f in second.findings if LEVELS.index(f.level) > before.get(f.name, 0))


def _heading(r: Report) -> dict[str, Any]:
    return {
        "name": r.name,
        "n_samples": r.n_samples,
        "n_features": r.n_features,
        "level": r.level,
        "purpose": r.purpose,
        "repgeom_version": r.repgeom_version,
    }
