"""Rows of whole processes: the command line on files, streams and shards, and its start."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import files
from benchmarks.page import ERROR_BAR, HERE, Row, error

INCREMENTAL_ROWS, QUICK_INCREMENTAL_ROWS = 100_000, 4_000


def child(*args: str) -> Any:
    return files.child(sys.executable, "-m", "benchmarks.speed", *args)


def rivals_child(rivals: str, *args: str) -> Any:
    return files.child(rivals, str(HERE / "rivals.py"), *args)


def truth(file: Path) -> Row:
    return json.loads(file.with_suffix(".json").read_text())


# Each function gives the rows of one problem; `own` leaves out the rivals.


def checked(row: Row, file: Path) -> Row:
    row = row | {"error": error(row["value"], truth(file)["effective_rank"])}
    if not row["error"] <= ERROR_BAR:
        raise SystemExit(f"repgeom audit of {file.name} is off by {row['error']:.1e}, and may be by {ERROR_BAR}.")
    return row


def floor_row(file: Path, start: files.Run) -> Row:
    """The floor of a process on this file, which must import torch besides."""
    found = child("floor", str(file))
    found["parts"]["import torch"] = start.seconds
    return {"seconds": sum(found["parts"].values()), **found}


def process_rows(args: argparse.Namespace, folder: Path, own: bool) -> dict[str, Row]:
    file = folder / "gentle.npy"
    found = files.starts(file, args.runs)
    rows = {"repgeom audit": checked(files.audited(file, found["audit"]), file)}
    if args.rivals and not own and not args.quick:
        row = files.spectralyte_audit(file, args.rivals)
        rows["spectralyte audit, once"] = row | {"error": error(row["value"], truth(file)["participation_ratio"])}
    return rows | {"floor": floor_row(file, found["import torch"])}


def stream_rows(args: argparse.Namespace, folder: Path, own: bool) -> dict[str, Row]:
    file, shards = folder / "large.npy", folder / "shards"
    rows = {
        "repgeom audit, one file": files.audit_once(file),
        "repgeom audit, 8 shards": files.audit_once(shards),
        "repgeom audit, 8 shards, torchrun with 2 processes": files.audit_once(shards, processes=2),
    }
    rows = {name: checked(row, file) for name, row in rows.items()}
    if not own:
        count = QUICK_INCREMENTAL_ROWS if args.quick else INCREMENTAL_ROWS
        name = f"scikit-learn IncrementalPCA, from its time on {count:,} rows"
        rows[name] = child("incremental", str(file), str(count))
    return rows | {"floor": floor_row(file, files.median(files.IMPORT_TORCH, 1))}


def start_rows(args: argparse.Namespace, folder: Path, own: bool) -> dict[str, Row]:
    file = folder / "small.npy"
    found = files.starts(file, args.runs)
    rows = {"repgeom audit": checked(files.audited(file, found["audit"]), file)}
    start = found["import torch"]
    name = 'floor: python -c "import torch"'
    return rows | {"floor": {"seconds": start.seconds, "memory": start.memory, "name": name}}


Measure = Callable[[argparse.Namespace, Path, bool], dict[str, Row]]


def processes(sizes: dict[str, Any]) -> dict[str, Measure]:
    gentle, large, small = ("{:,} x {:,}".format(*sizes[name][:2]) for name in ("gentle", "large", "small"))
    return {
        f"whole process, {gentle}": process_rows,
        f"whole process, once, {large}": stream_rows,
        f"start, {small}": start_rows,
    }
