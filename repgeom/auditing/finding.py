"""What one rule found, and how bad that is."""

from __future__ import annotations

import dataclasses

from repgeom.data.notebook import ShownInNotebook
from repgeom.data.settings import own_settings

LEVELS = ("ok", "warn", "fail")  # from best to worst


@own_settings
@dataclasses.dataclass(frozen=True)
class Numbered:
    """Rows or columns by their numbers: the first ten, and how many there are."""

    first: tuple[int, ...] = ()
    count: int = 0


NONE = Numbered()


@own_settings
@dataclasses.dataclass(frozen=True)
class Finding(ShownInNotebook):
    """What one rule found.

    Attributes:
        name: the rule's name, which `thresholds` takes.
        level: "ok", "warn" or "fail".
        value: the number it read.
        low, high: its 95 % interval, where one is known; a threshold is crossed where all of it lies beyond.
        warn, fail: its thresholds; `worse` says on which side of them trouble lies ("below" or "above").
        reason: one sentence with the number in it.
        causes: what usually lies behind it.
        advice: what to try next.
        source: where the thresholds come from.
        rows, columns: the first ten that it speaks of, numbered from 0 as in the input, also where rows were dropped.
        n_rows, n_columns: how many there are.
        row_places: of rows that lie in several files, the file of each of `rows` and its number there.
    """

    name: str
    level: str
    value: float
    low: float | None
    high: float | None
    warn: float | None
    fail: float | None
    worse: str
    reason: str
    causes: str
    advice: str
    source: str
    rows: tuple[int, ...] = ()
    n_rows: int = 0
    row_places: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()
    n_columns: int = 0


def numbers_named(f: Finding) -> dict[str, str]:
    """The rows and columns of a finding in words, by "rows" and "columns"; neither where it speaks of none."""
    rows = [f"{number:,}" for number in f.rows]
    if f.row_places:
        rows = [f"{row} ({place})" for row, place in zip(rows, f.row_places, strict=True)]
    columns = [f"{number:,}" for number in f.columns]
    named = {"rows": _with_rest(rows, f.n_rows), "columns": _with_rest(columns, f.n_columns)}
    return {what: words for what, words in named.items() if words}


def _with_rest(words: list[str], count: int) -> str:
    text = ", ".join(words)
    if words and count > len(words):
        text += f" and {count - len(words):,} more"
    return text


def worst(findings: tuple[Finding, ...]) -> str:
    """The worst level among these; "ok" where there are none."""
    return max((f.level for f in findings), key=LEVELS.index, default="ok")
