"""Questions about whole processes: the command line on files, streams and shards, and its start."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import files
from benchmarks.answer import ERROR_LIMIT, Answer
from benchmarks.arrays import child, size_of
from benchmarks.data import labels_of, write_shards
from benchmarks.page import error, say

Shapes = dict[str, list[int]]

INCREMENTAL_ROWS, QUICK_INCREMENTAL_ROWS = 100_000, 4_000
LONGEST = 60.0  # seconds after which a labelled audit is stopped
SHARD, QUICK_SHARD = (6_500, 768), (500, 64)  # float32: 20 MB, and 0.1 MB


@dataclass(frozen=True)
class Setting:
    """What the questions of one run share."""

    folder: Path
    shapes: Shapes
    runs: int
    quick: bool
    rivals: str | None


def checked(features: Path, truth: Path) -> float:
    """The error of a report; one that is off ends the run."""
    true = json.loads(truth.with_suffix(".json").read_text())["effective_rank"]
    found = error(files.audited_rank(features), true)
    if not found <= ERROR_LIMIT:
        raise SystemExit(f"repgeom audit of {features.name} is off by {found:.1e}, and may be by {ERROR_LIMIT}.")
    return found


def floor_of(file: Path, import_torch: float) -> float:
    """The floor of a process on this file, which must import torch besides."""
    return import_torch + sum(child("floor", str(file)).values())


def start(setting: Setting) -> list[Answer]:
    file = setting.folder / "small.npy"
    say("start")
    commands = {"import torch": files.IMPORT_TORCH, "audit": files.audit_command(file)}
    found = files.alternate(commands, setting.runs)
    size = size_of(setting.shapes["small"])
    question = f"`repgeom audit` of {size}, the whole process (floor: `import torch`)"
    own = found["audit"]
    return [
        Answer("start small", question, own.seconds, found["import torch"].seconds, checked(file, file), own.memory)
    ]


def whole(setting: Setting) -> list[Answer]:
    file = setting.folder / "gentle.npy"
    say("whole process")
    commands = {"import torch": files.IMPORT_TORCH, "audit": files.audit_command(file)}
    found = files.alternate(commands, setting.runs)
    others = {}
    if setting.rivals and not setting.quick:
        tool = str(Path(setting.rivals).with_name("spectralyte"))
        others["spectralyte audit"] = files.run([tool, "audit", str(file), "--json"]).seconds
    own = found["audit"]
    size = size_of(setting.shapes["gentle"])
    floor = floor_of(file, found["import torch"].seconds)
    question = f"`repgeom audit` of {size}, the whole process"
    return [Answer(f"process {size}", question, own.seconds, floor, checked(file, file), own.memory, others)]


def large(setting: Setting) -> list[Answer]:
    file, shards = setting.folder / "large.npy", setting.folder / "large-shards"
    size = size_of(setting.shapes["large"])
    floor = floor_of(file, files.median(files.IMPORT_TORCH, 1).seconds)
    rows = INCREMENTAL_ROWS
    if setting.quick:
        rows = QUICK_INCREMENTAL_ROWS
    rival = child("incremental", str(file), str(rows))["seconds"]
    name = f"scikit-learn IncrementalPCA, from its time on {rows:,} rows,"
    found = []
    ways = (("one file", file, 1), ("8 shards", shards, 1), ("8 shards, torchrun with 2 processes", shards, 2))
    for what, features, processes in ways:
        say(f"{size}, {what}")
        own = files.run(files.audit_command(features, processes=processes))
        question = f"`repgeom audit` of {size}, {what}"
        measured = (own.seconds, floor, checked(features, file), own.memory)
        found.append(Answer(f"large {size} {what}", question, *measured, {name: rival}))
    return found


def many_classes(setting: Setting) -> list[Answer]:
    file = setting.folder / "many.npy"
    size = size_of(setting.shapes["many"])
    floor = floor_of(file, files.median(files.IMPORT_TORCH, 1).seconds)
    unlabelled = files.run(files.audit_command(file)).seconds
    found = []
    for n_classes in (10, 1_000, 50_000):
        say(f"{size}, {n_classes:,} classes")
        labels = labels_of(setting.folder, "many", n_classes)
        own = files.run(files.audit_command(file, "--labels", str(labels)), LONGEST)
        key, question = f"many {size} {n_classes:,}", f"`repgeom audit` of {size} with {n_classes:,} classes, shuffled"
        if own.stopped:
            found.append(Answer(key, question, memory=own.memory, stopped=LONGEST))
        else:
            measured = (own.seconds, floor, checked(file, file), own.memory)
            found.append(Answer(key, question, *measured, {"no labels": unlabelled}))
    return found


def shards(setting: Setting) -> list[Answer]:
    """Does memory grow with the number of shards?"""
    shape = SHARD
    if setting.quick:
        shape = QUICK_SHARD
    found = []
    for kind in ("npz", "Parquet"):
        say(f"shards of {kind}")
        folders = {n: write_shards(setting.folder, kind, n, *shape) for n in (12, 36)}
        runs = {n: files.run(files.audit_command(folder)) for n, folder in folders.items()}
        growth = runs[36].memory / runs[12].memory
        megabytes = 4 * shape[0] * shape[1] / 1e6
        question = f"`repgeom audit` of 36 shards of {megabytes:.3g} MB of {kind}: does memory grow with shards?"
        compared = f"36 shards take {growth:.2f} × the memory of 12"
        seconds, memory = runs[36].seconds, runs[36].memory
        found.append(Answer(f"shards {kind}", question, seconds, memory=memory, compared=compared))
    return found


# By the first word of their answers' keys.
QUESTIONS: dict[str, Callable[[Setting], list[Answer]]] = {
    "start": start,
    "process": whole,
    "large": large,
    "many": many_classes,
    "shards": shards,
}
