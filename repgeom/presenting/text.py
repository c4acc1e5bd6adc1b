"""How a person reads a number, an interval and a verdict: the words that text, page and Markdown share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.auditing.finding import Finding
from repgeom.auditing.purposes import PURPOSES
from repgeom.robustness.drift import MEASURES as DRIFT_MEASURES

THESE_ROWS = "in these rows"
_SPELLED = {"knn": "kNN", "cka": "CKA", "l2": "L2", "sigma": "(σ)"}  # words of names, as labels have them

if TYPE_CHECKING:
    from repgeom.auditing.report import Report
    from repgeom.auditing.values import Value
    from repgeom.inference.compare import Comparison
    from repgeom.inference.estimate import Estimate


def number(value: float | None) -> str:
    """A number as a person reads it: four figures, no exponent where it can be helped."""
    if value is None:
        return "–"
    if math.isinf(value) or math.isnan(value):
        return {"inf": "∞", "-inf": "−∞"}.get(str(value), "–")
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.2e}".replace("-", "−")
    # Four figures: from 1 to 10 one stands before the point, so three behind it.
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if abs(value) < 1000 else 0
    return f"{value:,.{min(digits, 5)}f}".replace("-", "−")


def quoted(v: Value | None) -> str:
    """A measure's value with what is known of it; empty where a report has no such measure."""
    if v is None:
        return ""
    if v.estimate is None:
        return number(v.value)
    return estimated(v.estimate)


def without_interval(v: Value | None) -> str:
    """The same value alone; "≈" says that it is a guess."""
    if v is None or v.value is None or v.estimate is None or v.low is not None:
        return "" if v is None else number(v.value)
    return f"≈ {number(v.value)}"


def estimated(x: Estimate) -> str:
    """The population's value with its interval, or "≈" where none is known."""
    if x.low is None or x.high is None:
        return f"≈ {number(x.value)}"
    return f"{number(x.value)} [{number(x.low)}, {number(x.high)}]"


def compared(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """Every report against the first in effective rank: its name, and the difference in words."""
    found = []
    for r in reports[1:]:
        c = r.compare(reports[0])
        if c is not None:
            found.append((r.name, _difference(c)))
    return found


def _difference(c: Comparison) -> str:
    values = f"{number(c.second.value)} against {number(c.first.value)}"
    if c.low is None or c.high is None or c.p_value is None:
        why = next((w for w in c.warnings if "no interval: " in w), "no interval")
        return f"{values}; {why}"
    how = "row i of both taken for one sample" if c.paired else "not paired"
    p = f"p = {c.p_value:.2g}" if c.p_value >= 1e-4 else "p < 0.0001"
    difference = f"{number(c.difference)} [{number(c.low)}, {number(c.high)}]"
    return f"{values}, difference {difference}, {p} ({how})"


def interval(limits: tuple[float, float]) -> str:
    return f"{number(limits[0])} to {number(limits[1])}"


def rows_of(reports: Sequence[Report]) -> list[tuple[Value, list[Value | None]]]:
    """The measures that any report has, each with its value in every report."""
    first: dict[str, Value] = {}
    for r in reports:
        for v in r.values:
            first.setdefault(v.name, v)
    return [(v, [next((w for w in r.values if w.name == name), None) for r in reports]) for name, v in first.items()]


def convention(r: Report) -> str:
    """What was done to the rows, in words."""
    words = []
    # Reports of before know no standardising.
    if r.convention.get("standardized"):
        words.append("columns standardized")
    if r.convention["normalize"]:
        words.append("rows scaled to unit length")
    return ", then ".join([*words, "centred"])


def verdict(r: Report) -> str:
    """The level, with the purpose it speaks of."""
    others = ", ".join(purpose for purpose in PURPOSES if purpose != r.purpose)
    return f"{r.level.upper()} for {r.purpose}; other purposes are {others}."


def threshold(f: Finding) -> str:
    limit = f.fail if f.level == "fail" else f.warn
    return f"{f.name} {f.worse} {limit:g} ({f.source})"


def drift_label(name: str) -> str:
    """A measure of drift as tables call it, spelled as in the table of measures."""
    return " ".join(_SPELLED.get(word, word) for word in name.split("_"))


def drift_rows(r: Report) -> list[tuple[str, str, str, str]]:
    """Label, value, interval and meaning of each measure of what corruption did; empty where nothing was compared."""
    if r.drift is None:
        return []
    columns = (r.drift[c] for c in ("measure", "value", "low", "high", "note"))
    return [
        (
            drift_label(name),
            number(value),
            "–" if math.isnan(low) else interval((low, high)),
            note or DRIFT_MEASURES.get(name, ""),
        )
        for name, value, low, high, note in zip(*columns, strict=True)
    ]
