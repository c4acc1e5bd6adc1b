"""What every page of benchmarks shares: promises, tables, the machine, and the part of README.md that each writes."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE / "README.md"

Row = dict[str, Any]

ERROR_BAR = 1e-6  # what every exact answer keeps


@dataclass(frozen=True)
class Bar:
    """One promise and what was reached."""

    promise: str
    reached: float
    limit: float
    at_least: bool
    unit: str = "x"

    def sentence(self) -> str:
        met = self.reached >= self.limit if self.at_least else self.reached <= self.limit
        verdict = "Met" if met else f"Missed by {abs(self.reached / self.limit - 1):.0%}"
        return f"{self.promise}: **{self.reached:.3g}{self.unit}**. {verdict}."


def bars(promises: list[Bar], remark: str = "") -> str:
    return f"\n## Bars\n\n{remark}" + "\n\n".join(bar.sentence() for bar in promises) + "\n"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def error(value: Any, truth: Any) -> float:
    """Largest relative error."""
    if isinstance(value, list):
        return max(error(v, t) for v, t in zip(value, truth, strict=True))
    return abs(value - truth) / abs(truth)


def setting(about: Row, others: dict[str, str] | None = None) -> str:
    lines = [
        f"* Date: {datetime.date.today()}; commit: {commit()}",
        f"* Machine: {processor()}, {os.cpu_count()} cores; GPU: {about['gpu'] or 'none'}",
        f"* Threads: {about['threads']}; load of the machine before the run: {os.getloadavg()[0]:.1f}",
        f"* Versions: Python {platform.python_version()}, {listed(about['versions'])}",
    ]
    if others:
        lines.append(f"* Versions beside the other tools: {listed(others)}")
    return "\n".join(lines) + "\n"


def listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def commit() -> str:
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


def say(text: str) -> None:
    print(f"[{datetime.datetime.now():%H:%M:%S}] {text} ...", file=sys.stderr, flush=True)


def write_part(text: str) -> None:
    """Puts a page with its own `# Title` into README.md, in place of the one of that title."""
    parts = re.split(r"(?m)^(?=# )", README.read_text()) if README.exists() else []
    title = text.split("\n", 1)[0]
    kept = [part.rstrip() for part in parts if part.strip()]
    places = [i for i, part in enumerate(kept) if part.split("\n", 1)[0] == title]
    if places:
        kept[places[0]] = text.rstrip()
    else:
        kept.append(text.rstrip())
    README.write_text("\n\n".join(kept) + "\n")
