"""Child program that measures one row after the other, as its parent asks for them, and gives every number at once.

python -m benchmarks.gpu.worker DEVICE TINY     a line {"row", "function", "seconds"} on standard input for each row

Each line on standard output is a JSON object: a number of the row, or how the row ended. All else goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import timing
from benchmarks.gpu import measuring
from benchmarks.gpu.measuring import Number, Setting


def numbers(function: str, setting: Setting) -> Iterator[Number]:
    """Those of a row, by the name of its function."""
    path, _, argument = function.partition(":")
    module, _, name = path.partition(".")
    made = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), name)
    if argument:
        return made(setting, argument)
    return made(setting)


def about(device: str) -> dict[str, Any]:
    """The card and the versions around it."""
    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"card": properties.name, "memory_gb": round(properties.total_memory / 1e9, 1)}
    return found


def warm_up(device: str) -> None:
    """Load the libraries of linear algebra, which takes seconds and belongs to no row."""
    for dtype in (torch.float32, torch.float64):
        x = torch.eye(64, device=device, dtype=dtype)
        for function in (torch.linalg.eigvalsh, torch.linalg.eigh, torch.linalg.svdvals, torch.linalg.qr):
            function(x @ x)


def is_fatal(error: Exception) -> bool:
    """Whether the process can use its device no longer."""
    return "CUDA error" in str(error) or type(error).__name__ == "AcceleratorError"


def main(device: str, tiny: str) -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the lines

    if tiny == "tiny":
        timing.SHORT = 0.0
        measuring.ONE_CALL = True

    def tell(**line: Any) -> None:
        channel.write(json.dumps(line, default=str) + "\n")

    tell(about=about(device))
    warm_up(device)
    for line in sys.stdin:
        asked = json.loads(line)
        setting = Setting(device, tiny == "tiny", time.monotonic() + asked["seconds"])
        fatal = False
        try:
            for number in numbers(asked["function"], setting):
                tell(**number._asdict())
            tell(ended="measured")
        except Exception as error:
            fatal = is_fatal(error)
            tell(ended="failed", why=traceback.format_exc(limit=-8)[-4000:])
        if fatal:
            return
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main(*sys.argv[1:])
