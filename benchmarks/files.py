"""Whole processes: the command line on files, from start to exit. Imports nothing large, see `run`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMPORT_TORCH = [sys.executable, "-c", "import torch"]


@dataclass(frozen=True)
class Run:
    """One process that ended, by itself or because its time was up."""

    seconds: float
    memory: int  # peak resident memory in bytes
    output: str
    stopped: bool = False


def run(command: list[str], longest: float | None = None) -> Run:
    """Runs a process to its end or for `longest` seconds.

    The peak is never below this process's own size, which is why it must stay small.
    """
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        clock = threading.Timer(longest or 0, process.kill)
        if longest is not None:
            clock.start()
        _, status, usage = os.wait4(process.pid, 0)
        clock.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        stopped = longest is not None and seconds >= longest
        if process.returncode and not stopped:
            raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}.")
        out.seek(0)
        return Run(seconds, usage.ru_maxrss * 1024, out.read(), stopped)


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


def median(command: list[str], runs: int) -> Run:
    return alternate({"": command}, runs)[""]


def audit_command(features: Path, *options: str, processes: int = 1) -> list[str]:
    """`repgeom audit` of a file, or of a folder's shards, by one process or by several."""
    launcher = []
    if processes > 1:
        launcher = ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"]
    pattern = str(features)
    if features.is_dir():
        pattern = str(features / "part-*")
    return [sys.executable, "-m", *launcher, "repgeom", "audit", pattern, "--json", str(report(features)), *options]


def report(features: Path) -> Path:
    return features.with_suffix(".report")


def audited_rank(features: Path) -> float:
    """The effective rank in the report that an audit left."""
    return float(json.loads(report(features).read_text())["measures"]["effective_rank"]["in_these_rows"])
