"""The result of an audit, and its forms: table, dictionary, JSON, HTML, figure."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.auditing.catalogue import MEASURES, Evidence, LabelEvidence, Measure, ReferenceEvidence
from repgeom.auditing.rules import Finding, worst
from repgeom.data.saving import write_whole
from repgeom.inference.compare import Comparison, comparison_of
from repgeom.inference.estimate import Estimate, Sample
from repgeom.measures import rank
from repgeom.measures.cloud_tally import Health
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Value:
    """One measure as it was read.

    Attributes:
        name, label, group, convention, aliases: as in the catalogue.
        value: of these rows; None where it could not be read, and `note` then says why.
        estimate: of the population, with its interval; None where none is known (see `repgeom.estimate`).
        range: the smallest and largest value that is possible at this size.
        baseline: what isotropic (or, between two, unrelated) features of the same size read; None without meaning.
        note: a remark, such as how many rows were used.
    """

    name: str
    label: str
    group: str
    convention: str
    value: float | None
    range: tuple[float, float]
    baseline: float | None
    aliases: tuple[str, ...] = ()
    note: str = ""
    estimate: Estimate | None = None


@dataclasses.dataclass(frozen=True, repr=False)
class Report:
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
    notes: tuple[str, ...] = ()
    labels: LabelEvidence | None = None
    reference: ReferenceEvidence | None = None
    corrupted: str = ""  # name of the corrupted features
    drift: pd.DataFrame | None = None  # what corruption did: measure, value, low, high, n, note
    population: Sample | None = None  # what estimates are read from

    @classmethod
    def of(
        cls,
        e: Evidence,
        findings: tuple[Finding, ...],
        *,
        name: str,
        dtype: str,
        notes: tuple[str, ...],
        seed: int,
    ) -> Report:
        convention = {
            "effective_rank": "exp of the Shannon entropy, in nats, of σ²/Σσ²",
            "centered": True,
            "normalize": e.spectrum.normalize,
            "variances": "divided by n − 1",
            "route": e.spectrum.method,
            "pair_rows": len(e.sample),
            "neighbours": e.k,
            "seed": seed,
        }
        values = tuple(_value(m, e) for m in MEASURES if _applies(m, e))
        return cls(
            name, e.n_samples, e.n_features, dtype, convention, worst(findings), findings, values, e.health, e.spectrum,
            notes, e.labels, e.reference, "" if e.drift is None else e.drift.name, _drift_frame(e), e.population,
        )  # fmt: skip

    def __getitem__(self, name: str) -> Value:
        for value in self.values:
            if value.name == name:
                return value
        raise KeyError(f"no measure named {name!r} in this report; there are {', '.join(v.name for v in self.values)}")

    def __str__(self) -> str:
        from repgeom.presenting.text import table

        return table([self])

    def __repr__(self) -> str:
        return f"<Report {self.name}: {self.level}, {self.headline}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        bad = [f for f in self.findings if f.level == self.level != "ok"]
        if bad:
            return bad[0].reason
        return next((f.reason for f in self.findings if f.name == "rank_share"), "no rule was broken")

    def to_frame(self) -> pd.DataFrame:
        """One row per measure, indexed by name.

        Columns: value (of these rows), corrected, low, high (of the population, with its 95 % interval), minimum, maximum and
        baseline (of as many rows), group, convention, note.
        """
        import pandas as pd

        rows = []
        for v in self.values:
            x = v.estimate
            ends = (None, None, None) if x is None else (x.value, x.low, x.high)
            rows.append((v.name, v.value, *ends, *v.range, v.baseline, v.group, v.convention, v.note))
        numbers = ["value", "corrected", "low", "high", "minimum", "maximum", "baseline"]
        frame = pd.DataFrame(rows, columns=["measure", *numbers, "group", "convention", "note"]).set_index("measure")
        return frame.astype(dict.fromkeys(numbers, float))

    def compare(self, other: Report, measure: str = "effective_rank") -> Comparison | None:
        """This report's measure against another's (which comes first), row by row where both audited the same rows.

        None where either has too few rows. See `repgeom.compare`.
        """
        mine, theirs = self.population, other.population
        if mine is None or theirs is None:
            return None
        rows = [np.arange(len(s.scores.squares)) if s.rows is None else s.rows for s in (mine, theirs)]
        paired = mine.n == theirs.n and np.array_equal(rows[0], rows[1])
        return comparison_of(theirs, mine, measure, paired, 0.95, (other.name, self.name))

    def to_dict(self, *, against: Report | None = None) -> dict[str, Any]:
        """Everything as plain Python values; infinity and NaN become text, which JSON can hold.

        `against`: another report, to which this one's effective rank is compared under "compared".
        """
        from repgeom import __version__

        found: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "repgeom_version": __version__,
            "name": self.name,
            "n_samples": self.n_samples,
            "n_features": self.n_features,
            "dtype": self.dtype,
            "convention": self.convention,
            "verdict": {
                "level": self.level,
                "headline": self.headline,
                "findings": [dataclasses.asdict(f) for f in self.findings],
            },
            "health": dataclasses.asdict(self.health),
            "measures": {v.name: _measure_dict(v) for v in self.values},
            "spectrum": {"variance_ratio": self.spectrum.variance_ratio.tolist()},
            "notes": list(self.notes),
        }
        if self.labels is not None:
            found["classes"] = _class_rows(self.labels)
        if self.reference is not None:
            r = self.reference
            found["reference"] = {
                "name": r.name,
                "n_features": r.spectrum.n_features,
                "variance_ratio": r.spectrum.variance_ratio.tolist(),
                "captured_variance": None if r.captured is None else r.captured.tolist(),
                "principal_angles": None if r.angles is None else r.angles.tolist(),
            }
        if self.drift is not None:
            found["corrupted"] = {"name": self.corrupted, "drift": self.drift.to_dict("records")}
        if against is not None:
            compared = self.compare(against)
            found["compared"] = {"with": against.name, **({} if compared is None else dataclasses.asdict(compared))}
        plain: dict[str, Any] = _plain(found)
        return plain

    def to_json(
        self, path: str | os.PathLike[str] | None = None, *, indent: int | None = 2, against: Report | None = None
    ) -> str:
        """The dictionary as JSON text; written to `path` if given, whole or not at all."""
        text = json.dumps(self.to_dict(against=against), indent=indent, ensure_ascii=False, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One page with the verdict, the table and the plots, with nothing to load; written to `path` if given."""
        from repgeom.presenting.page import html

        return html([self], path)

    def plot(self) -> Figure:
        """Spectrum, cumulative variance and, where there are, classes and captured variance, in one figure."""
        from repgeom.presenting.plots import plot_reports

        return plot_reports([self])


def _applies(m: Measure, e: Evidence) -> bool:
    return not (
        (m.group == "With labels" and e.labels is None) or (m.group == "Against the reference" and e.reference is None)
    )


def _value(m: Measure, e: Evidence) -> Value:
    baseline, estimate, missing = m.baseline(e), m.estimate(e), m.missing
    try:
        value = m.read(e)
    except rank.InexactTailError:
        value, missing = None, "rests on the smallest singular values, which are rounding here"
    value = None if value is None or math.isnan(value) else float(value)
    low, high = m.limits(e)
    note = missing if value is None else _why_no_interval(estimate, e)
    if m.sampled and len(e.sample) < e.n_samples:
        note = f"from {len(e.sample):,} rows"
    limits = (float(low), float(high))
    return Value(
        m.name,
        m.label,
        m.group,
        m.convention,
        value,
        limits,
        None if baseline is None else float(baseline),
        m.aliases,
        note,
        estimate,
    )


def _why_no_interval(estimate: Estimate | None, e: Evidence) -> str:
    """A measure's own reason; that of the effective rank stands in the report's notes."""
    known = e.estimates.get("effective_rank")
    if estimate is None or estimate.low is not None or known is None or not estimate.warnings:
        return ""
    why = estimate.warnings[-1]
    told = why in known.warnings or not why.startswith("no interval") or "none is known" in why
    return "" if told else why


def _measure_dict(v: Value) -> dict[str, Any]:
    found = dataclasses.asdict(v)
    del found["name"]
    return {"value": found.pop("value"), "range": list(found.pop("range")), "baseline": found.pop("baseline"), **found}


def _drift_frame(e: Evidence) -> pd.DataFrame | None:
    if e.drift is None:
        return None
    import pandas as pd

    return pd.DataFrame([r.row(confidence=0.95) for r in e.drift.readings.values()])


def _class_rows(y: LabelEvidence) -> list[dict[str, Any]]:
    from repgeom.auditing.rules import COLLAPSED_CLASS

    ranks = y.ranks
    columns = zip(ranks.labels, ranks.n_samples, ranks.effective_rank, ranks.baseline, ranks.share, strict=True)
    return [
        {
            "label": label.item(),
            "n_samples": int(n),
            "effective_rank": None if math.isnan(rank) else float(rank),
            "baseline": None if math.isnan(baseline) else float(baseline),
            "collapsed": bool(share < COLLAPSED_CLASS),
        }
        for label, n, rank, baseline, share in columns
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value
