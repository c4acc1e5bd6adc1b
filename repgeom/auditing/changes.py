"""What changed in one measure between two reports."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from repgeom.auditing.report import Report
from repgeom.auditing.values import Value
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.settings import own_settings
from repgeom.inference.compare import compared
from repgeom.inference.differences import Difference, difference_of
from repgeom.inference.estimate import Estimate
from repgeom.measures.measure import LABELS, REFERENCE, named

CORRUPTED = "corrupted."  # before the name of a measure of drift
# What these read depends on how many rows neighbours are sought among, and on how many neighbours.
_OF_NEIGHBOURS = ("knn_accuracy", "mutual_knn")
_NOTHING = (None, None, None)


@own_settings
@dataclasses.dataclass(frozen=True)
class Change(ShownInNotebook):
    """One measure of two reports.

    Attributes:
        name, label, unit: as in the measure's record; measures of drift begin with "corrupted.".
        better: "higher" or "lower" where one is healthier; "" where neither is.
        old, old_low, old_high: the earlier value with its 95 % interval; None where there is none.
        new, new_low, new_high: the later one.
        difference: new minus old; None where they cannot be compared.
        low, high: its 95 % interval; None where none is known.
        p_value: of no difference, two-sided; None with the interval.
        degrees: degrees of freedom of the difference's error.
        ratio, ratio_low, ratio_high: new over old, where both are positive.
        paired: whether rows were compared one by one.
        note: why there is no difference or no interval.
    """

    name: str
    label: str
    unit: str
    better: str
    old: float | None
    old_low: float | None
    old_high: float | None
    new: float | None
    new_low: float | None
    new_high: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    degrees: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    paired: bool = False
    note: str = ""


def changes_of(old: Report, new: Report, by_rows: bool) -> tuple[Change, ...]:
    """One change for each measure of either report, in the order of the new one; then those of drift."""
    before, after = ({v.name: v for v in r.values} for r in (old, new))
    names = [*after, *(name for name in before if name not in after)]
    changes = [_change(name, before.get(name), after.get(name), old, new, by_rows) for name in names]
    return (*changes, *_drift_changes(old, new))


def _change(name: str, before: Value | None, after: Value | None, old: Report, new: Report, by_rows: bool) -> Change:
    shown = after or before
    assert shown is not None
    record = named(name)
    better = "" if record is None else record.better
    change = Change(name, shown.label.strip(), shown.unit, better, *_numbers(before), *_numbers(after))
    reason = _missing(before, "old") or _missing(after, "new") or _not_comparable(shown, old, new)
    if reason:
        return dataclasses.replace(change, note=reason)
    assert before is not None
    assert after is not None
    if by_rows and name in old.contributions and name in new.contributions:
        return _by_rows(change, old, new)
    if before.estimate is None or after.estimate is None:
        assert before.value is not None
        assert after.value is not None
        found = difference_of(_alone(before.value), _alone(after.value))
    else:
        found = difference_of(before.estimate, after.estimate)
    note = ""
    if found.low is None:
        note = _no_interval(before, "old") or _no_interval(after, "new")
    return _with(change, found, note)


def _by_rows(change: Change, old: Report, new: Report) -> Change:
    """Compare what each row adds to the measure."""
    name = change.name
    c = compared(old.contributions[name], new.contributions[name], name, True, 0.95, ("old", "new"))
    found = Difference(
        c.difference, c.low, c.high, c.p_value, c.degrees, c.ratio, c.ratio_low, c.ratio_high
    )  # fmt: skip
    note = ""
    if c.low is None:
        note = next((w for w in reversed(c.warnings) if "no interval" in w), "no interval")
    return dataclasses.replace(_with(change, found, note), paired=True)


def _with(change: Change, found: Difference, note: str) -> Change:
    return dataclasses.replace(change, **dataclasses.asdict(found), note=note)


def _numbers(v: Value | None) -> tuple[float | None, float | None, float | None]:
    if v is None:
        return None, None, None
    return v.value, v.low, v.high


def _alone(value: float) -> Estimate:
    """A number of these rows of which no error is known."""
    return Estimate(value, value, None, None, None, 0, "these rows")


# Reasons --------------------------------------------------------------------------------------------------------------


def _missing(v: Value | None, which: str) -> str:
    """Say why there is no number; '' where there is one."""
    if v is None:
        return f"not in the {which} report"
    if v.value is None or not math.isfinite(v.value):
        return f"no number in the {which} report{': ' + v.note if v.note else ''}"
    return ""


def _no_interval(v: Value, which: str) -> str:
    """Say why no error of a value is known; '' where it is."""
    if v.estimate is None or v.estimate.low is None:
        return f"{which}: {v.note or 'no interval'}"
    if v.estimate.se is None or v.estimate.degrees is None:
        return f"{which}: no interval: written by a version that stored no degrees of freedom; audit again"
    return ""


def _not_comparable(v: Value, old: Report, new: Report) -> str:
    """Say why two values of a measure are not of one thing; '' where they are."""
    if v.name in _OF_NEIGHBOURS:
        asked = [(r.convention["neighbours"], r.convention["pair_rows"]) for r in (old, new)]
        if asked[0] != asked[1]:
            return (
                f"not compared: {asked[0][0]} neighbours among {asked[0][1]:,} rows before, {asked[1][0]} among "
                f"{asked[1][1]:,} now"
            )
    if v.group == LABELS and old.classes is not None and new.classes is not None:
        labels = [sorted(map(str, r.classes.labels)) for r in (old, new) if r.classes is not None]
        if labels[0] != labels[1]:
            return f"not compared: other classes ({len(labels[0]):,} before, {len(labels[1]):,} now)"
    if v.group == REFERENCE and not _same_reference(old, new):
        names = [r.reference.name if r.reference is not None else "none" for r in (old, new)]
        return f"not compared: against another reference ({names[0]} before, {names[1]} now)"
    return ""


def _same_reference(old: Report, new: Report) -> bool:
    """Whether both references carry one name, or one spectrum, as a moved file does."""
    if old.reference is None or new.reference is None:
        return False
    if old.reference.name == new.reference.name != "reference":
        return True
    spectra = [r.reference.spectrum for r in (old, new) if r.reference is not None]
    values = [np.asarray(s.singular_values) for s in spectra]
    return values[0].shape == values[1].shape and bool(np.allclose(values[0], values[1], rtol=1e-6, atol=0))


# Drift ----------------------------------------------------------------------------------------------------------------


def _drift_changes(old: Report, new: Report) -> list[Change]:
    """What corruption does, before and now. Reports keep no standard errors of it."""
    before, after = _drift_rows(old), _drift_rows(new)
    changes = []
    for name in dict.fromkeys((*after, *before)):
        numbers = (*before.get(name, _NOTHING), *after.get(name, _NOTHING))
        change = Change(CORRUPTED + name, name.replace("_", " "), "", "", *numbers)
        if change.old is None or change.new is None:
            changes.append(dataclasses.replace(change, note="not in both reports"))
            continue
        found = difference_of(_alone(change.old), _alone(change.new))
        changes.append(_with(change, found, "no interval: a report keeps no standard error of drift"))
    return changes


def _drift_rows(r: Report) -> dict[str, tuple[float | None, float | None, float | None]]:
    if r.drift is None:
        return {}
    columns = (r.drift[key] for key in ("measure", "value", "low", "high"))
    return {name: (_known(value), _known(low), _known(high)) for name, value, low, high in zip(*columns, strict=True)}


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
