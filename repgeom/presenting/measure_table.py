"""The table of a report's measures, or of several reports side by side, for a line of any width.

Where a line is too narrow, columns go in this order: formulas, ranges, what isotropic rows read, what these rows read. Then
intervals are left out, and then reports stand in blocks below each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.presenting.cells import told_apart
from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.main_measures import MAIN, left_out
from repgeom.presenting.screen import Screen
from repgeom.presenting.text import THESE_ROWS, interval, number, quoted, rows_of, without_interval

if TYPE_CHECKING:
    from repgeom.auditing.report import Report
    from repgeom.auditing.values import Value

_FORMULA, _RANGE, _ISOTROPIC, _THESE_ROWS, _INTERVALS = range(5)  # what goes first
_WIDEST_NAMES = (22, 16, 12, 8)  # cells of a report's name above its values: as many of these as there is room for
_INDENT = 2

Measured = list[tuple["Value", list["Value | None"]]]  # a measure, and what it is in each report


@dataclasses.dataclass(frozen=True)
class _Row:
    """A line of the table: one measure, in each report."""

    group: str
    label: str
    values: list[str]
    brief: list[str]  # the same without intervals
    these_rows: str = ""
    isotropic: str = ""
    limits: str = ""
    formula: str = ""


def measure_lines(reports: Sequence[Report], screen: Screen, every: bool) -> list[str]:
    """The table in as many blocks as all reports need, and under it what holds of several measures.

    Args:
        reports: at least one.
        screen: whose width holds.
        every: all measures, else those that a screen has room for.
    """
    measured = rows_of(reports)
    wanted = [one for one in measured if every or one[0].name in MAIN]
    if not wanted:
        return []
    if len(reports) == 1:
        lines = _one_report([_row_of_one(v, found[0]) for v, found in wanted], screen)
    else:
        # Baselines and ranges depend on the size, so one column of them serves reports of one size only.
        same_size = len({(r.n_samples, r.n_features) for r in reports}) == 1
        rows = [row for v, found in wanted for row in _rows_of_many(v, found, same_size, every)]
        lines = _side_by_side([r.name for r in reports], rows, screen)
    return [*lines, *_below(wanted, len(measured), screen, every)]


def _below(wanted: Measured, n_measured: int, screen: Screen, every: bool) -> list[str]:
    """What stands under the table: why values are missing, why intervals are, and how to see what was left out."""
    lines = []
    for note, labels in _notes(wanted, every).items():
        lines += screen.sentence(f"{', '.join(labels)}: {note}", first="  ", further="    ")
    if lines:
        lines = ["", *lines]
    if not every:
        lines += screen.sentence(left_out(len(wanted), n_measured), first="  ", further="    ")
    return lines


def _row_of_one(v: Value, found: Value | None) -> _Row:
    these_rows = number(v.in_these_rows) if v.estimate is not None else ""
    values, brief = [quoted(found)], [without_interval(found)]
    return _Row(v.group, v.label, values, brief, these_rows, number(v.baseline), interval(v.range), v.formula)


def _rows_of_many(v: Value, found: list[Value | None], same_size: bool, every: bool) -> list[_Row]:
    """The value of each report, and on a line of its own what its rows read, where that is another number."""
    row = _Row(v.group, v.label, [quoted(w) for w in found], [without_interval(w) for w in found], formula=v.formula)
    if not every:
        return [row]
    isotropic, limits = "varies", "varies"
    if same_size:
        isotropic, limits = number(v.baseline), interval(v.range)
    if not any(w is not None and w.estimate is not None for w in found):
        return [dataclasses.replace(row, isotropic=isotropic, limits=limits)]
    of_rows = ["" if w is None else number(w.in_these_rows) for w in found]
    return [row, _Row(v.group, f"  {THESE_ROWS}", of_rows, of_rows, isotropic=isotropic, limits=limits)]


def _one_report(rows: list[_Row], screen: Screen) -> list[str]:
    lines = table_lines(
        [
            _labels(rows, screen),
            _values("value", rows, 0, screen),
            _column(THESE_ROWS, [row.these_rows for row in rows], _THESE_ROWS, screen),
            *_beside(rows, screen),
        ],
        screen,
        indent=_INDENT,
        groups=[row.group for row in rows],
    )
    assert lines is not None  # a label and a number fit the narrowest screen
    return lines


def _side_by_side(names: list[str], rows: list[_Row], screen: Screen) -> list[str]:
    """All reports beside each other, or as many as fit in blocks below each other."""
    shown = [screen.shown(name) for name in names]
    for n_blocks in range(1, len(names) + 1):
        size = -(-len(names) // n_blocks)
        places = [range(len(names))[at : at + size] for at in range(0, len(names), size)]
        for widest in _WIDEST_NAMES:
            heads = told_apart(shown, widest, screen.mark)
            blocks = [_block(place, heads, rows, screen) for place in places]
            if all(blocks):
                return [line for block in blocks for line in ["", *block]][1:]
    raise AssertionError("a label and a number fit the narrowest screen")


def _block(place: range, heads: list[str], rows: list[_Row], screen: Screen) -> list[str]:
    """The reports at these places beside each other; no line where they do not fit."""
    values = [_values(heads[i], rows, i, screen) for i in place]
    columns = [_labels(rows, screen), *values, *_beside(rows, screen)]
    return table_lines(columns, screen, indent=_INDENT, groups=[row.group for row in rows]) or []


def _labels(rows: list[_Row], screen: Screen) -> Column:
    return Column("", [screen.shown(row.label) for row in rows], left=True, fewest=22)


def _values(head: str, rows: list[_Row], i: int, screen: Screen) -> Column:
    values = [screen.shown(row.values[i]) for row in rows]
    return Column(head, values, shortens=_INTERVALS, brief=[screen.shown(row.brief[i]) for row in rows])


def _beside(rows: list[_Row], screen: Screen) -> list[Column]:
    columns = [
        _column("isotropic", [row.isotropic for row in rows], _ISOTROPIC, screen),
        _column("range", [row.limits for row in rows], _RANGE, screen),
        _column("formula", [row.formula for row in rows], _FORMULA, screen, left=True),
    ]
    return [column for column in columns if any(column.cells)]


def _column(head: str, texts: list[str], goes: int, screen: Screen, *, left: bool = False) -> Column:
    return Column(head, [screen.shown(text) for text in texts], left=left, goes=goes)


def _notes(wanted: Measured, every: bool) -> dict[str, list[str]]:
    """Each reason once, with the measures that it holds for. Of values that are there, only where all is said."""
    found: dict[str, list[str]] = {}
    for v, values in wanted:
        for note in dict.fromkeys(w.note for w in values if w is not None and (every or w.value is None)):
            if note:
                found.setdefault(note, []).append(v.label.strip())
    return found
