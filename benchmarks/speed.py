"""Child program for the speed of what reads arrays: times it, weighs it, and compares its answers with the truth.

    python -m benchmarks.speed make FOLDER SIZES      files of features and their truth
    python -m benchmarks.speed time JOBS RUNS         a file of [[title, file, names], ...]: every named candidate, in turns
    python -m benchmarks.speed weigh FILE NAME        peak extra memory of one candidate
    python -m benchmarks.speed floor FILE             parts of the floor of a file, from its first rows
    python -m benchmarks.speed incremental FILE ROWS  scikit-learn's IncrementalPCA, fed the first rows of a file in chunks

Each prints JSON as its last line. Child programs, because a process's peak memory never falls and is passed on to the
processes it starts.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from threadpoolctl import threadpool_info
from torch import Tensor

import repgeom as rg
from benchmarks import timing
from benchmarks.page import ERROR_BAR, error, say
from benchmarks.speed_data import Values, by_products, make, measures

FLOOR_ROWS = 50_000  # of a large file, whose product is timed on so many


class Data(NamedTuple):
    path: Path
    x: Tensor
    scatter: Tensor  # the smaller of the two products, float64: what the floor decomposes


# Candidates ----------------------------------------------------------------------------------------------------------
# Each goes from raw features to the effective rank, or None where it has no answer to give.


def rank_of(sigma: Tensor) -> Any:
    return measures(sigma.double().square().cpu().numpy())["effective_rank"]


def centred(x: Tensor) -> Tensor:
    return x - x.mean(-2, keepdim=True)


def from_svd(data: Data) -> Any:
    return rank_of(torch.linalg.svd(centred(data.x), full_matrices=False).S)


def from_svdvals(data: Data) -> Any:
    return rank_of(torch.linalg.svdvals(centred(data.x)))


def loop_of_svdvals(data: Data) -> Any:
    return [rank_of(torch.linalg.svdvals(centred(rows))) for rows in data.x]


def from_numpy_svd(data: Data) -> Any:
    rows = data.x.numpy()
    sigma = np.linalg.svd(rows - rows.mean(0), compute_uv=False)
    return measures(np.square(sigma.astype(np.float64)))["effective_rank"]


def numpy_product(data: Data) -> None:
    rows = data.x.numpy()
    np.linalg.eigvalsh(rows.T @ rows)


def from_pca(data: Data, solver: str) -> Any:
    return measures(PCA(svd_solver=solver).fit(data.x.numpy()).explained_variance_.astype(np.float64))["effective_rank"]


def from_incremental_pca(data: Data) -> Any:
    return measures(IncrementalPCA().fit(data.x.numpy()).explained_variance_.astype(np.float64))["effective_rank"]


def product(x: Tensor) -> Tensor:
    return x @ x.mT if x.shape[-2] < x.shape[-1] else x.mT @ x


def floor_product(data: Data) -> None:
    product(data.x)


def floor_eigvalsh(data: Data) -> None:
    torch.linalg.eigvalsh(data.scatter)


def floor_pass(data: Data) -> None:
    data.x.sum()


def floor_reading(data: Data) -> None:
    """Every byte of the file once, into the same few megabytes."""
    buffer = memoryview(bytearray(1 << 23))
    with data.path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


CANDIDATES: dict[str, Callable[[Data], Any]] = {
    "repgeom.spectrum": lambda data: rank_of(rg.spectrum(data.x).singular_values),
    "repgeom.effective_rank": lambda data: rg.effective_rank(data.x).tolist(),
    "repgeom.audit, in this process": lambda data: rg.audit(data.path)["effective_rank"].value,
    "torch.linalg.svd, centred": from_svd,
    "torch.linalg.svdvals, centred": from_svdvals,
    "loop over torch.linalg.svdvals, centred": loop_of_svdvals,
    "NumPy SVD, centred": from_numpy_svd,
    "NumPy XᵀX (syrk) + eigvalsh, not centred": numpy_product,
    'scikit-learn PCA(svd_solver="full")': partial(from_pca, solver="full"),
    "scikit-learn PCA(), automatic": partial(from_pca, solver="auto"),
    "scikit-learn IncrementalPCA": from_incremental_pca,
    "floor: product": floor_product,
    "floor: eigvalsh": floor_eigvalsh,
    "floor: one pass": floor_pass,
    "floor: reading": floor_reading,
}


# Measuring -----------------------------------------------------------------------------------------------------------


def load(path: Path, first: int | None = None) -> Data:
    x = torch.from_numpy(np.load(path) if first is None else np.load(path, mmap_mode="r")[:first].copy())
    return Data(path, x, product(x).double())


def with_truth(name: str, answer: Any, truth: Any) -> Values:
    """Value and error of a row. An exact answer of ours that is off ends the run before anything is timed."""
    if answer is None:
        return {}
    interval = (answer["low"], answer["high"]) if isinstance(answer, dict) else None
    found = {"value": answer["value"] if interval else answer}
    found["error"] = error(found["value"], truth)
    if interval:
        return found | {"interval": interval, "held": interval[0] <= truth <= interval[1]}
    if name.startswith("repgeom") and not found["error"] <= ERROR_BAR:
        raise SystemExit(f"{name} is off by {found['error']:.1e}, and may be by {ERROR_BAR}: nothing was timed.")
    return found


def timed(title: str, path: Path, names: list[str], runs: int) -> Values:
    say(title)
    data = load(path)
    truth = json.loads(path.with_suffix(".json").read_text())["effective_rank"]
    functions = {name: partial(CANDIDATES[name], data) for name in names}
    rows = {name: with_truth(name, function(), truth) for name, function in functions.items()}
    seconds = timing.in_turns(functions, runs)
    return {name: row | {"seconds": seconds[name], "threads": threads()} for name, row in rows.items()}


def weigh(path: Path, name: str) -> Values:
    """Growth of the peak resident memory in one run, after the libraries have been loaded and used."""
    none = torch.empty(0)
    x = none if "audit" in name else torch.from_numpy(np.load(path))  # an audit reads the file itself
    if "audit" in name:
        rg.audit(np.load(path, mmap_mode="r")[:2_000].copy())
    else:
        CANDIDATES[name](Data(path, x[: max(10, len(x) // 20)].clone(), none))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    CANDIDATES[name](Data(path, x, none))
    return {"memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024}


def floor(path: Path) -> Values:
    """Seconds of each part of a file's floor: of its product by that of its first rows; and of a 1,024-wide `eigvalsh`."""
    rows, width = np.load(path, mmap_mode="r").shape
    data = load(path, FLOOR_ROWS)
    wide = torch.randn(2_048, 1_024, dtype=torch.float64)
    functions = {n: partial(CANDIDATES[f"floor: {n}"], data) for n in ("product", "eigvalsh", "reading")}
    functions["eigvalsh of 1,024"] = partial(torch.linalg.eigvalsh, wide.mT @ wide)
    for function in functions.values():
        function()
    found = timing.in_turns(functions, 3)
    work = 2 * len(data.x) * width**2
    rates = {
        "flops": work / found["product"],
        "bytes": path.stat().st_size / found["reading"],
        "eigvalsh": found.pop("eigvalsh of 1,024"),
    }
    return {"parts": found | {"product": found["product"] * rows / len(data.x)}, "rates": rates}


def incremental(path: Path, rows: int) -> Values:
    """Seconds for the whole file, by the share of it that was read; the error is that of the part."""
    x = np.load(path, mmap_mode="r")
    rows = min(rows, len(x))
    model, step = IncrementalPCA(), 5 * x.shape[1]  # scikit-learn's own choice of a batch

    def fit() -> None:
        for start in range(0, rows - x.shape[1], step):
            # The last batch takes the rest: fewer rows than components are refused.
            stop = start + step if start + step + x.shape[1] <= rows else rows
            model.partial_fit(x[start:stop])
            if stop == rows:
                break

    seconds = timing.once(fit)
    value = measures(model.explained_variance_.astype(np.float64))["effective_rank"]
    return {
        "seconds": seconds * len(x) / rows,
        "value": value,
        "error": error(value, by_products(x[:rows])["effective_rank"]),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": threads(),
    }


def threads() -> str:
    return str(max(pool["num_threads"] for pool in threadpool_info()))


def about() -> Values:
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": threads(),
        "versions": {name: version(name) for name in ("repgeom", "torch", "numpy", "scikit-learn")},
    }


def main(action: str, *args: str) -> Values:
    if action == "make":
        return make(Path(args[0]), json.loads(args[1]))
    if action == "time":
        jobs, runs = json.loads(Path(args[0]).read_text()), int(args[1])
        return {title: timed(title, Path(path), names, runs) for title, path, names in jobs}
    if action == "weigh":
        return weigh(Path(args[0]), args[1])
    if action == "floor":
        return floor(Path(args[0]))
    if action == "incremental":
        return incremental(Path(args[0]), int(args[1]))
    return about()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
