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

IMPORT_TORCH = [sys.executable, "-c", "import torch"]


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


def median(command: list[str], runs: int) -> Run:
    return alternate({"": command}, runs)[""]


def audit_command(features: Path, *, processes: int = 1) -> list[str]:
    """`repgeom audit` of a file, or of a folder's shards, by one process or by several."""
    launcher = ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"] if processes > 1 else []
    pattern = str(features / "*.npy") if features.is_dir() else str(features)
    return [sys.executable, "-m", *launcher, "repgeom", "audit", pattern, "--json", str(report(features))]


def report(features: Path) -> Path:
    return features.with_suffix(".report")


def audited(features: Path, run_: Run) -> dict[str, Any]:
    value = json.loads(report(features).read_text())["measures"]["effective_rank"]["value"]
    return {"seconds": run_.seconds, "memory": run_.memory, "value": float(value)}


def audit_once(features: Path, processes: int = 1) -> dict[str, Any]:
    return audited(features, run(audit_command(features, processes=processes)))


def spectralyte_audit(file: Path, rivals: str) -> dict[str, Any]:
    once = run([str(Path(rivals).with_name("spectralyte")), "audit", str(file), "--json"])
    value = json.loads(once.output)["dimensionality"]["participation_ratio"]
    return {"seconds": once.seconds, "memory": once.memory, "value": value}


def starts(file: Path, runs: int) -> dict[str, Run]:
    """What `import torch` costs by itself, and a whole audit of a small file."""
    return alternate({"import torch": IMPORT_TORCH, "audit": audit_command(file)}, runs)
