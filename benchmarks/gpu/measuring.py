"""Numbers with their bars, seconds of calls on a device, and where those seconds went."""

from __future__ import annotations

import cProfile
import pstats
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from benchmarks import timing

LONG = 1.0  # seconds of a first call after which one more will do: the first one may have loaded libraries
VERY_LONG = 4.0  # seconds of a first call after which it stands for itself
ONE_CALL = False  # of everything, where the command is only tried
SHOWN = 14  # lines of a profile


@dataclass(frozen=True)
class Setting:
    """How a row is measured.

    Attributes:
        device: "cuda", or "cpu" to try the command.
        tiny: small sizes, which try the command and measure nothing.
        ends: `time.monotonic()` at which the row will be stopped.
    """

    device: str
    tiny: bool
    ends: float

    @property
    def left(self) -> float:
        """Seconds until the row is stopped."""
        return self.ends - time.monotonic()

    def size(self, full: int, tiny: int) -> int:
        return tiny if self.tiny else full


class Number(NamedTuple):
    """A number, and its bar if it has one: `least` or `most` it may be."""

    name: str
    value: Any
    least: float | None = None
    most: float | None = None


def seconds_of(function: Callable[[], Any], runs: int = 3) -> float:
    """Median seconds of a call after a first one; of calls that take long the better of two, or the only one."""
    first = timing.once(function)
    if first > VERY_LONG or ONE_CALL:
        return first
    if first > LONG:
        second = timing.once(function)
        # Far below the first one, it was no long call.
        if second > LONG / 2:
            return min(first, second)
    return statistics.median(timing.seconds(function) for _ in range(runs))


def profile(setting: Setting, name: str, function: Callable[[], Any], took: float) -> Iterator[Number]:
    """Where the time of a call of `took` seconds goes, if there is time to find out."""
    if setting.left > 6 * took + 3:
        yield Number(f"profile of {name}", trace(function, setting.device))


def trace(function: Callable[[], Any], device: str) -> dict[str, Any]:
    """Where the time of one call goes: operators by their own time on the device and the CPU, transfers, and Python functions."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    found: dict[str, Any] = {}
    try:
        # Without `acc_events` torch warns that events of other cycles are lost; there is one.
        with torch.profiler.profile(activities=activities, acc_events=True) as profiler:
            function()
            timing.wait()
        events = profiler.key_averages()
        found["device"] = _lines(events, "self_device_time_total")
        found["cpu"] = _lines(events, "self_cpu_time_total")
        found["transfers"] = {
            event.key: [event.count, round(_spent(event, "self_device_time_total"), 3)]
            for event in events
            if event.key.startswith(("Memcpy", "cudaStreamSync", "cudaDeviceSync", "cudaLaunchKernel", "cudaMalloc"))
            or event.key == "aten::_local_scalar_dense"
        }
    except Exception as error:
        found["failed"] = repr(error)
    found["python"] = _python(function)
    return found


def _lines(events: Any, what: str) -> list[list[Any]]:
    """The operators that took longest: name, calls, milliseconds."""
    ordered = sorted(events, key=lambda event: -_spent(event, what))[:SHOWN]
    return [[event.key[:90], event.count, round(_spent(event, what), 3)] for event in ordered if _spent(event, what)]


def _spent(event: Any, what: str) -> float:
    """Milliseconds."""
    return float(getattr(event, what, 0.0)) / 1e3


def _python(function: Callable[[], Any]) -> list[list[Any]]:
    """The functions that took longest themselves: place, calls, milliseconds, milliseconds with all that they called."""
    profiler = cProfile.Profile()
    try:
        profiler.runcall(function)
    except Exception as error:
        return [[repr(error)]]
    timing.wait()
    rows = []
    for (path, line, name), (_, calls, own, total, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        short = "/".join(path.split("/")[-2:])
        rows.append([f"{short}:{line} {name}"[:90], calls, round(1e3 * own, 3), round(1e3 * total, 3)])
    return sorted(rows, key=lambda row: -row[2])[:SHOWN]
