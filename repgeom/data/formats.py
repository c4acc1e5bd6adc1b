"""What kinds of file there are: for each, the arrays that lie in it by name, and how to read pieces of them.

A new kind of file is one opener and one row in `FORMATS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array that lies in a file: what its header says, and how to read rows start..stop-1."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[int, int], Any]
    problem: str = ""  # why it cannot be read; raised only once somebody asks for this array
    columns: tuple[str, ...] = ()  # shards of a table must agree on these
    notes: tuple[str, ...] = ()


def in_memory(values: np.ndarray | Tensor, dtype: str = "") -> StoredArray:
    return StoredArray(tuple(values.shape), dtype or _dtype_name(values.dtype), lambda start, stop: values[start:stop])


def _dtype_name(dtype: np.dtype | torch.dtype) -> str:
    if isinstance(dtype, np.dtype) and dtype.kind in "fiubc":
        return dtype.name  # without the byte order
    return str(dtype).removeprefix("torch.")


@contextlib.contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Whatever a format's library raises on damaged content becomes one ValueError that names the file."""
    try:
        yield
    except (ImportError, MemoryError, PermissionError, FileNotFoundError, Warning):
        raise
    except Exception as error:
        kind = f"{extension_of(path)} file"
        raise ValueError(f"{path} is not a {kind} or damaged: {_reason(error)}. Write or copy it again.") from None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(". ")


def extension_of(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def listing(names: Any, most: int = 20) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ---- one opener per kind of file: path -> its arrays by name ("" for an array without one) ----


def _open_npy(path: str) -> dict[str, StoredArray]:
    with damage_named(path), open(path, "rb") as file:
        shape, column_major, dtype = _npy_header(file)
        offset = file.tell()
    array = StoredArray(shape, _dtype_name(dtype), lambda start, stop: read(start, stop), _unreadable(dtype))
    expected, found = offset + math.prod(shape) * dtype.itemsize, os.path.getsize(path)
    if found < expected and not array.problem:
        held = f"{expected:,} bytes expected for shape {shape} ({array.dtype}), {found:,} found"
        raise ValueError(f"{path} is truncated: {held}. Copy or write it again.")

    def read(start: int, stop: int) -> np.ndarray:
        # Plain reads, not a mapping: the pages of a mapped file count as this process's memory until they are let go.
        width = math.prod(shape[1:])
        rows = np.empty((width, stop - start) if column_major else (1, (stop - start) * width), dtype)
        with open(path, "rb") as file:
            for i, strip in enumerate(rows):
                file.seek(offset + (i * shape[0] + start if column_major else start * width) * dtype.itemsize)
                if file.readinto(strip.view(np.uint8)) != strip.nbytes:
                    raise ValueError("it became shorter while it was read")
        return rows.T if column_major else rows.reshape(stop - start, *shape[1:])

    return {"": array}


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, column_major, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"its header gives the shape {shape}")
    return shape, column_major and len(shape) > 1, dtype


def _unreadable(dtype: np.dtype) -> str:
    if dtype.hasobject:
        return (
            "is pickled (dtype object) and is never loaded, because a pickle can run code. "
            "Save it again as numbers: `np.save(path, x.astype(float), allow_pickle=False)`."
        )
    if dtype.kind == "V":
        return (
            f"holds values that NumPy has no name for (dtype {dtype}): records, or bfloat16 and the like saved by JAX. "
            "Save it again as floats: `np.save(path, x.astype(np.float32))`."
        )
    return ""


def _open_npz(path: str) -> dict[str, StoredArray]:
    def member(name: str, file: Any) -> StoredArray:
        shape, _, dtype = _npy_header(file)

        @functools.cache
        def load() -> np.ndarray:
            with np.load(path, allow_pickle=False) as arrays:
                return np.asarray(arrays[name])

        return StoredArray(shape, _dtype_name(dtype), lambda start, stop: load()[start:stop], _unreadable(dtype))

    with damage_named(path), zipfile.ZipFile(path) as archive:
        names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        return {name: member(name, archive.open(info)) for name, info in names.items()}


def _open_torch(path: str) -> dict[str, StoredArray]:
    try:
        tensors = _flat(torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path)))
    except MemoryError:
        raise
    except Exception as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds `{refused[1]}`" if refused else _reason(error)
        raise ValueError(
            f"{path} cannot be read as tensors ({reason}). Only tensors are loaded from {extension_of(path)} files, "
            "because pickles can run code. If the file is whole, save the tensor alone: `torch.save(tensor, path)`; "
            "a NumPy array becomes one with `torch.from_numpy`."
        ) from None
    sparse = "is a sparse tensor; save `x.to_dense()` instead."
    return {
        name: dataclasses.replace(in_memory(x.detach()), problem="" if x.layout is torch.strided else sparse)
        for name, x in tensors.items()
    }


def _flat(value: Any, prefix: str = "") -> dict[str, Tensor]:
    """Nested dicts and lists of tensors under dotted names; what is not a tensor is passed over."""
    if isinstance(value, Tensor):
        return {prefix: value}
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    items = value.items() if isinstance(value, dict) else ()
    return {name: x for k, v in items for name, x in _flat(v, f"{prefix}.{k}" if prefix else str(k)).items()}


def _open_safetensors(path: str) -> dict[str, StoredArray]:
    import safetensors

    kinds = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "C": "complex", "BOOL": "bool"}

    def member(name: str, header: Any) -> StoredArray:
        def read(start: int, stop: int) -> Tensor:
            # Opened anew for every piece: the library maps the file, and lets its pages go with the handle.
            with safetensors.safe_open(path, framework="pt") as file:
                return torch.as_tensor(file.get_slice(name)[start:stop])

        letters, bits = re.fullmatch(r"([A-Z]+)(.*)", header.get_dtype()).groups()  # type: ignore[union-attr]
        return StoredArray(tuple(header.get_shape()), kinds.get(letters, letters) + bits.lower(), read)

    with damage_named(path), safetensors.safe_open(path, framework="pt") as file:
        return {name: member(name, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118


def _open_hdf5(path: str) -> dict[str, StoredArray]:
    h5py = _need("h5py", path, "'repgeom[hdf5]'")
    arrays: dict[str, StoredArray] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            return
        text = h5py.check_string_dtype(item.dtype) is not None

        def read(start: int, stop: int) -> np.ndarray:
            with h5py.File(path, "r") as file:
                return np.asarray((file[name].asstr() if text else file[name])[start:stop])

        arrays[name] = StoredArray(item.shape, "text" if text else _dtype_name(item.dtype), read)

    with damage_named(path), h5py.File(path, "r") as file:
        file.visititems(visit)
    return arrays


def _open_parquet(path: str) -> dict[str, StoredArray]:
    import pandas

    _need("pyarrow", path, "'repgeom[parquet]'")
    with damage_named(path):
        frame = pandas.read_parquet(path, engine="pyarrow")
    return _columns(path, frame, ())


def _open_csv(path: str) -> dict[str, StoredArray]:
    import pandas

    load = functools.partial(pandas.read_csv, path, sep="\t" if extension_of(path) == ".tsv" else ",")
    notes: tuple[str, ...] = ()
    with damage_named(path):
        first = load(header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
        names = first[1:] if first[0] == "" else first
        # A data frame without column names is written with the names 0, 1, 2, ...: a header that looks like numbers.
        counted = len(first) > 1 and names == [str(i) for i in range(len(names))]
        headless = any(first) and not counted and all(_is_value(cell) for cell in first if cell)
        frame = load(header=None if headless else 0, low_memory=False)
        if not isinstance(frame.index, pandas.RangeIndex):
            raise ValueError(f"its rows have more cells than its first line, which has {len(first)}")
    if counted:
        notes += (f"read the first line ({listing(names, most=3)}) as column names",)
    if first[0] == "" and not headless and frame.shape[1] > 1 and frame.dtypes.iloc[0].kind == "i":
        notes += ("left out the first column: it has no name and holds row numbers, as pandas writes them",)
        frame = frame.iloc[:, 1:]
    return _columns(path, frame, notes)


def _is_value(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.startswith("[")
    return True


def _columns(path: str, frame: Any, notes: tuple[str, ...]) -> dict[str, StoredArray]:
    if 0 in frame.shape:
        raise ValueError(f"{path} has {frame.shape[0]} rows and {frame.shape[1]} columns: there is nothing to read.")
    return {str(name): dataclasses.replace(_column(series), notes=notes) for name, series in frame.items()}


def _column(series: Any) -> StoredArray:
    cells = _cells(series)
    if cells.dtype != object:
        return in_memory(cells)
    first = int(series.notna().to_numpy().argmax())
    if _number_row(cells[first]) is None:
        return in_memory(cells, "text" if isinstance(cells[first], str) else "")
    rows = [_number_row(cell) for cell in cells]
    lengths = [-1 if row is None else len(row) for row in rows]
    bad = next((i for i, length in enumerate(lengths) if length != lengths[first]), None)
    if bad is None:
        return in_memory(np.stack([row for row in rows if row is not None]))
    found = f"{lengths[bad]} numbers" if lengths[bad] >= 0 else f"{cells[bad]!r:.60}"
    found += f" in row {bad}, {lengths[first]} in row {first}"
    problem = f"has lists of different lengths: column {series.name!r} has {found}. Pad or drop those rows."
    return StoredArray((len(rows), lengths[first]), "list", lambda start, stop: cells[start:stop], problem)


def _cells(series: Any) -> np.ndarray:
    dtype = series.dtype
    if isinstance(dtype, np.dtype) or dtype.kind not in "iufb" or (dtype.kind == "b" and series.hasnans):
        return np.asarray(series.to_numpy())
    if series.hasnans:  # one of pandas' own nullable numbers
        return np.asarray(series.to_numpy("f8", na_value=np.nan))
    return np.asarray(series.to_numpy(f"{dtype.kind}{dtype.itemsize}"))


def _number_row(cell: Any) -> np.ndarray | None:
    """A cell that holds a list of numbers, perhaps as text "[0.1, 0.2]"; None for anything else."""
    try:
        cell = json.loads(cell) if isinstance(cell, str) and cell.startswith("[") else cell
        row = np.asarray(cell) if isinstance(cell, (list, tuple, np.ndarray)) else None
    except (ValueError, RecursionError):
        return None
    return row if row is not None and row.ndim == 1 and row.dtype.kind in "fiu" else None


def _open_lines(path: str) -> dict[str, StoredArray]:
    with damage_named(path), open(path, encoding="utf-8-sig") as file:
        lines = [line.strip() for line in file.read().rstrip().splitlines()]
    if "" in lines:
        raise ValueError(f"{path} has no label in line {lines.index('') + 1}: it needs one label per line.")
    return {"": in_memory(np.array(lines, dtype=str), "text")}


def _need(module: str, path: str, install: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"Reading {path} needs {module}: `pip install {install}`.") from None


FORMATS: dict[str, Callable[[str], dict[str, StoredArray]]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".pt": _open_torch,
    ".pth": _open_torch,
    ".safetensors": _open_safetensors,
    ".parquet": _open_parquet,
    ".csv": _open_csv,
    ".tsv": _open_csv,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}
LABEL_FORMATS: dict[str, Callable[[str], dict[str, StoredArray]]] = {".txt": _open_lines}
TABLES = {".parquet", ".csv", ".tsv"}
