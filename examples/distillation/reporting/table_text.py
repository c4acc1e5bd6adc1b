"""Numbers and tables as text: for a terminal, for Markdown and for the page."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from repgeom.terminal import Column, Screen, table_lines

from ..claims.comparison import is_absent
from ..claims.published import CLIP
from ..claims.verdicts import Entry, Row

if TYPE_CHECKING:
    import pandas as pd

N_NAMES = 2  # columns that say which model it is
NOTHING = "–"
COUNTS = ("seeds", "parameters")


def number(value: float) -> str:
    """A number with four figures, without an exponent where it lies between 0.0001 and a million."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "–")
    size = abs(value)
    if value == int(value) and size < 1e6:
        text = f"{int(value):,}"
    elif size >= 1e6 or size < 1e-4:
        text = f"{value:.2e}"
    else:
        n_decimals = 0
        if size < 1000:
            n_decimals = min(5, max(0, 3 - math.floor(math.log10(size))))
        text = f"{value:,.{n_decimals}f}"
    return text.replace("-", "−")


def value_of(row: Row) -> str:
    """The value of a test with its interval, or the reason why it has none."""
    if row.summary is None:
        return row.reason
    s = row.summary
    text = number(s.value)
    if s.low is not None and s.high is not None:
        text += f" [{number(s.low)}, {number(s.high)}]"
    beside = [words for words in (row.reason, row.outlook) if words]
    if beside:
        text += f" ({'; '.join(beside)})"
    return text


def named_tests(entry: Entry) -> list[tuple[str, Row]]:
    """An entry's tests with what they are called: what must hold first, and which decide nothing."""
    found = [(f"given: {row.test.text}", row) for row in entry.preconditions]
    for row in entry.rows:
        name = row.test.text
        if row.test.beside:
            name = f"beside: {name}"
        found.append((name, row))
    return found


def shown(table: pd.DataFrame) -> list[list[str]]:
    """Header and rows as text: an interval stands behind its value, an empty column is left out."""
    names = [c for c in table.columns if not c.endswith((" low", " high"))]
    if "note" in names and not (table["note"] != "").any():
        names.remove("note")
    rows = [[_entry(row, name) for name in names] for row in table.to_dict("records")]
    return [names, *rows]


def by_setting(table: pd.DataFrame) -> list[tuple[str, list[list[str]]]]:
    """A table of objectives in parts, one for each setting by its name, as `shown`."""
    if not len(table):
        return []
    spelled = table.assign(objective=table["objective"].map(spelled_out))
    return [(str(name), shown(part.drop(columns="setting"))) for name, part in spelled.groupby("setting", sort=False)]


def spelled_out(objective: str) -> str:
    """An objective's name with spaces, at which a line can end: "cosine@epochs=20" is "cosine, epochs 20"."""
    return objective.replace("@", ", ").replace("=", " ")


def _entry(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    # In a column that also holds numbers pandas turns None into NaN.
    if value is None or math.isnan(value):
        return NOTHING
    if name in COUNTS:
        return f"{int(value):,}"
    low, high = row.get(f"{name} low"), row.get(f"{name} high")
    if low is None or high is None or math.isnan(low):
        return _fixed(value, 1 if abs(value) >= 10 else 3)
    half = (high - low) / 2
    # As many decimals as show two figures of how sure the number is.
    n_decimals = 3
    if half > 0:
        n_decimals = min(3, max(1, 1 - math.floor(math.log10(half))))
    return f"{_fixed(value, n_decimals)} ±{_fixed(half, n_decimals)}"


def published_rows(table: pd.DataFrame, setting: str) -> list[list[str]]:
    """The published numbers beside one setting's, as text: ours by the paper's definition, by the sound one, and its interval.

    Models that the setting does not hold are left out: `models_without` names them.
    """
    names = ["quantity", "model", "published in", "published", "ours as published", "ours", "95 % interval"]
    rows = table[table["setting"] == setting].to_dict("records")
    return [names, *(_published_row(row) for row in rows if not is_absent(row["note"]))]


def models_without(table: pd.DataFrame, setting: str) -> str:
    """Of which models a number is published and the setting holds none, as a sentence; "" where it holds all."""
    rows = table[table["setting"] == setting].to_dict("records")
    absent = list(dict.fromkeys(row["model"] for row in rows if is_absent(row["note"])))
    if not absent:
        return ""
    return f"Published too, and not part of this run: {'; '.join(absent)}."


def _published_row(row: dict[str, Any]) -> list[str]:
    quantity = row["quantity"]
    show: Callable[[float], str] = number
    if quantity.startswith("probe accuracy"):
        quantity, show = f"{quantity}, %", _percent
    values = {name: _shown_or_dash(row[name], show) for name in ("published", "ours as published", "ours")}
    for name in ("published", "ours as published"):
        scatter = _shown_or_dash(row[f"{name} ±"], show)
        if scatter != NOTHING:
            values[name] += f" ±{scatter}"
    ends = [row["ours low"], row["ours high"]]
    if show is _percent:
        # An interval of a share holds as often without what lies beyond 0 and 1.
        ends = [end if end is None else min(max(end, 0.0), 1.0) for end in ends]
    low, high = (_shown_or_dash(end, show) for end in ends)
    interval = row["note"] or NOTHING
    if NOTHING not in (low, high):
        interval = f"{low} to {high}"
    values["published"] = f"{row['sign']} {values['published']}".strip()
    place = row["published in"]
    if row["published of"] != CLIP:
        place += f", {row['published of']}"
    return [quantity, row["model"], place, *values.values(), interval]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".replace("-", "−")


def _shown_or_dash(value: float | None, show: Callable[[float], str]) -> str:
    # In a column that also holds numbers pandas turns None into NaN.
    if value is None or math.isnan(value):
        return NOTHING
    return show(value)


def _fixed(value: float, n_decimals: int) -> str:
    return f"{value:.{n_decimals}f}".replace("-", "−")


def aligned(rows: list[list[str]], screen: Screen, n_names: int = N_NAMES) -> str:
    """Rows of text in columns that fit a line, the first row above them. The first `n_names` columns are names.

    Where a line is too narrow, notes go first, then how sure a number is, then columns from the right.
    """
    head, *body = rows
    measures = [name for name in head[n_names:] if name not in (*COUNTS, "note")]
    columns = []
    for i, name in enumerate(head):
        cells = [screen.shown(row[i]) for row in body]
        if i < n_names:
            columns.append(Column(name, cells, left=True, fewest=8))
        elif name == "note":
            columns.append(Column(name, cells, left=True, goes=0))
        else:
            # "11.5 ±0.2" without the second. Counts go first, then columns from the right; the first measure stays.
            brief = [cell.split(" ")[0] for cell in cells]
            turn: int | None = 2 + len(head) - i
            if name in COUNTS:
                turn = 2
            elif name == measures[0]:
                turn = None
            columns.append(Column(screen.shown(name), cells, brief=brief, shortens=1, goes=turn))
    # A few names and one number fit any terminal.
    return "\n".join(table_lines(columns, screen) or [])


def escaped(text: str) -> str:
    """Text on one line that stays within its place in a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def piped(rows: list[list[str]]) -> str:
    """Rows of text as a Markdown table."""
    lines = ["| " + " | ".join(escaped(text) for text in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
