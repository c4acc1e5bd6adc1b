"""Features with a known answer, written to files: what is measured on.

python -m benchmarks.data FOLDER SHAPES     a file of features and its truth for each name of a JSON object
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

Values = dict[str, Any]

CHUNK = 8_192  # rows at a time
SHARDS = 8
CLASSES = (10, 100, 1_000, 50_000)
# σ_i ∝ i^-exponent; a stack is plain noise.
EXPONENTS = {"steep": 1.0, "wide_steep": 1.0}


def make(folder: Path, shapes: dict[str, list[int]]) -> None:
    """Everything that the questions read."""
    for seed, (name, shape) in enumerate(shapes.items()):
        path = folder / f"{name}.npy"
        if name == "stack":
            np.save(path, np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))
        else:
            write(path, *shape, EXPONENTS.get(name, 0.5), seed)
        write_truth(path, unit_rows=name == "gentle")
    split(folder / "large.npy", folder / "large-shards", SHARDS)
    for name in ("labelled", "many"):
        write_labels(folder, name, shapes[name][0])
    as_safetensors(folder / "labelled.npy")


def write(path: Path, n: int, d: int, exponent: float, seed: int) -> None:
    """Gaussian rows with σ_i ∝ i^-exponent in directions off the axes, and a mean three standard deviations from zero."""
    random = np.random.default_rng(seed)
    scale = (np.arange(1, d + 1) ** -exponent).astype(np.float32)
    mirrors = [v / np.linalg.norm(v) for v in random.standard_normal((2, d), dtype=np.float32)]
    mean = 3 * np.sqrt(np.square(scale).mean()) * random.standard_normal(d, dtype=np.float32)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, CHUNK):
        rows = random.standard_normal((min(CHUNK, n - start), d), dtype=np.float32) * scale
        for v in mirrors:
            rows -= 2 * np.outer(rows @ v, v)
        out[start : start + CHUNK] = rows + mean
    out.flush()


def split(path: Path, folder: Path, shards: int) -> None:
    folder.mkdir()
    for i, rows in enumerate(np.array_split(np.load(path, mmap_mode="r"), shards)):
        np.save(folder / f"part-{i}.npy", rows)


def write_labels(folder: Path, name: str, n: int) -> None:
    """Labels in random order, as near to equal in number as they can be."""
    for n_classes in CLASSES:
        labels = np.random.default_rng(n_classes).permutation(np.arange(n) % n_classes)
        np.save(labels_of(folder, name, n_classes), labels)


def labels_of(folder: Path, name: str, n_classes: int) -> Path:
    return folder / f"{name}-labels-{n_classes}.npy"


def as_safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"features": np.load(path)}, path.with_suffix(".safetensors"))


def write_shards(folder: Path, kind: str, shards: int, rows: int, width: int) -> Path:
    """Shards of one kind in a folder of their own; their values do not matter, their bytes do."""
    target = folder / f"{shards}-{kind}"
    target.mkdir()
    random = np.random.default_rng(0)
    for i in range(shards):
        x = random.standard_normal((rows, width), dtype=np.float32)
        if kind == "npz":
            np.savez(target / f"part-{i:02}.npz", features=x)
        else:
            write_parquet(target / f"part-{i:02}.parquet", x)
    return target


def write_parquet(path: Path, x: np.ndarray) -> None:
    import pandas as pd

    pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])]).to_parquet(path, engine="pyarrow", compression=None)


# Truth ---------------------------------------------------------------------------------------------------------------


def write_truth(path: Path, unit_rows: bool) -> None:
    x = np.load(path, mmap_mode="r")
    # A QR of what is larger would take longer than the benchmark.
    if x.size <= 5e7 and min(x.shape[-2:]) <= 1_024:
        found = exact(np.asarray(x))
    else:
        found = by_products(x)
    if unit_rows:
        unit = x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
        found |= {f"{measure}_unit_rows": value for measure, value in exact(unit).items()}
    path.with_suffix(".json").write_text(json.dumps(found))


def measures(squares: np.ndarray) -> Values:
    """Effective rank and participation ratio of squared singular values."""
    p = squares / squares.sum(-1, keepdims=True)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    return {"effective_rank": np.exp(entropy).tolist(), "participation_ratio": (1 / np.square(p).sum(-1)).tolist()}


def exact(x: np.ndarray) -> Values:
    """From a float64 QR and SVD of the very values in the file; nothing is squared before the decomposition."""
    rows = x.astype(np.float64)
    rows -= rows.mean(-2, keepdims=True)
    return measures(np.square(np.linalg.svd(np.linalg.qr(rows, mode="r"), compute_uv=False)))


def by_products(x: np.ndarray) -> Values:
    """From products in float64, chunk by chunk, about the mean of all."""
    mean = np.mean([x[i : i + CHUNK].mean(0, dtype=np.float64) for i in range(0, len(x), CHUNK)], axis=0)
    total, scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
    for start in range(0, len(x), CHUNK):
        rows = x[start : start + CHUNK].astype(np.float64) - mean
        total += rows.sum(0)
        scatter += rows.T @ rows
    # `mean` weighs a shorter last chunk like the others, so the rest of the mean is taken off here.
    return measures(np.linalg.eigvalsh(scatter - np.outer(total, total) / len(x)).clip(min=0))


if __name__ == "__main__":
    make(Path(sys.argv[1]), json.loads(sys.argv[2]))
    print(json.dumps({}))
