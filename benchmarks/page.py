"""What a page says of its run: the machine, the versions, and tables. Imports nothing large, see `files.run`."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = (
    "repgeom",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "transformers",
    "imagecorruptions",
)
# torch is asked in a process of its own, because to import it here would make this process large.
ASK_TORCH = """
import json, torch
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
print(json.dumps([gpu, torch.get_num_threads()]))
"""


def machine(others: dict[str, str] | None = None) -> str:
    """Lines on when, where and with which versions a page was made."""
    gpu, threads = graphics_and_threads()
    lines = [
        f"* Date: {datetime.date.today()}; commit: {commit()}",
        f"* Machine: {processor()}, {os.cpu_count()} cores; GPU: {gpu or 'none'}",
        f"* Threads: {threads}; load of the machine: {os.getloadavg()[0]:.1f}",
        f"* Versions: Python {platform.python_version()}, {listed(versions())}",
    ]
    if others:
        lines.append(f"* Versions beside the other tools: {listed(others)}")
    return "\n".join(lines) + "\n"


def graphics_and_threads() -> tuple[str | None, int]:
    """The GPU's name, None without one, and how many threads torch takes."""
    answer = subprocess.run([sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, check=True)
    gpu, threads = json.loads(answer.stdout)
    return gpu, threads


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def commit() -> str:
    """Short name of the commit; "unknown" outside a clone."""
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor() -> str:
    try:
        models = [row for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")]
        return models[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def error(value: Any, truth: Any) -> float:
    """Largest relative error."""
    if isinstance(value, list):
        return max(error(v, t) for v, t in zip(value, truth, strict=True))
    return abs(value - truth) / abs(truth)


def say(text: str) -> None:
    """Tell on standard error what is measured now."""
    print(f"[{datetime.datetime.now():%H:%M:%S}] {text} ...", file=sys.stderr, flush=True)
