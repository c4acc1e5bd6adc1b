"""Child program for another interpreter, which has the other tools and not repgeom.

    PYTHON benchmarks/rivals.py about             the versions of what is installed there
    PYTHON benchmarks/rivals.py FILE NAME RUNS    one tool's own function on the features: time, value, peak memory

Prints JSON as its last line.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

PACKAGES = ("spectralyte", "vecscope", "effdim", "scikit-dimension")


def spectralyte(x: np.ndarray) -> float:
    from spectralyte.metrics.dimensionality import compute

    return float(compute(x).participation_ratio)


def vecscope(x: np.ndarray) -> float:
    from vecscope.diagnostics.anisotropy import anisotropy

    return float(anisotropy(x)["effective_rank"])


def effdim(x: np.ndarray) -> float:
    # The steps of `compute_dim` up to the effective rank; it goes on to searches for neighbours, which are not asked for.
    from effdim import api

    sigma = api._do_svd(api._ensure_centered(x))
    return float(api.shannon_entropy(sigma**2 / (sigma**2).sum()))


def scikit_dimension(x: np.ndarray) -> float:
    from skdim.id import lPCA

    return float(lPCA(ver="participation_ratio").fit(x).dimension_)


TOOLS = {"spectralyte": spectralyte, "vecscope": vecscope, "effdim": effdim, "scikit-dimension": scikit_dimension}
# What each calls effective rank or dimension.
MEASURES = {
    "spectralyte": "participation_ratio",
    "vecscope": "participation_ratio_unit_rows",
    "effdim": "effective_rank",
    "scikit-dimension": "participation_ratio",
}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(path: str, name: str, runs: int) -> dict[str, Any]:
    x = np.load(path)
    TOOLS[name](x[: len(x) // 20])
    before = peak()
    value = TOOLS[name](x)
    memory = peak() - before
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        TOOLS[name](x)
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "value": value, "memory": memory, "measure": MEASURES[name]}


def versions() -> dict[str, str]:
    found = {}
    for name in (*PACKAGES, "numpy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    arguments = sys.argv[1:]
    print(json.dumps(versions() if arguments == ["about"] else measure(arguments[0], arguments[1], int(arguments[2]))))
