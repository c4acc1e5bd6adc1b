"""Child program for what runs inside Python: times it, weighs it, and compares its answers with the truth.

    python -m benchmarks.inside time FILE RUNS NAMES       every candidate in a JSON list, in turns
    python -m benchmarks.inside weigh FILE NAME            peak extra memory of one candidate
    python -m benchmarks.inside floor FILE                 parts of the floor of a file, from its first rows
    python -m benchmarks.inside incremental FILE ROWS      scikit-learn's IncrementalPCA, fed the first rows in chunks

Each prints JSON as its last line. Child programs, because a process's peak memory never falls and is passed on to the
processes it starts.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from torch import Tensor

import repgeom as rg
from benchmarks import timing
from benchmarks.answer import ERROR_LIMIT
from benchmarks.data import CLASSES, Values, by_products, labels_of, measures
from benchmarks.page import error

FLOOR_ROWS = 50_000  # of a large file, whose product is timed on so many


class Data(NamedTuple):
    path: Path
    x: Tensor
    other: Tensor  # the same samples through another model
    scatter: Tensor  # the smaller of the two products, float64: what the floor decomposes


# Candidates ----------------------------------------------------------------------------------------------------------
# Each goes from raw features to the effective rank, or None where it has no answer that can be compared.


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


def from_pca(data: Data, solver: str) -> Any:
    return measures(PCA(svd_solver=solver).fit(data.x.numpy()).explained_variance_.astype(np.float64))["effective_rank"]


def from_incremental_pca(data: Data) -> Any:
    return measures(IncrementalPCA().fit(data.x.numpy()).explained_variance_.astype(np.float64))["effective_rank"]


def rank_in_these_rows(data: Data) -> float:
    return rg.estimate(data.x).in_these_rows


def comparison(data: Data) -> None:
    rg.compare(data.x, data.other, paired=True)


def audited(data: Data, n_classes: int | None = None) -> Any:
    labels = None
    if n_classes is not None:
        labels = np.load(labels_of(data.path.parent, data.path.stem, n_classes))
    return rg.audit(data.path, labels=labels)["effective_rank"].in_these_rows


def product(x: Tensor) -> Tensor:
    """The smaller of the two products of the features with themselves."""
    if x.shape[-2] < x.shape[-1]:
        return x @ x.mT
    return x.mT @ x


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
    "repgeom.estimate": rank_in_these_rows,
    "repgeom.compare": comparison,
    "repgeom.audit": audited,
    **{f"repgeom.audit, {n:,} classes": partial(audited, n_classes=n) for n in CLASSES},
    "torch svd": from_svd,
    "torch svdvals": from_svdvals,
    "loop over torch svdvals": loop_of_svdvals,
    "NumPy svd": from_numpy_svd,
    "scikit-learn PCA full": partial(from_pca, solver="full"),
    "scikit-learn PCA automatic": partial(from_pca, solver="auto"),
    "scikit-learn IncrementalPCA": from_incremental_pca,
    "floor: product": floor_product,
    "floor: eigvalsh": floor_eigvalsh,
    "floor: one pass": floor_pass,
    "floor: reading": floor_reading,
}


# Measuring -----------------------------------------------------------------------------------------------------------


def features(path: Path, first: int | None = None) -> Tensor:
    array = path.with_suffix(".npy")  # a .safetensors file has a twin
    if first is None:
        return torch.from_numpy(np.load(array))
    return torch.from_numpy(np.load(array, mmap_mode="r")[:first].copy())


def load(path: Path, first: int | None = None) -> Data:
    x = features(path, first)
    return Data(path, x, another_model(x), product(x).double())


def another_model(x: Tensor) -> Tensor:
    """The same samples with a steeper spectrum."""
    return x * torch.linspace(1, 0.5, x.shape[-1])


def timed(path: Path, runs: int, names: list[str]) -> Values:
    """Check every answer, then time all candidates in turns."""
    data = load(path)
    truth = json.loads(path.with_suffix(".json").read_text())["effective_rank"]
    functions = {name: partial(CANDIDATES[name], data) for name in names}
    rows = {name: checked(name, function(), truth) for name, function in functions.items()}
    for name, seconds in timing.in_turns(functions, runs).items():
        rows[name]["seconds"] = seconds
    return rows


def checked(name: str, answer: Any, truth: Any) -> Values:
    """The error of an answer. One of ours that is off ends the run before anything is timed."""
    if answer is None:
        return {}
    found = error(answer, truth)
    if name.startswith("repgeom") and not found <= ERROR_LIMIT:
        raise SystemExit(f"{name} is off by {found:.1e}, and may be by {ERROR_LIMIT}: nothing was timed.")
    return {"error": found}


def weigh(path: Path, name: str) -> Values:
    """Growth of the peak resident memory in one run, after the libraries have been loaded and used."""
    none = torch.empty(0)
    if "audit" in name:
        # An audit reads the file itself, so only a few rows of it are loaded to warm up.
        data = Data(path, none, none, none)
        rg.audit(features(path, 2_000))
    else:
        x = features(path)
        few = x[: max(10, len(x) // 20)].clone()
        CANDIDATES[name](Data(path, few, another_model(few), none))
        data = Data(path, x, another_model(x), none)
    before = peak()
    CANDIDATES[name](data)
    return {"memory": peak() - before}


def floor(path: Path) -> Values:
    """Seconds of each part of a file's floor, of its product by that of its first rows."""
    rows = np.load(path, mmap_mode="r").shape[0]
    data = load(path, FLOOR_ROWS)
    functions = {name: partial(CANDIDATES[f"floor: {name}"], data) for name in ("product", "eigvalsh", "reading")}
    for function in functions.values():
        function()
    found = timing.in_turns(functions, 3)
    return found | {"product": found["product"] * rows / len(data.x)}


def incremental(path: Path, rows: int) -> Values:
    """Seconds for the whole file, by the share of it that was read; the error is that of the part."""
    x = np.load(path, mmap_mode="r")
    rows = min(rows, len(x))
    model, step = IncrementalPCA(), 5 * x.shape[1]  # scikit-learn's own choice of a batch

    def fit() -> None:
        for start in range(0, rows - x.shape[1], step):
            # The last batch takes the rest: fewer rows than components are refused.
            stop = rows
            if start + step + x.shape[1] <= rows:
                stop = start + step
            model.partial_fit(x[start:stop])
            if stop == rows:
                break

    seconds = timing.once(fit)
    value = measures(model.explained_variance_.astype(np.float64))["effective_rank"]
    return {"seconds": seconds * len(x) / rows, "error": error(value, by_products(x[:rows])["effective_rank"])}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(action: str, file: str, *rest: str) -> Values:
    path = Path(file)
    if action == "time":
        return timed(path, int(rest[0]), json.loads(rest[1]))
    if action == "weigh":
        return weigh(path, rest[0])
    if action == "floor":
        return floor(path)
    return incremental(path, int(rest[0]))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
