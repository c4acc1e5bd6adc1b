"""The result of an audit, and its forms: table, dictionary, JSON, HTML, figure."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from repgeom.auditing.evidence import Evidence
from repgeom.auditing.finding import Finding, worst
from repgeom.auditing.json_form import as_dict, plain, read_fields
from repgeom.auditing.purposes import TRANSFER
from repgeom.auditing.readings import summary
from repgeom.auditing.row_identity import RowIdentity
from repgeom.auditing.values import Reference, Value, values_of
from repgeom.data.columns import Columns
from repgeom.data.kinds import MeasureName
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.saving import write_whole
from repgeom.data.settings import own_settings
from repgeom.inference.compare import Comparison, Contributions, compared
from repgeom.measures.classes import ClassRanks
from repgeom.measures.cloud_tally import Health
from repgeom.measures.measure import estimable
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class Report(ShownInNotebook):
    """What `audit` returns. `report["effective_rank"].value` reads one measure; `print(report)` shows them all."""

    name: str
    n_samples: int
    n_features: int
    dtype: str
    convention: dict[str, Any]
    level: str
    findings: tuple[Finding, ...]
    values: tuple[Value, ...]
    health: Health
    spectrum: Spectrum
    repgeom_version: str
    notes: tuple[str, ...] = ()
    classes: ClassRanks | None = None
    reference: Reference | None = None
    corrupted: str = ""  # name of the corrupted features
    drift: pd.DataFrame | None = None  # what corruption did: measure, value, low, high, n, note
    contributions: Mapping[str, Contributions] = dataclasses.field(default_factory=dict)  # what `compare` reads
    purpose: str = TRANSFER  # what the verdict speaks of
    summary: str = ""  # how many dimensions are in use, in one sentence
    rows: RowIdentity = dataclasses.field(
        default_factory=RowIdentity
    )  # fingerprints of the rows that contributions are of
    columns: Columns | None = None  # of a table: which columns are the features, and why others are not

    @classmethod
    def of(
        cls,
        e: Evidence,
        findings: tuple[Finding, ...],
        *,
        purpose: str,
        name: str,
        dtype: str,
        notes: tuple[str, ...],
        seed: int,
        contributions: Mapping[str, Contributions],
        rows: RowIdentity,
        columns: Columns | None = None,
        prepared: Mapping[str, Any] | None = None,
    ) -> Report:
        """The report of this evidence. Keeps numbers of each row scored, but no rows and no directions."""
        from repgeom import __version__

        convention = {
            "effective_rank": "exp of the Shannon entropy, in nats, of σ²/Σσ²",
            "centered": True,
            "normalize": e.spectrum.normalize,
            "variances": "divided by n − 1",
            "route": e.spectrum.method,
            "pair_rows": len(e.sample),
            "neighbours": e.neighbours,
            "seed": seed,
            **(prepared or {}),
        }
        return cls(
            name=name,
            n_samples=e.n_samples,
            n_features=e.n_features,
            dtype=dtype,
            convention=convention,
            level=worst(findings),
            findings=findings,
            values=values_of(e),
            health=e.health,
            spectrum=e.spectrum,
            repgeom_version=__version__,
            notes=notes,
            classes=None if e.labels is None else e.labels.ranks,
            reference=_reference(e),
            corrupted="" if e.drift is None else e.drift.name,
            drift=_drift_frame(e),
            contributions=contributions,
            purpose=purpose,
            summary=summary(e),
            rows=rows,
            columns=columns,
        )

    @classmethod
    def from_json(cls, text_or_path: str | os.PathLike[str]) -> Report:
        """The report that `to_json` wrote, from its text or a file of it.

        Table, page, plots, data frame and JSON are those of the first one. What each row adds to a measure is there only if it
        was kept (`keep_scores`); without it `compare` gives None, and `repgeom.compare_reports` goes by standard errors.

        Raises:
            ValueError: text that is no report or not a whole one, a list of reports, or a version of the format that is not
                known.
            FileNotFoundError: a path that is not there.

        >>> import repgeom as rg
        >>> report = rg.audit([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
        >>> Report.from_json(report.to_json())["effective_rank"].value == report["effective_rank"].value
        True
        """
        return cls(**read_fields(text_or_path))

    def __getitem__(self, name: str) -> Value:
        for value in self.values:
            if value.name == name:
                return value
        raise KeyError(f"no measure named {name!r} in this report; there are {', '.join(v.name for v in self.values)}")

    def __str__(self) -> str:
        import sys

        from repgeom.presenting.report_text import table
        from repgeom.presenting.screen import screen_of

        return table([self], screen_of(sys.stdout, colour=False))

    def __repr__(self) -> str:
        return f"<Report {self.name}: {self.level}, {self.headline}>"

    @property
    def headline(self) -> str:
        """How many dimensions are in use, and then what is worst, in one sentence."""
        bad = [f for f in self.findings if f.level == self.level != "ok"]
        if not bad:
            return self.summary
        return f"{self.summary}; {bad[0].reason}"

    def verdict_text(self) -> str:
        """The verdict in plain words: size, how many dimensions are in use, findings, notes, level."""
        from repgeom.presenting.report_text import verdict_text

        return verdict_text(self)

    def to_frame(self) -> pd.DataFrame:
        """One row per measure, indexed by name.

        Columns: value, low, high (of the population where it is estimated, with its 95 % interval), in_these_rows, minimum,
        maximum and baseline (of as many rows), unit, group, formula, note.
        """
        import pandas as pd

        rows = []
        for v in self.values:
            numbers_of = (v.value, v.low, v.high, v.in_these_rows, *v.range, v.baseline)
            rows.append((v.name, *numbers_of, v.unit, v.group, v.formula, v.note))
        numbers = ["value", "low", "high", "in_these_rows", "minimum", "maximum", "baseline"]
        columns = ["measure", *numbers, "unit", "group", "formula", "note"]
        frame = pd.DataFrame(rows, columns=columns).set_index("measure")
        # None becomes NaN, and a column without any number is still one of floats.
        return frame.astype(dict.fromkeys(numbers, float))

    def compare(self, other: Report, measure: MeasureName = "effective_rank") -> Comparison | None:
        """This report's measure against another's (which comes first), row by row where both audited the same rows.

        None where either has too few rows or was read back from JSON without scores (see `repgeom.compare_reports`).
        `measure`: as `repgeom.compare`, which see.
        """
        name = estimable(measure).name
        if name not in self.contributions or name not in other.contributions:
            return None
        first, second = other.contributions[name], self.contributions[name]
        # Fingerprints know row numbers, not samples. The text of a comparison therefore says that row i was taken for
        # one sample.
        paired = self.rows.scored == other.rows.scored
        return compared(first, second, name, paired, 0.95, (other.name, self.name))

    def to_dict(self, *, against: Report | None = None, keep_scores: bool = False) -> dict[str, Any]:
        """Everything as plain Python values; infinity and NaN become text, which JSON can hold.

        `against`: another report, to which this one's effective rank is compared under "compared". `keep_scores`: also what
        each scored row adds to the measures, for comparisons row by row (0.2 MB, or 2 MB with groups).
        """
        found = as_dict(self, keep_scores=keep_scores)
        if against is not None:
            comparison = self.compare(against)
            found["compared"] = {"with": against.name}
            if comparison is not None:
                found["compared"] |= plain(dataclasses.asdict(comparison))
        return found

    def to_json(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        indent: int | None = 2,
        against: Report | None = None,
        keep_scores: bool = False,
    ) -> str:
        """The dictionary as JSON text; written to `path` if given, whole or not at all. `from_json` reads it back."""
        # `plain` has made NaN and infinity text. One that slipped through is an error here, not a file that others
        # cannot read.
        found = self.to_dict(against=against, keep_scores=keep_scores)
        text = json.dumps(found, indent=indent, ensure_ascii=False, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One page with the verdict, the table and the plots, with nothing to load; written to `path` if given."""
        from repgeom.presenting.page import html

        return html([self], path)

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Verdict, the few numbers that one quotes and findings as Markdown, for a model card; written to `path` if given."""
        from repgeom.presenting.markdown import report_markdown

        text = report_markdown(self)
        if path is not None:
            write_whole(path, text)
        return text

    def plot(self) -> Figure:
        """Spectrum, cumulative variance and, where there are, classes and captured variance, in one figure."""
        from repgeom.presenting.figure import plot_reports

        return plot_reports([self])


def _reference(e: Evidence) -> Reference | None:
    if e.reference is None:
        return None
    r = e.reference
    return Reference(r.name, r.spectrum, r.captured, r.own_curve, r.angles)


def _drift_frame(e: Evidence) -> pd.DataFrame | None:
    if e.drift is None:
        return None
    import pandas as pd

    return pd.DataFrame([r.row(confidence=0.95) for r in e.drift.readings.values()])
