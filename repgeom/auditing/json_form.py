"""A report as plain values that JSON can hold, and back."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.auditing.checking import check_fields
from repgeom.auditing.finding import Finding
from repgeom.auditing.row_identity import RowIdentity
from repgeom.auditing.scores_form import read_scores, scores_dict
from repgeom.auditing.values import Reference, Value
from repgeom.data.columns import Columns
from repgeom.inference.estimate import Estimate
from repgeom.measures.classes import ClassRanks
from repgeom.measures.cloud_tally import Health
from repgeom.spectral.spectrum import Spectrum

if TYPE_CHECKING:
    import pandas as pd

    from repgeom.auditing.report import Report

# To be raised with every change of names or meanings below: `from_json` reads it and what it can of earlier ones.
SCHEMA_VERSION = 4
# Version 3 lacks degrees of freedom and what is known of the rows, and is read as well.
READABLE_VERSIONS = (3, SCHEMA_VERSION)


def as_dict(r: Report, *, keep_scores: bool = False) -> dict[str, Any]:
    """Everything that text, page, plots and data frame show, as plain values."""
    identity = dataclasses.asdict(r.rows)
    if keep_scores:
        identity["scores"] = scores_dict(r.contributions)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "repgeom_version": r.repgeom_version,
        "name": r.name,
        "n_samples": r.n_samples,
        "n_features": r.n_features,
        "dtype": r.dtype,
        "columns": r.columns.as_dict() if r.columns is not None else None,
        "convention": r.convention,
        "verdict": {
            "level": r.level,
            "purpose": r.purpose,
            "summary": r.summary,
            "headline": r.headline,
            "findings": [dataclasses.asdict(f) for f in r.findings],
        },
        "health": dataclasses.asdict(r.health),
        "measures": {v.name: _measure_dict(v) for v in r.values},
        "spectrum": _spectrum_dict(r.spectrum),
        "notes": list(r.notes),
        "row_identity": identity,
    }
    if r.classes is not None:
        found["classes"] = _class_rows(r.classes)
    if r.reference is not None:
        found["reference"] = {
            "name": r.reference.name,
            "n_features": r.reference.spectrum.n_features,
            "spectrum": _spectrum_dict(r.reference.spectrum),
            "captured_variance": _list(r.reference.captured),
            "own_captured_variance": _list(r.reference.own_curve),
            "principal_angles": _list(r.reference.angles),
        }
    if r.drift is not None:
        found["corrupted"] = {"name": r.corrupted, "drift": r.drift.to_dict("records")}
    as_plain: dict[str, Any] = plain(found)
    return as_plain


def plain(value: Any) -> Any:
    """The same in Python's own types; infinity and NaN as text, and text as UTF-8 can hold it."""
    if isinstance(value, dict):
        return {plain(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    # The json module refuses most of NumPy's scalars.
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        # A file name may hold bytes that are no text. They are spelled out, since strict readers of JSON refuse them.
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value


def read_fields(text_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the report that `as_dict` wrote down. Raises ValueError."""
    found = _parsed(text_or_path)
    try:
        return _fields(found)
    except (KeyError, TypeError, AttributeError, OverflowError, IndexError) as error:
        # Files are edited and cut; whatever part is not as it was written, the reader is told which file it is.
        raise ValueError(f"`text_or_path` is not a whole report: {type(error).__name__} {error}.") from None
    except ValueError as error:
        raise ValueError(f"`text_or_path` is not a whole report: {error}.") from None


def _fields(found: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **{key: found[key] for key in ("repgeom_version", "name", "n_samples", "n_features", "dtype", "convention")},
        **{key: found["verdict"][key] for key in ("level", "purpose", "summary")},
        "findings": tuple(_finding(f) for f in found["verdict"]["findings"]),
        "health": Health(**found["health"]),
        "values": tuple(_value(name, v) for name, v in found["measures"].items()),
        "spectrum": _spectrum(found["spectrum"]),
        "notes": tuple(found["notes"]),
        "columns": _columns(found.get("columns")),
    }
    if "classes" in found:
        fields["classes"] = _classes(found["classes"])
    if "reference" in found:
        r = found["reference"]
        arrays = (_array(r[key]) for key in ("captured_variance", "own_captured_variance", "principal_angles"))
        fields["reference"] = Reference(r["name"], _spectrum(r["spectrum"]), *arrays)
    if "corrupted" in found:
        fields |= {"corrupted": found["corrupted"]["name"], "drift": _drift(found["corrupted"]["drift"])}
    if "row_identity" in found:
        identity = found["row_identity"]
        fields["rows"] = RowIdentity(identity["scored"], _number(identity["independent"]), dict(identity["marks"]))
        fields["contributions"] = read_scores(identity.get("scores", {}), fields["values"])
    check_fields(fields)
    return fields


def _parsed(text_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    text = text_or_path
    # One report begins with a brace and several with a bracket; anything else is a path.
    if not isinstance(text, str) or text.lstrip()[:1] not in ("{", "["):
        text = Path(text_or_path).read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"`text_or_path` is no JSON: {error}. Give what `Report.to_json` wrote, or its path."
        ) from None
    if isinstance(found, list):
        raise ValueError(
            f"`text_or_path` holds a list of {len(found)} reports, as several audits of one command write it; read each: "
            "`[Report.from_json(json.dumps(one)) for one in json.load(file)]`."
        )
    version = found.get("schema_version") if isinstance(found, dict) else None
    if version not in READABLE_VERSIONS or isinstance(version, bool):
        known = " or ".join(map(str, READABLE_VERSIONS))
        raise ValueError(
            f"`text_or_path` is no report of schema version {known} (`schema_version` is {version!r}). Only what "
            f"`Report.to_json` of these versions wrote can be read; audit the features again."
        )
    return dict(found)


def _measure_dict(v: Value) -> dict[str, Any]:
    found = dataclasses.asdict(v)
    del found["name"]
    # What one quotes stands first.
    quoted = {"value": v.value, "low": v.low, "high": v.high, "in_these_rows": found.pop("in_these_rows")}
    return {**quoted, "range": list(found.pop("range")), "baseline": found.pop("baseline"), **found}


def _value(name: str, found: dict[str, Any]) -> Value:
    low, high = (float(end) for end in found["range"])
    estimate = found["estimate"]
    if estimate is not None:
        numbers = {
            key: _number(estimate.get(key)) for key in ("value", "in_these_rows", "low", "high", "se", "degrees")
        }
        estimate = Estimate(**{**estimate, **numbers, "warnings": tuple(estimate["warnings"])})
    return Value(
        name=name,
        in_these_rows=_number(found["in_these_rows"]),
        range=(low, high),
        baseline=_number(found["baseline"]),
        aliases=tuple(found["aliases"]),
        estimate=estimate,
        **{key: found[key] for key in ("label", "group", "formula", "unit", "note")},
    )


def _columns(found: dict[str, Any] | None) -> Columns | None:
    if found is None:
        return None
    return Columns(tuple(found["used"]), {one["name"]: one["why"] for one in found["left_out"]})


def _finding(found: dict[str, Any]) -> Finding:
    numbers = {key: _number(found[key]) for key in ("value", "low", "high", "warn", "fail")}
    # Reports of before lack these.
    named = {key: tuple(found.get(key, ())) for key in ("rows", "row_places", "columns")}
    return Finding(**{**found, **numbers, **named})


def _spectrum_dict(s: Spectrum) -> dict[str, Any]:
    return {
        "variance_ratio": _list(s.variance_ratio),
        "singular_values": _list(s.singular_values),
        "mean": _list(s.mean),
        "n_samples": s.n_samples,
        "n_features": s.n_features,
        "centered": s.centered,
        "normalize": s.normalize,
        "dtype": s.dtype,
        "method": s.method,
        "exact_tail": s.exact_tail,
    }


def _spectrum(found: dict[str, Any]) -> Spectrum:
    # Written for readers without this package; a `Spectrum` works it out of its singular values.
    kept = {key: value for key, value in found.items() if key != "variance_ratio"}
    return Spectrum(**{**kept, **{key: _array(found[key]) for key in ("singular_values", "mean")}})


def _class_rows(ranks: ClassRanks) -> list[dict[str, Any]]:
    columns = zip(ranks.labels, ranks.n_samples, ranks.effective_rank, ranks.baseline, ranks.share, strict=True)
    return [
        {
            "label": label.item(),
            "n_samples": int(n),
            "effective_rank": _known(rank),
            "baseline": _known(baseline),
            "share": _known(share),
        }
        for label, n, rank, baseline, share in columns
    ]


def _classes(rows: list[dict[str, Any]]) -> ClassRanks:
    labels = np.array([row["label"] for row in rows])
    sizes = np.array([row["n_samples"] for row in rows], dtype=int)
    # None, where a class has one row, becomes NaN.
    ranks, baselines = (np.array([row[key] for row in rows], dtype=float) for key in ("effective_rank", "baseline"))
    return ClassRanks(labels, sizes, ranks, baselines)


def _drift(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    numbers = ("value", "low", "high")
    return pd.DataFrame([{**row, **{key: _number(row[key]) for key in numbers}} for row in rows])


def _known(value: float) -> float | None:
    if math.isnan(value):
        return None
    return float(value)


def _number(value: Any) -> float | None:
    """A number that was written down, infinity and NaN as text among them."""
    if value is None:
        return None
    return float(value)


def _list(values: Any) -> list[float] | None:
    if values is None:
        return None
    return [float(v) for v in values]


def _array(values: list[float] | None) -> np.ndarray | None:
    if values is None:
        return None
    return np.array([float(v) for v in values])
