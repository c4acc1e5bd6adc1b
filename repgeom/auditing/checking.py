"""Can a report that was read back be shown and compared? Files are edited and cut, and an error must name the part."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from repgeom.auditing.finding import LEVELS
from repgeom.auditing.purposes import PURPOSES

_DRIFT_COLUMNS = ("measure", "value", "low", "high", "n", "note")


def check_fields(fields: dict[str, Any]) -> None:
    """Raise ValueError for what no report can hold and its readers rely on."""
    for key in ("n_samples", "n_features"):
        _check_count(key, fields[key], 1)
    for key in ("name", "dtype", "summary", "repgeom_version"):
        _check_text(key, fields[key])
    for note in fields["notes"]:
        _check_text("notes", note)
    if fields["level"] not in LEVELS or fields["purpose"] not in PURPOSES:
        raise ValueError(f"its verdict reads {fields['level']!r} for {fields['purpose']!r}")
    if fields["convention"]["normalize"] not in (None, "l2"):
        raise ValueError(f"`normalize` is {fields['convention']['normalize']!r}")
    for key in ("pair_rows", "neighbours"):
        _check_count(key, fields["convention"][key], 0)
    for value in fields["values"]:
        _check_texts(value, ("name", "label", "group", "formula", "unit", "note"))
    for finding in fields["findings"]:
        _check_texts(finding, ("name", "worse", "reason", "causes", "advice", "source"))
        if finding.level not in LEVELS:
            raise ValueError(f"its finding {finding.name} reads {finding.level!r}")
    for field in dataclasses.fields(fields["health"]):
        _check_count(field.name, getattr(fields["health"], field.name), 0)
    if fields.get("drift") is not None:
        _check_text("corrupted", fields["corrupted"])
        for column in _DRIFT_COLUMNS:
            fields["drift"][column]  # a KeyError where it is not there
        for text in (*fields["drift"]["measure"], *fields["drift"]["note"]):
            _check_text("drift", text)
    if fields.get("classes") is not None and fields["classes"].labels.dtype.kind not in "iuU":
        raise ValueError("its classes have labels that are neither whole numbers nor text")
    if fields.get("reference") is not None:
        _check_text("reference", fields["reference"].name)


def _check_texts(record: Any, names: Iterable[str]) -> None:
    for name in names:
        _check_text(name, getattr(record, name))


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"`{name}` is {value!r} and no text")


def _check_count(name: str, value: Any, least: int) -> None:
    # bool is a kind of int.
    if type(value) is not int or value < least:
        raise ValueError(f"`{name}` is {value!r} and no number of {least} or more")
