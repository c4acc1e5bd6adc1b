"""The speed page: rivals, floors and our own rows in one table. `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import cluster, files, stored
from benchmarks.page import HERE, Row, error, say, setting
from benchmarks.page import bars as bars_text
from benchmarks.processes import child, processes, rivals_child, truth
from benchmarks.speed_bars import bars
from benchmarks.speed_table import NOTES, introduction, table
from benchmarks.stored import Tables

FULL: dict[str, Any] = {
    "gentle": (50_000, 768, 0.5), "steep": (50_000, 768, 1.0), "wide": (50_000, 2_048, 0.5), "wide_steep": (50_000, 2_048, 1.0),
    "dual": (1_000, 8_192, 0.5), "many": (8_192, 4_096, 0.5), "batch": (1_024, 4_096, 0.5), "stack": (1_000, 256, 64),
    "small": (1_000, 64, 0.5), "large": (1_000_000, 768, 0.5),
}  # fmt: skip
QUICK: dict[str, Any] = {
    "gentle": (8_000, 128, 0.5), "steep": (8_000, 128, 1.0), "wide": (8_000, 256, 0.5), "wide_steep": (8_000, 256, 1.0),
    "dual": (200, 1_024, 0.5), "many": (1_024, 512, 0.5), "batch": (256, 512, 0.5), "stack": (50, 256, 64),
    "small": (1_000, 64, 0.5), "large": (40_000, 128, 0.5),
}  # fmt: skip
GROWTH = {
    "rows": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000), "width": 768,
    "features": (64, 128, 256, 512, 1_024, 2_048, 4_096), "height": 20_000,
}  # fmt: skip
QUICK_GROWTH = {"rows": (1_000, 10_000), "width": 128, "features": (64, 128), "height": 2_000}
ON_GPU = {"features": (50_000, 1_024), "layers": 24, "small": (16, 31, 32, 33, 64, 128)}
QUICK_ON_GPU = {"features": (4_000, 128), "layers": 3, "small": (31, 32, 33)}

OURS = ("repgeom.spectrum", "repgeom.effective_rank")
SVDVALS, SVD, SYRK = (
    "torch.linalg.svdvals, centred", "torch.linalg.svd, centred", "NumPy XᵀX (syrk) + eigvalsh, not centred"
)  # fmt: skip
ALL = (
    *OURS, SVD, SVDVALS, "NumPy SVD, centred", SYRK, 'scikit-learn PCA(svd_solver="full")',
    "scikit-learn PCA(), automatic", "scikit-learn IncrementalPCA",
)  # fmt: skip
AUDIT = ("repgeom.audit, in this process",)
# What the other tools call effective rank or dimension: the participation ratio, vecscope's of unit rows.
RIVALS = {
    "spectralyte": "participation_ratio",
    "vecscope": "participation_ratio_unit_rows",
    "effdim": "effective_rank",
    "scikit-dimension": "participation_ratio",
}


class Arrays(NamedTuple):
    """A problem whose rows are functions of one array, called in turns in one process."""

    file: str
    names: tuple[str, ...]
    reading: str = "floor: one pass"


def problems(sizes: dict[str, Any]) -> dict[str, Arrays]:
    def of(name: str, exponent: bool = True) -> str:
        n, d, power = sizes[name]
        return f"{n:,} x {d:,}" + f", σ ∝ i^-{power:g}" * exponent

    stack = "{:,} x ({:,} x {:,})".format(*sizes["stack"])
    return {
        of("gentle"): Arrays("gentle", ALL),
        of("steep"): Arrays("steep", (*OURS, SVD, SVDVALS)),
        of("wide"): Arrays("wide", (*OURS, SVDVALS, SYRK)),
        of("wide_steep"): Arrays("wide_steep", (*OURS, SVDVALS)),
        f"n < d: {of('dual', False)}": Arrays("dual", (*OURS, SVD, SVDVALS)),
        f"stack of {stack}": Arrays("stack", ("repgeom.effective_rank", f"loop over {SVDVALS}")),
        f"audit of a file, {of('gentle', False)}": Arrays("gentle", AUDIT, "floor: reading"),
        f"audit of a file, {of('wide', False)}": Arrays("wide", AUDIT, "floor: reading"),
    }


# Measuring -----------------------------------------------------------------------------------------------------------


def with_floor(rows: dict[str, Row]) -> dict[str, Row]:
    """The parts of the floor, which were timed in turns with the rest, as one row."""
    parts = {name.removeprefix("floor: "): rows.pop(name) for name in [*rows] if name.startswith("floor: ")}
    if parts:
        seconds = {name: part["seconds"] for name, part in parts.items()}
        rows["floor"] = parts["product"] | {"seconds": sum(seconds.values()), "parts": seconds}
    return rows


def timed(args: argparse.Namespace, folder: Path, wanted: dict[str, Arrays], own: bool) -> Tables:
    jobs = []
    runs = args.runs * (4 if args.quick else 1)  # of milliseconds
    for title, (file, names, reading) in wanted.items():
        ours, others = ([n for n in names if n.startswith("repgeom") == mine] for mine in (True, False))
        parts = ["floor: product", "floor: eigvalsh", reading]
        jobs.append((title, str(folder / f"{file}.npy"), [*ours, *parts, *([] if own else others)]))
    listed = folder / "jobs.json"
    listed.write_text(json.dumps(jobs))
    return {title: with_floor(rows) for title, rows in child("time", str(listed), str(runs)).items()}


def weighed(folder: Path, wanted: dict[str, Arrays], tables: Tables) -> None:
    """Memory of our rows everywhere, of the others' on the first problem: theirs depends on the shape alone."""
    for i, (title, (file, names, _)) in enumerate(wanted.items()):
        for name in names:
            if name.startswith("repgeom") or i == 0:
                tables[title][name] |= child("weigh", str(folder / f"{file}.npy"), name)


def other_tools(args: argparse.Namespace, file: Path) -> dict[str, Row]:
    known, rows = truth(file), {}
    for name in (name for name in RIVALS if name in rivals_child(args.rivals, "about")):
        row = rivals_child(args.rivals, str(file), name, str(1 if args.quick else 2))
        measure = "effective rank" if RIVALS[name] == "effective_rank" else "participation ratio"
        rows[f"{name}, {measure}"] = row | {"error": error(row["value"], known[RIVALS[name]])}
    return rows


def measured(args: argparse.Namespace, folder: Path, sizes: dict[str, Any], gpu: bool) -> Tables:
    arrays = problems(sizes)
    tables = timed(args, folder, arrays, own=False)
    if not args.quick:
        say("memory")
        weighed(folder, arrays, tables)
    if args.rivals:
        say("other tools")
        first = next(iter(arrays))
        tables[first] |= other_tools(args, folder / f"{arrays[first].file}.npy")
    for title, measure in processes(sizes).items():
        say(title)
        tables[title] = measure(args, folder, False)
    return tables | (on_gpu(args) if gpu else {})


def on_gpu(args: argparse.Namespace) -> Tables:
    sizes = json.dumps(QUICK_ON_GPU if args.quick else ON_GPU)
    found = files.child(sys.executable, "-m", "benchmarks.gpu", sizes, str(args.runs))
    return {title: with_floor(rows) for title, rows in found.items()}


# Against the stored ratios -------------------------------------------------------------------------------------------


def regressions(args: argparse.Namespace, folder: Path, sizes: dict[str, Any], tables: Tables) -> list[str]:
    """Sentences on what became slower than stored, also when measured twice more: the machine is noisy."""
    before, found = stored.read(mode(args)), stored.ratios(tables)
    for _ in range(2):
        titles = {name.split(" / ")[0] for name in stored.slower(found, before)}
        if not titles:
            break
        say(f"once more: {'; '.join(sorted(titles))}")
        again: Tables = {}
        arrays = {title: row for title, row in problems(sizes).items() if title in titles}
        if arrays:
            again |= timed(args, folder, arrays, own=True)
        again |= {t: measure(args, folder, True) for t, measure in processes(sizes).items() if t in titles}
        if any(title.startswith("GPU") for title in titles):
            again |= {title: rows for title, rows in on_gpu(args).items() if title in titles}
        found |= {name: min(found[name], ratio) for name, ratio in stored.ratios(again).items() if name in found}
    return [stored.sentence(name, *pair) for name, pair in stored.slower(found, before).items()]


def mode(args: argparse.Namespace) -> str:
    return "quick" if args.quick else "full"


# The page ------------------------------------------------------------------------------------------------------------


def report(args: argparse.Namespace, folder: Path) -> str:
    sizes = QUICK if args.quick else FULL
    about = child("about")
    others = rivals_child(args.rivals, "about") if args.rivals else None
    text = introduction(args) + setting(about, others)
    say("making data")
    child("make", str(folder), json.dumps(sizes))
    tables = measured(args, folder, sizes, bool(about["gpu"]))
    slower = regressions(args, folder, sizes, tables)
    args.failed = bool(args.check and slower)
    text += "\n" + table(tables) + NOTES
    if not args.rivals:
        text += "\nspectralyte, vecscope, effdim, scikit-dimension: not measured (no `--rivals`).\n"
    if not about["gpu"]:
        text += "\nGPU: none at hand, not measured.\n"
    if not args.check:
        stored.write(mode(args), stored.ratios(tables))
        text += growth(args, folder)
    small = "These sizes are small: the bars do not apply to them.\n\n" if args.quick else ""
    text += bars_text(bars(tables), small)
    text += cluster.paragraph(tables[next(t for t in tables if t.startswith("whole process, once"))]["floor"]["rates"])
    for sentence in slower:
        print(sentence, file=sys.stderr)
    return text


def growth(args: argparse.Namespace, folder: Path) -> str:
    png = folder / "growth.png" if args.quick else HERE / "growth.png"
    sizes = json.dumps(QUICK_GROWTH if args.quick else GROWTH)
    files.child(sys.executable, "-m", "benchmarks.growth", str(png), sizes)
    return "" if args.quick else GROWTH_TEXT


GROWTH_TEXT = """
## How the cost grows

![Two panels, both axes logarithmic: seconds of repgeom.spectrum and of the floor over rows and over features](growth.png)

`repgeom.spectrum` of float32 features with σ ∝ i^-0.5 on this CPU. The numbers are its ratio to the floor.
"""
