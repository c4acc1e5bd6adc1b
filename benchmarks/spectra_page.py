"""The page of spectra and audits: all rows in one go. `python -m benchmarks spectra`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import files
from benchmarks.page import HERE, Bar, Row, say, setting
from benchmarks.page import bars as bars_text

FULL = {"features": (50_000, 768), "stack": (1_000, 256, 64), "large": (1_000_000, 768)}
QUICK = {"features": (8_000, 128), "stack": (50, 256, 64), "large": (40_000, 128)}
ERROR_BAR = 1e-6
# What the other tools call effective rank or dimension is the participation ratio, vecscope's of unit rows.
RIVALS = {
    "spectralyte": "participation_ratio",
    "vecscope": "participation_ratio_unit_rows",
    "scikit-dimension": "participation_ratio",
}
INTRODUCTION = """\
# Spectra and audits

    {command}

Times are medians of {runs} runs after a warm-up, taken in turns, from the raw features to the number: centring is part
of every row that centres. The other tools run in an environment of their own and not in turns. Errors are relative,
against a float64 QR and SVD of the same values (the large file: products in float64), and known before the timing
starts. Memory of a row is the growth of the peak resident size in a fresh process that holds the features already;
memory of a whole process is its peak. Features of a spectrum have a mean about three standard deviations from zero.

"""
NOTES = """
The other tools report a participation ratio where repgeom's default is the entropy form, so their errors are against
the true participation ratio (vecscope's against that of unit rows, which is what it measures). spectralyte keeps 500
directions of files with more than 10,000 rows.
"""

# Rows ----------------------------------------------------------------------------------------------------------------


def spectra(*args: str) -> Any:
    return files.child(sys.executable, "-m", "benchmarks.spectra", *args)


def rivals_child(rivals: str, *args: str) -> Any:
    return files.child(rivals, str(HERE / "rivals.py"), *args)


def error(value: Any, truth: Any) -> float:
    """Largest relative error."""
    if isinstance(value, list):
        return max(error(v, t) for v, t in zip(value, truth, strict=True))
    return abs(value - truth) / abs(truth)


def with_error(row: Row, truth: Row, measure: str) -> Row:
    return row if row.get("value") is None else row | {"error": error(row["value"], truth[measure])}


def array_rows(args: argparse.Namespace, file: Path, device: str) -> dict[str, Row]:
    """All candidates on one file of features, on the CPU with their memory; the other tools on one file only."""
    truth = json.loads(file.with_suffix(".json").read_text())
    timed = spectra("time", str(file), str(args.runs), device)
    rows = {name: with_error(row, truth, "effective_rank") for name, row in timed.items()}
    if device != "cpu":
        return rows
    for name, row in rows.items():
        # The others' memory depends on the shape alone.
        if name.startswith("repgeom") or (file.stem == "gentle" and not args.quick):
            row |= spectra("weigh", str(file), name)
    if args.rivals and file.stem == "gentle":
        installed = rivals_child(args.rivals, "about")
        for name in (name for name in RIVALS if name in installed):
            row = rivals_child(args.rivals, str(file), name, str(max(1, args.runs // 2)))
            rows[f"{name}, participation ratio"] = with_error(row, truth, RIVALS[name])
    return rows


def file_rows(file: Path, runs: int, rivals: str | None) -> dict[str, Row]:
    truth = json.loads(file.with_suffix(".json").read_text())
    measures = {"repgeom audit": "effective_rank", "spectralyte audit": "participation_ratio"}
    return {n: with_error(r, truth, measures[n]) for n, r in files.audits(file, rivals, runs).items()}


def large_rows(file: Path) -> dict[str, Row]:
    truth = json.loads(file.with_suffix(".json").read_text())
    return {"repgeom audit": with_error(files.large_audit(file), truth, "effective_rank")}


# Text ----------------------------------------------------------------------------------------------------------------


def table(title: str, rows: dict[str, Row], base: str) -> str:
    head = f"\n## {title}\n\n| what | seconds | ratio to {base} | relative error | memory, MB | threads |\n"
    return head + "|---|---:|---:|---:|---:|---:|\n" + "".join(line(n, r, rows[base]) for n, r in rows.items())


def line(name: str, row: Row, base: Row) -> str:
    wrong = name.startswith("repgeom") and row.get("error", 0) > ERROR_BAR
    error_text = (f"{row['error']:.0e}" if "error" in row else "-") + (" **above 1e-6**" if wrong else "")
    memory = f"{row['memory'] / 1e6:,.0f}" if "memory" in row else "-"
    ratio = row["seconds"] / base["seconds"]
    return f"| {name} | {row['seconds']:.3g} | {ratio:.2f} | {error_text} | {memory} | {row.get('threads', '-')} |\n"


def speed_bars(rows: dict[str, Row], kind: str, where: str) -> list[Bar]:
    """The three speed bars for one spectrum, for the measure alone and for the Spectrum that serves them all."""
    svd, svdvals = (rows[f"torch.linalg.{n}, centred"]["seconds"] for n in ("svd", "svdvals"))
    floor = next(row["seconds"] for name, row in rows.items() if "the floor" in name)
    bars = []
    for name in ("repgeom.effective_rank", "repgeom.spectrum"):
        own, what = rows[name]["seconds"], f"{name} of {where}, {kind}"
        bars += [
            Bar(f"{what}: at least 8x faster than torch.linalg.svd of the centred matrix", svd / own, 8, True),
            Bar(f"{what}: at least 3x faster than torch.linalg.svdvals of the centred matrix", svdvals / own, 3, True),
            Bar(f"{what}: at most 1.5x the time of XᵀX + eigvalsh", own / floor, 1.5, False),
        ]
    return bars


def file_bars(audits: dict[str, Row], large: dict[str, Row], sizes: dict[str, Any]) -> list[Bar]:
    n, d = sizes["large"]
    bars = []
    if "spectralyte audit" in audits:
        share = audits["repgeom audit"]["seconds"] / audits["spectralyte audit"]["seconds"]
        bars.append(Bar("A whole audit takes at most a fifth of spectralyte's time", share, 0.2, False))
    peak = large["repgeom audit"]["memory"] / 1e9
    return [*bars, Bar(f"An audit of {n:,} x {d} float32 stays within 1 GB", peak, 1.0, False, " GB")]


def error_bar(tables: Sequence[dict[str, Row]]) -> Bar:
    worst = max(r["error"] for rows in tables for n, r in rows.items() if n.startswith("repgeom") and "error" in r)
    return Bar("Every answer is within 1e-6 of the truth; the largest relative error", worst, ERROR_BAR, False, "")


# Everything ----------------------------------------------------------------------------------------------------------


def report(args: argparse.Namespace, folder: Path) -> str:
    sizes = QUICK if args.quick else FULL
    about = spectra("about")
    text = INTRODUCTION.format(command=command_line(args), runs=args.runs) + setting(
        about, rivals_child(args.rivals, "about") if args.rivals else None
    )
    say("making data")
    spectra("make", str(folder), json.dumps(sizes))
    if not args.rivals:
        text += "\nspectralyte, vecscope, scikit-dimension: not measured (no `--rivals`).\n"
    arrays, bars = array_tables(args, folder, sizes, "cpu")
    say("whole processes")
    audits = file_rows(folder / "gentle.npy", args.runs, args.rivals)
    large = large_rows(folder / "large.npy")
    start = files.starts(folder / "small.npy", args.runs)
    whole = {
        f"Whole process: audit of {shape(sizes['features'])}": audits,
        f"Whole process: audit of {shape(sizes['large'])}, once": large,
        "Start: audit of 1,000 x 64": start,
    }
    bars += [*file_bars(audits, large, sizes), error_bar([*arrays.values(), audits, large])]
    text += "".join(table(t, rows, next(iter(rows))) for t, rows in (arrays | whole).items()) + NOTES
    if about["gpu"]:
        say("GPU")
        on_gpu, gpu_bars = array_tables(args, folder, sizes, "cuda")
        text += "".join(table(t, rows, next(iter(rows))) for t, rows in on_gpu.items())
        bars += gpu_bars
    else:
        text += "\nGPU: no GPU at hand: not measured.\n"
    small = "These sizes are small: the bars do not apply to them.\n\n" if args.quick else ""
    return text + bars_text(bars, small)


def array_tables(
    args: argparse.Namespace, folder: Path, sizes: dict[str, Any], device: str
) -> tuple[dict[str, dict[str, Row]], list[Bar]]:
    tables, bars = {}, []
    where = {"cpu": "", "cuda": "GPU: "}[device]
    for name, kind in (("gentle", "σ_i ∝ i^-0.5"), ("steep", "σ_i ∝ i^-1")):
        say(f"{device}: {name} spectrum")
        rows = array_rows(args, folder / f"{name}.npy", device)
        title = f"{where}{shape(sizes['features'])}"
        tables[f"{title}, {kind}"] = rows
        bars += speed_bars(rows, kind, title)
    say(f"{device}: stack")
    n, *each = sizes["stack"]
    rows = array_rows(args, folder / "stack.npy", device)
    tables[f"{where}Stack of {n:,} x ({shape(each)})"] = rows
    return tables, bars


def shape(sizes: Sequence[int]) -> str:
    return " x ".join(f"{size:,}" for size in sizes) + " float32"


def command_line(args: argparse.Namespace) -> str:
    return (
        "python -m benchmarks spectra"
        + " --quick" * args.quick
        + " --rivals PYTHON" * bool(args.rivals)
        + f" --runs {args.runs}"
    )
