"""Runs cases of the fuzzer in one process and says of each, on a line of its own, how it ended.

    python tests/fuzz_worker.py MODULE SEED FIRST STOP

MODULE has the KINDS. A line `begin` before each case tells which one ended the process, if one does.
"""

from __future__ import annotations

import importlib
import os
import re
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MOST_BYTES = 1 << 30  # of memory that a case may take beyond what the process had, where its file is small
REFUSALS = (ValueError, TypeError, OSError, ImportError)


def content_of(kind: Any, seeds: Sequence[bytes], seed: int, case: int) -> bytes:
    """The damaged file of a case, the same each time."""
    random = np.random.default_rng([seed, case])
    content: bytes = kind.damage(seeds[int(random.integers(len(seeds)))], seeds, random)
    return content


def outcome_of(kind: Any, content: bytes, case: int, folder: Path) -> tuple[str, str]:
    """How reading ends: audited, refused, memory or traceback; and the last line of the error."""
    path = folder / kind.file
    path.write_bytes(content)
    os.utime(path, (1, 1))  # long ago, so that no reader waits out the file system's clock
    before = _peak(reset=True)
    try:
        kind.read(path, case)
        outcome, why = "audited", ""
    except MemoryError as error:
        outcome, why = "memory", str(error)
    except REFUSALS as error:
        outcome, why = "refused", f"{type(error).__name__}: {error}"
    except Exception:
        outcome, why = "traceback", traceback.format_exc()
    if _peak() - before > max(MOST_BYTES, 4 * len(content)):
        outcome = "memory"
    return outcome, " | ".join(line.strip(" ^") for line in why.splitlines() if line.strip(" ^"))


def _peak(reset: bool = False) -> int:
    """The most memory since the last reset, in bytes; 0 where the system does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def main() -> None:
    module, seed, first, stop = sys.argv[1], *map(int, sys.argv[2:5])
    warnings.simplefilter("ignore")
    kinds = importlib.import_module(module).KINDS
    seeds = {}
    for kind in kinds:
        seeds[kind.name] = list(kind.seeds())
        folder = Path(tempfile.mkdtemp(prefix="repgeom-fuzz-"))
        outcome_of(kind, seeds[kind.name][0], 0, folder)  # imports what is needed before memory is measured
        shutil.rmtree(folder)
    # Twice what a case may take: a reader that asks for terabytes fails, and does not take the machine with it.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * MOST_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a reader prints goes elsewhere
    for case in range(first, stop):
        kind = kinds[case % len(kinds)]
        folder = Path(tempfile.mkdtemp(prefix="repgeom-fuzz-"))
        content = content_of(kind, seeds[kind.name], seed, case)
        print(f"begin\t{case}\t{kind.name}\t{len(content)}", file=out)
        outcome, why = outcome_of(kind, content, case, folder)
        print(f"end\t{case}\t{outcome}\t{why[-2000:]}", file=out)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
