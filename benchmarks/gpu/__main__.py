"""Measures what a GPU makes of this package, row by row in order of importance, within a budget of seconds.

Results are written after every row. A row that fails, runs out of memory or hangs is noted, and the next one begun.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu import page
from benchmarks.gpu.checkout import environment
from benchmarks.gpu.rows import ROWS, Row
from benchmarks.gpu.working import Worker
from benchmarks.page import commit, processor, versions
from repgeom.data.saving import write_whole

HERE = Path(__file__).parent.parent
RESULTS, PAGE = HERE / "gpu.json", HERE / "gpu.md"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    add = found.add_argument
    add(
        "--budget",
        type=float,
        default=420.0,
        metavar="SECONDS",
        help="rows that no longer fit are left out (default 420)",
    )
    add(
        "--only",
        metavar="NAME[,NAME]",
        help=f"these rows alone, in this order, of {', '.join(row.name for row in ROWS)}",
    )
    add(
        "--out",
        type=Path,
        default=RESULTS,
        metavar="FILE",
        help="rows in it that are not measured now stay (default benchmarks/gpu.json)",
    )
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the command")
    add("--tiny", action="store_true", help="small sizes, which try the command and measure nothing")
    add(
        "--commit",
        default=commit(),
        metavar="NAME",
        help="which commit this is, where the checkout has no clone to ask",
    )
    add("--page", action="store_true", help="write benchmarks/gpu.md from benchmarks/gpu.json, and measure nothing")
    return found  # fmt: skip


def chosen(only: str | None) -> list[Row]:
    """The rows asked for. Raises SystemExit for a name that is none."""
    if only is None:
        return list(ROWS)
    names = [name.strip() for name in only.split(",")]
    unknown = sorted(set(names) - {row.name for row in ROWS})
    if unknown:
        raise SystemExit(f"--only: there is no row {unknown[0]}; there are {', '.join(row.name for row in ROWS)}.")
    return sorted((row for row in ROWS if row.name in names), key=lambda row: names.index(row.name))


def measured(rows: list[Row], arguments: argparse.Namespace) -> dict[str, Any]:
    """All rows, with those that the results file had before."""
    ends = time.monotonic() + arguments.budget
    results: dict[str, Any] = {}
    if arguments.out.is_file():
        results = json.loads(arguments.out.read_text())
    kept = results.setdefault("rows", {})
    with environment() as variables, Worker(arguments.device, arguments.tiny, variables) as worker:
        for row in rows:
            left = ends - time.monotonic()
            if left < min(row.usual, row.limit) and not arguments.tiny:
                # What an earlier run measured is not lost because this one had no time for it.
                kept.setdefault(row.name, {"ended": "left out", "why": f"{left:.0f} s of the budget were left"})
            else:
                began = time.monotonic()
                found = worker.measure(row, min(row.limit, max(left, 1.0)))
                found["took"] = round(time.monotonic() - began, 1)
                kept[row.name] = found | about(worker, arguments.commit)
            show(row.name, kept[row.name])
            write(arguments.out, results)
    return results


def about(worker: Worker, name: str) -> dict[str, Any]:
    """When, where and of what a row was measured: rows of one file may come from several runs."""
    return {
        "date": str(datetime.date.today()), "commit": name, "card": worker.about.get("card", "none"),
        "processor": processor(), "about": worker.about, "versions": versions(),
    }  # fmt: skip


def write(path: Path, results: dict[str, Any]) -> None:
    """Whole or not at all: the process may be stopped at any time."""
    write_whole(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def show(name: str, row: dict[str, Any]) -> None:
    """A row on standard output."""
    print(f"\n== {name}: {row['ended']} {row.get('took', '')} {row.get('why', '')}")
    for what, value in row.get("numbers", {}).items():
        if not isinstance(value, (dict, list)):
            print(f"   {what}: {page.shown(value)}")
    for bar in row.get("bars", []):
        print(f"   {page.sentence(bar)}")
    sys.stdout.flush()


def main() -> int:
    arguments = parser().parse_args()
    if arguments.page:
        write_whole(PAGE, page.page(json.loads(RESULTS.read_text())))
        return 0
    measured(chosen(arguments.only), arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
