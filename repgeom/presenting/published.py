"""How the comparison of a published set with our own corruptions reads as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.screen import Screen
from repgeom.robustness.published_comparison import DIFFERS, EQUAL, NEARLY, SAME, UNDECIDED, WITHIN_1

if TYPE_CHECKING:
    import pandas as pd

    from repgeom.robustness.published_set import PublishedImages

MEANINGS = {
    EQUAL: "every value of every image",
    WITHIN_1: "no value is more than one grey level off",
    NEARLY: "99 % of the values are equal, and at least 50 dB",
    SAME: "within 0.5 grey levels, 5 % of the variance and 10 % of each octave's power, with intervals",
    UNDECIDED: "an interval crosses these limits; more images would tell (--most)",
    DIFFERS: "an interval lies beyond these limits, or pixels where nothing is drawn",
}
NOT_COMPARED = "not compared"


def comparison_of_set(found: PublishedImages, table: pd.DataFrame, screen: Screen) -> str:
    """The set, one line per corruption and severity, and how many came out how."""
    whole = len(found.source.labels)
    lines = screen.sentence(f"{found.layout.name}: {len(found):,} of {whole:,} images, theirs against ours")
    rows = list(table.itertuples())
    conclusions = [row.conclusion if row.conclusion in MEANINGS else NOT_COMPARED for row in rows]
    columns = [
        Column("corruption", [row.corruption for row in rows], left=True, fewest=8),
        Column("severity", [f"{row.severity}" for row in rows], goes=6),
        Column("conclusion", conclusions, left=True),
        Column("equal", [_pixels(row, f"{row.equal:.2%}") for row in rows], goes=3),
        Column("most off", [_pixels(row, f"{row.largest:g}") for row in rows], goes=0),
        _with_interval("mean", rows, "+.2f", goes=5),
        _with_interval("variance", rows, ".3f", goes=4),
        Column("power", _intervals("power", rows, ".3f"), left=True, goes=1),
        Column("at cycles", [row.band if _has_statistics(row) else "" for row in rows], goes=0),
    ]
    lines += ["", *(table_lines(columns, screen) or []), ""]
    for conclusion in (*MEANINGS, NOT_COMPARED):
        n = conclusions.count(conclusion)
        meaning = MEANINGS.get(conclusion, "frost needs the script's photographs (--frost-images)")
        if n:
            lines += screen.sentence(f"{conclusion}: {meaning}", first=f"{n:>3} ", further="    ")
    return "\n".join(lines)


def _pixels(row: Any, text: str) -> str:
    """A cell about pixels; empty where something is drawn, or all is equal."""
    if not np.isfinite(row.equal) or row.conclusion == EQUAL:
        return ""
    return text


def _has_statistics(row: Any) -> bool:
    """Whether a row's conclusion rests on statistics."""
    return row.conclusion in MEANINGS and not np.isfinite(row.equal) and isinstance(row.band, str)


def _with_interval(name: str, rows: list[Any], form: str, goes: int) -> Column:
    """The column of one statistic with its intervals, and without them where the line is narrow."""
    brief = [format(getattr(row, name), form) if _has_statistics(row) else "" for row in rows]
    return Column(name, _intervals(name, rows, form), left=True, goes=goes, brief=brief, shortens=2)


def _intervals(name: str, rows: list[Any], form: str) -> list[str]:
    """One statistic of each row, with its interval."""
    shown = []
    for row in rows:
        value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
        shown.append(f"{value:{form}} [{low:{form}}, {high:{form}}]" if _has_statistics(row) else "")
    return shown
