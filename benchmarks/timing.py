"""Seconds of functions that are called in turns, so that what slows the machine for a while slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

ENOUGH = 6.0  # seconds of timed calls after which a function is not called again
SHORT = 0.05  # a call below this is repeated and its mean taken
PAUSE = 0.2  # NumPy's threads spin for a while after their work, which slowed whatever came next by 40 %


def in_turns(functions: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Median seconds of each over up to `runs` rounds. Call each once before, which warms up."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            if sum(taken[name]) < ENOUGH:
                taken[name].append(seconds(function))
                if name.startswith(("NumPy", "scikit-learn", "repgeom.audit")):
                    time.sleep(PAUSE)
    return {name: statistics.median(each) for name, each in taken.items()}


def seconds(function: Callable[[], Any]) -> float:
    took = once(function)
    if took >= SHORT:
        return took
    calls = max(1, min(50, int(SHORT / took)))
    return once(lambda: [function() for _ in range(calls)]) / calls


def once(function: Callable[[], Any]) -> float:
    wait()
    start = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - start


def wait() -> None:
    """Until a GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
