"""Who works on a run, and where: one process alone, or those of one torchrun with a common folder."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from .. import stored

# Seconds to wait for the first process of the group.
PATIENCE = 120.0


@contextlib.contextmanager
def held_by_group(path: Path) -> Iterator[None]:
    """The first process of a group holds the lock of `path` for all of them; the others wait until it does.

    Raises:
        stored.Busy: another process, or another group, holds it; the message names that process.
    """
    group, rank = _group()
    if rank == 0:
        with stored.locked(path, wait=False, owner=group):
            yield
    else:
        _await(stored.lock_file(path), group)
        yield


@contextlib.contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Tries to hold the lock of `path`: True where no other process has it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(stored.locked(path, wait=False))
        except stored.Busy:
            yield False
            return
        yield True


def _group() -> tuple[str, int]:
    """What this process's group is called, and its rank in it; ("", 0) for a process by itself."""
    environment = os.environ
    if "RANK" not in environment or int(environment.get("WORLD_SIZE", "1")) == 1:
        return "", 0
    # The meeting point and the run's id tell two groups on one machine apart.
    names = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")
    return f"(group {':'.join(environment.get(n, '') for n in names)})", int(environment["RANK"])


def _await(lock: Path, group: str) -> None:
    end = time.monotonic() + PATIENCE
    # The text names the group: a lock that an earlier one left behind does not count.
    while not (lock.exists() and group in lock.read_text(encoding="utf-8")):
        if time.monotonic() > end:
            raise stored.Busy(lock.read_text(encoding="utf-8") if lock.exists() else "nobody yet")
        time.sleep(0.1)


class Watch:
    """Seconds since it was made: of the clock, and of all threads of this process."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self._clock, 2)

    @property
    def cpu_seconds(self) -> float:
        return round(time.process_time() - self._processor, 2)


def note(log: Path, what: str, name: str, watch: Watch) -> None:
    """Appends to a run's log, one JSON object a line, what this process has done; `files.schema.json` says what it holds."""
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "what": what,
        "name": name,
        "seconds": watch.seconds,
        "cpu_seconds": watch.cpu_seconds,
        "peak_mb": round(_peak_bytes() / 1e6),
    }
    # One short write at the end of the file: lines of several processes do not mix.
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _peak_bytes() -> int:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform != "darwin":
        # Linux counts in KiB, macOS in bytes.
        peak *= 1024
    return peak


def machine(device: torch.device) -> dict[str, Any]:
    """Where and with what a run began."""
    from importlib.metadata import version

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "device": f"{device.type}: {name}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.__version__,
        "repgeom": version("repgeom"),
    }


def _cpu() -> str:
    try:
        # On Linux `platform.processor` often says nothing of the model.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
