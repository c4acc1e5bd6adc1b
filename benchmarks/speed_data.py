"""Features with a known answer, written to files: what the speed page measures on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

Values = dict[str, Any]

CHUNK = 8_192  # rows at a time
SHARDS = 8


def make(folder: Path, sizes: dict[str, Any]) -> Values:
    """One file and its truth for each name: (n, d, exponent), or "stack": (problems, n, d)."""
    for seed, (name, size) in enumerate(sizes.items()):
        path = folder / f"{name}.npy"
        if name == "stack":
            np.save(path, np.random.default_rng(seed).standard_normal(size, dtype=np.float32))
        else:
            write(path, *size, seed)
        x = np.load(path, mmap_mode="r")
        # A QR of what is larger would take longer than the benchmark.
        found = exact(np.asarray(x)) if x.size <= 5e7 and min(x.shape[-2:]) <= 1_024 else by_products(x)
        if name == "gentle":
            unit = x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
            found |= {f"{measure}_unit_rows": value for measure, value in exact(unit).items()}
        path.with_suffix(".json").write_text(json.dumps(found))
    split(folder / "large.npy", folder / "shards")
    return {}


def write(path: Path, n: int, d: int, exponent: float, seed: int) -> None:
    """Gaussian rows with σ_i ∝ i^-exponent in directions off the axes, and a mean three standard deviations from zero."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(1, d + 1) ** -exponent).astype(np.float32)
    mirrors = [v / np.linalg.norm(v) for v in rng.standard_normal((2, d), dtype=np.float32)]
    mean = 3 * np.sqrt(np.square(scale).mean()) * rng.standard_normal(d, dtype=np.float32)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, CHUNK):
        rows = rng.standard_normal((min(CHUNK, n - start), d), dtype=np.float32) * scale
        for v in mirrors:
            rows -= 2 * np.outer(rows @ v, v)
        out[start : start + CHUNK] = rows + mean
    out.flush()


def split(path: Path, folder: Path) -> None:
    folder.mkdir()
    for i, rows in enumerate(np.array_split(np.load(path, mmap_mode="r"), SHARDS)):
        np.save(folder / f"part-{i}.npy", rows)


# Truth ---------------------------------------------------------------------------------------------------------------


def measures(squares: np.ndarray) -> Values:
    p = squares / squares.sum(-1, keepdims=True)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    return {"effective_rank": np.exp(entropy).tolist(), "participation_ratio": (1 / np.square(p).sum(-1)).tolist()}


def centred_float64(x: np.ndarray) -> np.ndarray:
    rows = x.astype(np.float64)
    rows -= rows.mean(-2, keepdims=True)
    return rows


def exact(x: np.ndarray) -> Values:
    """From a float64 QR and SVD of the very values in the file; nothing is squared before the decomposition."""
    return measures(np.square(np.linalg.svd(np.linalg.qr(centred_float64(x), mode="r"), compute_uv=False)))


def by_products(x: np.ndarray) -> Values:
    """From products in float64, chunk by chunk, about the mean of all."""
    mean = np.mean([x[i : i + CHUNK].mean(0, dtype=np.float64) for i in range(0, len(x), CHUNK)], axis=0)
    total, scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
    for start in range(0, len(x), CHUNK):
        rows = x[start : start + CHUNK].astype(np.float64) - mean
        total += rows.sum(0)
        scatter += rows.T @ rows
    return measures(np.linalg.eigvalsh(scatter - np.outer(total, total) / len(x)).clip(min=0))
