"""Files for tests, in every format that can be read."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas
import pytest
import safetensors.torch as safetensors_torch
import torch

from repgeom.data.formats.stored import extension_of
from repgeom.data.sources import Source

N, D = 11, 3


def rows(dtype: str = "float32", n: int = N, d: int = D, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def write(path: Path, x: np.ndarray) -> Path:
    """`x` in the format that the extension asks for."""
    t = torch.from_numpy(np.ascontiguousarray(x))
    frame = pandas.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[-1])]) if x.ndim == 2 else None
    match extension_of(path.name):
        case ".npy":
            np.save(path, x)
        case ".npz":
            np.savez(path, x=x)
        case ".pt" | ".pth":
            torch.save(t, path)
        case ".safetensors":
            safetensors_torch.save_file({"x": t}, path)
        case ".parquet":
            pytest.importorskip("pyarrow")
            frame.to_parquet(path)
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".h5" | ".hdf5":
            with pytest.importorskip("h5py").File(path, "w") as file:
                file["x"] = x
        case ".h5ad":
            with pytest.importorskip("h5py").File(path, "w") as file:
                file["X"] = x
        case ".zarr" | ".zarr.zip":
            write_zarr(path, x)
        case ".vec" | ".vec.gz" | ".txt":
            write_vectors(path, x)
    return path


def write_zarr(path: Path, x: np.ndarray, **options: object) -> Path:
    zarr = pytest.importorskip("zarr")
    storage = zarr.storage
    store = storage.ZipStore(path, mode="w") if path.suffix == ".zip" else storage.LocalStore(path)
    # Chunks of zeros would be left out otherwise, and are refused as those that were never written.
    config = {"write_empty_chunks": True}
    if x.size:
        zarr.create_array(store, data=x, config=config, **options)
    else:
        zarr.create_array(store, shape=x.shape, dtype=x.dtype)
    store.close()
    return path


def write_vectors(path: Path, x: np.ndarray) -> Path:
    """In word2vec's form, by `repr`, which keeps every digit."""
    lines = [f"{x.shape[0]} {x.shape[-1]}"]
    lines += [" ".join([f"word{i}", *map(repr, row)]) for i, row in enumerate(np.atleast_2d(x).tolist())]
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def largest(path: Path) -> Path:
    """The file itself, or the largest one of a store."""
    files = [path]
    if path.is_dir():
        files = [entry for entry in path.rglob("*") if entry.is_file()]
    return max(files, key=lambda file: file.stat().st_size)


def truncate(path: Path, fraction: float) -> None:
    """Cut the end off a file, or off the largest file of a store."""
    with largest(path).open("r+b") as file:
        file.truncate(int(largest(path).stat().st_size * fraction))


def whole(source: Source) -> np.ndarray:
    return source.read(0, source.n_samples).double().numpy()


def several(path: Path) -> Path:
    a, b = rows(), np.arange(4)[:, None]
    match path.suffix:
        case ".npz":
            np.savez_compressed(path, a=a, b=b)
        case ".safetensors":
            safetensors_torch.save_file({"a": torch.from_numpy(a), "b": torch.from_numpy(b)}, path)
        case ".h5":
            with pytest.importorskip("h5py").File(path, "w") as file:
                file["a"], file["b"] = a, b
        case ".pt":
            torch.save({"a": torch.from_numpy(a), "b": torch.from_numpy(b), "epoch": 3, "name": "x"}, path)
    return path


def table(path: Path, columns: dict[str, object]) -> Path:
    frame = pandas.DataFrame(columns)
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def write_text_array(path: Path, x: np.ndarray) -> Path:
    np.save(path, x) if path.suffix == ".npy" else np.savez(path, x=x)
    return path


BOTH = pytest.mark.parametrize("extension", [".parquet", ".csv", ".tsv"])
