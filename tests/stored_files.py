"""Files for tests, in every format that can be read."""

from __future__ import annotations

import gzip
import json
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
        case ".feather" | ".arrow":
            write_arrow(path, frame)
        case ".csv" | ".csv.gz" | ".csv.bz2" | ".csv.xz":
            frame.to_csv(path, index=False)
        case ".tsv" | ".tsv.gz" | ".tsv.bz2" | ".tsv.xz":
            frame.to_csv(path, index=False, sep="\t")
        case ".jsonl" | ".jsonl.gz" | ".json" | ".json.gz":
            write_json(path, frame)
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


def write_arrow(path: Path, frame: pandas.DataFrame, batch_rows: int = 64_000) -> Path:
    """`.feather` with an index of its batches, `.arrow` as a stream."""
    pa = pytest.importorskip("pyarrow")
    content = pa.Table.from_pandas(frame)
    new = pa.ipc.new_file if path.suffix == ".feather" else pa.ipc.new_stream
    with new(path, content.schema) as writer:
        writer.write_table(content, batch_rows)
    return path


def write_json(path: Path, frame: pandas.DataFrame) -> Path:
    records = [
        {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]
    text = "".join(json.dumps(record) + "\n" for record in records)
    if ".jsonl" not in path.name:
        text = json.dumps(records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
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
    elif path.suffix in (".feather", ".arrow"):
        write_arrow(path, frame)
    elif ".json" in path.name:
        write_json(path, frame)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")
    return path


def write_text_array(path: Path, x: np.ndarray) -> Path:
    np.save(path, x) if path.suffix == ".npy" else np.savez(path, x=x)
    return path


BOTH = pytest.mark.parametrize(
    "extension", [".parquet", ".csv", ".tsv", ".csv.gz", ".feather", ".arrow", ".jsonl", ".json", ".jsonl.gz"]
)
