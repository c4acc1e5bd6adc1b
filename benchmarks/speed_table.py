"""The speed page's text around its numbers, and the table."""

from __future__ import annotations

import argparse

from benchmarks.page import Row, markdown
from benchmarks.stored import Tables

INTRODUCTION = """\
# Speed

    {command}

The **floor** is what the arithmetic must cost on this machine: a plain torch product of the features with themselves
(n·d² multiply-adds in the features' own precision; n²·d where n < d), one float64 `eigvalsh` of the smaller side, and one
pass over the bytes: `x.sum()` for an array, reading for a file (which lies in the page cache). A whole process must import
torch besides. The parts are timed in the same run, in turns with the rows beside them; those of a whole process right
after it, the product from 50,000 of its rows. NumPy's XᵀX goes below the floor because it uses the product's symmetry.

Seconds are medians of up to {runs} calls after a warm-up, taken in turns (a row stops after 6 s of calls), from raw
features to the number: centring is part of every row that says so, and of all of ours. The other tools run in an
environment of their own, not in turns. "Ratio to ours" is to the first row of ours of the same problem; above 1 is slower.
Errors are relative, against a float64 QR and SVD of the same values (where that would take minutes: products in float64).
Answers are checked before anything is timed (those of whole processes: when they end), and a wrong one of ours ends the
run. Memory of a row is the growth of the peak resident size in a fresh process that holds the features already; of a
whole process, its peak (with torchrun, of its largest process). All features are float32 unless the problem says otherwise.

"""
NOTES = """
effdim is timed up to its effective rank, without the searches for neighbours that `compute_dim` goes on to. The other tools
report a participation ratio; their errors are against the true one (vecscope's: of unit rows, which is what it measures).
spectralyte keeps 500 directions of files with more than 10,000 rows. Lanczos gives an estimate with an interval of 95 %, shown
beside its error. Slow rivals are left out at 50,000 x 2,048, where they would take minutes and show the same.
"""
HEAD = ["problem", "what", "seconds", "ratio to ours", "ratio to floor", "relative error", "memory, MB", "threads"]


def introduction(args: argparse.Namespace) -> str:
    command = "python -m benchmarks" + " --quick" * args.quick + " --rivals PYTHON" * bool(args.rivals)
    return INTRODUCTION.format(command=f"{command} --runs {args.runs}", runs=args.runs)


def table(tables: Tables) -> str:
    lines = [
        line(problem, what, rows[what], rows) for problem, rows in tables.items() for what in sorted(rows, key=place)
    ]
    return markdown(HEAD, lines).replace("| --- | ---: |", "| --- | --- |", 1)


def place(what: str) -> int:
    """Ours first, then the floor, then the others as they were measured."""
    return 0 if what.startswith("repgeom") else 1 if what == "floor" else 2


def line(problem: str, what: str, row: Row, rows: dict[str, Row]) -> list[str]:
    ours = next((r for name, r in rows.items() if name.startswith("repgeom")), None)
    return [
        problem,
        row.get("name") or (floor_name(row) if what == "floor" else what),
        f"{row['seconds']:.3g}",
        ratio(row, ours),
        ratio(row, rows.get("floor")),
        error_text(row),
        f"{row['memory'] / 1e6:,.0f}" if "memory" in row else "-",
        row.get("threads", "-"),
    ]


def ratio(row: Row, to: Row | None) -> str:
    return "-" if to is None else f"{row['seconds'] / to['seconds']:.2f}"


def floor_name(row: Row) -> str:
    parts = " + ".join(f"{name} {seconds:.2g}" for name, seconds in row["parts"].items())
    return f"floor: {parts}" + (f" (product in {row['precision']})" if "precision" in row else "")


def error_text(row: Row) -> str:
    if "error" not in row:
        return "-"
    if "interval" not in row:
        return f"{row['error']:.0e}"
    low, high = row["interval"]
    outside = "" if row["held"] else ", which misses the truth"
    return f"{row['error']:.0e} (interval ± {(high - low) / 2 / row['value']:.0e}{outside})"
