"""Whole processes: the command line on files, from start to exit. Imports nothing large, see `run`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """One finished process."""

    seconds: float
    memory: int  # peak resident memory in bytes
    output: str


def run(command: list[str]) -> Run:
    """Runs a process to its end. The peak is never below this process's own size, which is why it must stay small."""
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}.")
        out.seek(0)
        return Run(seconds, usage.ru_maxrss * 1024, out.read())


def child(*command: str) -> Any:
    """The JSON that a child program prints last."""
    return json.loads(run(list(command)).output.splitlines()[-1])


def alternate(commands: dict[str, list[str]], runs: int) -> dict[str, Run]:
    """Median time and largest memory of each, in alternating order after one warm-up round."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            found[name].append(run(command))
    return {
        name: Run(statistics.median(r.seconds for r in all_[1:]), max(r.memory for r in all_), all_[-1].output)
        for name, all_ in found.items()
    }


def repgeom_audit(file: Path) -> list[str]:
    return [sys.executable, "-m", "repgeom", "audit", str(file), "--json", str(file.with_suffix(".report"))]


def repgeom_value(file: Path, measure: str = "effective_rank") -> float:
    report = json.loads(file.with_suffix(".report").read_text())
    return float(report["measures"][measure]["value"])


def audits(file: Path, rivals: str | None, runs: int) -> dict[str, dict[str, Any]]:
    """`repgeom audit` of a file against the one other tool that audits a file's dimensions."""
    commands = {"repgeom audit": repgeom_audit(file)}
    if rivals:
        commands["spectralyte audit"] = [str(Path(rivals).with_name("spectralyte")), "audit", str(file), "--json"]
    found = alternate(commands, runs)
    rows: dict[str, dict[str, Any]] = {n: {"seconds": r.seconds, "memory": r.memory} for n, r in found.items()}
    rows["repgeom audit"]["value"] = repgeom_value(file)
    if rivals:
        output = json.loads(found["spectralyte audit"].output)
        rows["spectralyte audit"]["value"] = output["dimensionality"]["participation_ratio"]
    return rows


def large_audit(file: Path) -> dict[str, Any]:
    once = run(repgeom_audit(file))
    return {"seconds": once.seconds, "memory": once.memory, "value": repgeom_value(file)}


def starts(file: Path, runs: int) -> dict[str, dict[str, Any]]:
    """What `import torch` costs by itself, and a whole audit of a small file."""
    commands = {"import torch": [sys.executable, "-c", "import torch"], "repgeom audit": repgeom_audit(file)}
    return {n: {"seconds": r.seconds, "memory": r.memory} for n, r in alternate(commands, runs).items()}
