"""Child program for everything that needs arrays: makes data with a known answer, times and weighs what reads it.

    python -m benchmarks.spectra make FOLDER SIZES      features and their truth, written to FOLDER
    python -m benchmarks.spectra time FILE RUNS DEVICE  all candidates, interleaved
    python -m benchmarks.spectra weigh FILE CANDIDATE   peak extra memory of one candidate

Each prints JSON as its last line. Child programs, because a process's peak memory never falls and is passed on to the
processes it starts.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from threadpoolctl import threadpool_info
from torch import Tensor

import repgeom as rg

Values = dict[str, Any]

# NumPy's threads spin for a while after their work, which slowed whatever came next by 40 %.
PAUSE = 0.2


# Data ----------------------------------------------------------------------------------------------------------------


def planted(n: int, d: int, exponent: float) -> np.ndarray:
    """Features with σ_i ∝ i^-exponent in random directions, and a mean about three standard deviations from zero."""
    sigma = np.arange(1, d + 1) ** -exponent * n**0.5
    spread = (np.square(sigma).sum() / n / d) ** 0.5
    mean = 3 * spread * np.random.default_rng(1).standard_normal(d)
    return rg.features_with_spectrum(sigma, n, mean=mean, seed=0, dtype=np.float32)


def centred_float64(x: np.ndarray) -> np.ndarray:
    rows = x.astype(np.float64)
    rows -= rows.mean(-2, keepdims=True)
    return rows


def measures(squares: np.ndarray) -> Values:
    p = squares / squares.sum(-1, keepdims=True)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    return {"effective_rank": np.exp(entropy).tolist(), "participation_ratio": (1 / np.square(p).sum(-1)).tolist()}


def truth(x: np.ndarray) -> Values:
    """From a float64 QR and SVD of the very values in the file; nothing is squared before the decomposition."""
    found = measures(np.square(np.linalg.svd(np.linalg.qr(centred_float64(x), mode="r"), compute_uv=False)))
    if x.ndim > 2:
        return found
    unit = x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
    root = np.linalg.qr(centred_float64(unit), mode="r")
    unit_rows = measures(np.square(np.linalg.svd(root, compute_uv=False)))
    return found | {f"{name}_unit_rows": value for name, value in unit_rows.items()}


def save(path: Path, x: np.ndarray) -> None:
    np.save(path, x)
    path.with_suffix(".json").write_text(json.dumps(truth(x)))


def save_large(path: Path, n: int, d: int, step: int = 50_000) -> None:
    """Gaussian features with σ_i ∝ i^-0.5, written piece by piece; the truth from products in float64 on the way."""
    rng = np.random.default_rng(2)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    mixing = (np.arange(1, d + 1)[:, None] ** -0.5 * rotation).astype(np.float32)
    mean = rng.standard_normal(d, dtype=np.float32)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    total, scatter = np.zeros(d), np.zeros((d, d))
    for start in range(0, n, step):
        rows = rng.standard_normal((min(step, n - start), d), dtype=np.float32) @ mixing + mean
        out[start : start + step] = rows
        shifted = rows.astype(np.float64) - mean
        total += shifted.sum(0)
        scatter += shifted.T @ shifted
    out.flush()
    variances = np.linalg.eigvalsh(scatter - np.outer(total, total) / n).clip(min=0)
    path.with_suffix(".json").write_text(json.dumps(measures(variances)))


def make(folder: Path, sizes: dict[str, Any]) -> Values:
    n, d = sizes["features"]
    for name, exponent in (("gentle", 0.5), ("steep", 1.0)):
        save(folder / f"{name}.npy", planted(n, d, exponent))
    save(folder / "stack.npy", np.random.default_rng(3).standard_normal(sizes["stack"], dtype=np.float32))
    np.save(folder / "small.npy", planted(1_000, 64, 0.5))
    save_large(folder / "large.npy", *sizes["large"])
    return {}


# Candidates ----------------------------------------------------------------------------------------------------------
# Each takes the raw features as a tensor and returns the effective rank, or None where it has no exact answer to give.


def rank_of(sigma: Tensor) -> Any:
    return measures(sigma.double().square().cpu().numpy())["effective_rank"]


def from_svd(x: Tensor) -> Any:
    return rank_of(torch.linalg.svd(x - x.mean(-2, keepdim=True), full_matrices=False).S)


def from_svdvals(x: Tensor) -> Any:
    return rank_of(torch.linalg.svdvals(x - x.mean(-2, keepdim=True)))


def floor(x: Tensor) -> None:
    rows = x.numpy()
    np.linalg.eigvalsh(rows.T @ rows)


def floor_on_device(x: Tensor) -> None:
    torch.linalg.eigvalsh(x.mT @ x)


def numpy_float64(x: Tensor) -> Any:
    rows = centred_float64(x.numpy())
    return measures(np.linalg.eigvalsh(rows.T @ rows).clip(min=0))["effective_rank"]


def from_pca(x: Tensor, solver: str) -> Any:
    return measures(PCA(svd_solver=solver).fit(x.numpy()).explained_variance_.astype(np.float64))["effective_rank"]


def from_incremental_pca(x: Tensor) -> Any:
    return measures(IncrementalPCA().fit(x.numpy()).explained_variance_.astype(np.float64))["effective_rank"]


def loop_of_svdvals(x: Tensor) -> Any:
    return [from_svdvals(rows) for rows in x]


REPGEOM: dict[str, Callable[[Tensor], Any]] = {
    "repgeom.spectrum": lambda x: rank_of(rg.spectrum(x).singular_values),
    "repgeom.effective_rank": lambda x: rg.effective_rank(x).tolist(),
}
TORCH: dict[str, Callable[[Tensor], Any]] = {
    "torch.linalg.svd, centred": from_svd,
    "torch.linalg.svdvals, centred": from_svdvals,
}
ON_CPU: dict[str, Callable[[Tensor], Any]] = REPGEOM | TORCH | {
    "NumPy XᵀX + eigvalsh, not centred (the floor)": floor,
    "NumPy XᵀX + eigvalsh, centred, float64": numpy_float64,
    'scikit-learn PCA(svd_solver="full")': lambda x: from_pca(x, "full"),
    'scikit-learn PCA(svd_solver="covariance_eigh")': lambda x: from_pca(x, "covariance_eigh"),
    "scikit-learn IncrementalPCA": from_incremental_pca,
}  # fmt: skip
ON_GPU = REPGEOM | TORCH | {"torch XᵀX + eigvalsh, not centred (the floor)": floor_on_device}
ON_STACK = {
    "repgeom.effective_rank": REPGEOM["repgeom.effective_rank"],
    "loop over torch.linalg.svdvals, centred": loop_of_svdvals,
}


def candidates(x: Tensor) -> dict[str, Callable[[Tensor], Any]]:
    if x.ndim > 2:
        return ON_STACK
    return ON_CPU if x.device.type == "cpu" else ON_GPU


# Measuring -----------------------------------------------------------------------------------------------------------


def timed(function: Callable[[Tensor], Any], x: Tensor) -> tuple[float, Any]:
    if x.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    value = function(x)  # the answer leaves the device, which waits for it
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start, value


def threads(x: Tensor) -> str:
    return "GPU" if x.is_cuda else str(max(pool["num_threads"] for pool in threadpool_info()))


def time_all(path: Path, runs: int, device: str) -> Values:
    """Median seconds of every candidate. The first round warms up and gives the answers; the rest are interleaved."""
    x = torch.from_numpy(np.load(path)).to(device)
    functions = candidates(x)
    answers = {name: timed(function, x)[1] for name, function in functions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            time.sleep(PAUSE)
            seconds[name].append(timed(function, x)[0])
    return {
        name: {"seconds": statistics.median(seconds[name]), "value": answers[name], "threads": threads(x)}
        for name in functions
    }


def weigh(path: Path, name: str) -> Values:
    """Growth of the peak resident memory in one run, after the libraries have been loaded and used."""
    x = torch.from_numpy(np.load(path))
    function = candidates(x)[name]
    function(x[: len(x) // 20])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    function(x)
    return {"memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024}


def about() -> Values:
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": threads(torch.zeros(1)),
        "versions": {name: version(name) for name in ("repgeom", "torch", "numpy", "scikit-learn")},
    }


def main(action: str, *args: str) -> Values:
    if action == "make":
        return make(Path(args[0]), json.loads(args[1]))
    if action == "time":
        return time_all(Path(args[0]), int(args[1]), args[2])
    if action == "weigh":
        return weigh(Path(args[0]), args[1])
    return about()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
