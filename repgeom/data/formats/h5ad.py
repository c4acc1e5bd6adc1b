"""`.h5ad` of AnnData: the matrix `X`, layers and `obsm` as features, columns of `obs` as labels, read by h5py alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from repgeom.data.formats.forked import check_survival
from repgeom.data.formats.hdf5 import dataset_array, problem_of
from repgeom.data.formats.stored import StoredArray, damage_named, dtype_name, needed, read_nothing

SPARSE_PARTS = ("data", "indices", "indptr")
ROWS_OF_SAMPLES = ("layers", "obsm", "raw")  # groups whose arrays have a row for each sample


def open_h5ad(path: str) -> dict[str, StoredArray]:
    h5py = needed("h5py", path, "'repgeom[hdf5]'")
    with damage_named(path):
        check_survival(lambda: _arrays(path, h5py), "HDF5's library")
        return _arrays(path, h5py)


def _arrays(path: str, h5py: Any) -> dict[str, StoredArray]:
    with h5py.File(path, "r") as file:
        names = [name for name in ("X", *_members(file, *ROWS_OF_SAMPLES, h5py=h5py)) if _is_inside(file, name, h5py)]
        if not names:
            raise ValueError("it has neither X nor layers nor obsm, which AnnData writes")
        arrays = {name: _matrix(path, name, file[name], h5py) for name in names}
        columns = {name: _column(path, name, file, h5py) for name in _members(file, "obs", h5py=h5py)}
    return arrays | {name: column for name, column in columns.items() if column is not None}


def _members(file: Any, *groups: str, h5py: Any) -> list[str]:
    found = []
    for group in groups:
        if group == "raw":
            found.append("raw/X")
        elif _is_inside(file, group, h5py) and isinstance(file[group], h5py.Group):
            members = (f"{group}/{name}" for name in file[group])
            found += [name for name in members if _is_inside(file, name, h5py)]
    return found


def _is_inside(file: Any, name: str, h5py: Any) -> bool:
    """Whether there is an item of this name in the file itself. Links, which may lead to another file, are not followed."""
    item = file
    for part in name.split("/"):
        if not isinstance(item, h5py.Group) or not isinstance(item.get(part, getlink=True), h5py.HardLink):
            return False
        item = item[part]
    return True


def _checked(values: Any, name: str) -> Any:
    """A data set, once it is known that all its values lie in the file."""
    if problem := problem_of(values):
        raise ValueError(f"{name} {problem}")
    return values


def _matrix(path: str, name: str, item: Any, h5py: Any) -> StoredArray:
    if isinstance(item, h5py.Dataset):
        return dataset_array(path, name, item, h5py)
    kind = str(item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", "group")))
    shape = tuple(int(n) for n in item.attrs.get("shape", item.attrs.get("h5sparse_shape", (0, 0))))
    if not kind.startswith("csr"):
        return StoredArray(shape, kind, read_nothing, _problem(name, kind))
    if not all(_is_inside(item, part, h5py) and isinstance(item[part], h5py.Dataset) for part in SPARSE_PARTS):
        return StoredArray(shape, kind, read_nothing, "is a sparse array without its data, indices and indptr.")
    dtype = item["data"].dtype

    def read(start: int, stop: int) -> np.ndarray:
        with h5py.File(path, "r") as file:
            parts = [_checked(file[name][part], f"{name}/{part}") for part in SPARSE_PARTS]
            return _dense_rows(*parts, start=start, stop=min(stop, shape[0]), width=shape[1])

    return StoredArray(shape, dtype_name(dtype), read, notes=(f"read the sparse array {name} as a dense one",))


def _problem(name: str, kind: str) -> str:
    if kind.startswith("csc"):
        return (
            f"is sparse by columns, so that its rows cannot be read in pieces. Save it by rows: `adata.{name}.tocsr()`."
        )
    return f"is stored as {kind!r}, not as an array. Save it as one: `.to_numpy()`."


def _dense_rows(data: Any, indices: Any, indptr: Any, *, start: int, stop: int, width: int) -> np.ndarray:
    rows = np.zeros((max(stop - start, 0), width), data.dtype)
    if not len(rows):
        return rows
    ends = indptr[start : stop + 1].astype(np.int64)
    lengths = np.diff(ends)
    if len(lengths) != len(rows) or (lengths < 0).any() or ends[0] < 0:
        raise ValueError("the row pointers of its sparse array do not ascend")
    values, columns = data[ends[0] : ends[-1]], indices[ends[0] : ends[-1]].astype(np.int64)
    if len(values) != lengths.sum() or len(columns) != len(values) or (columns < 0).any():
        raise ValueError("its sparse array has fewer values than its row pointers say")
    # Added, not set: a place that is stored twice holds the sum.
    np.add.at(rows, (np.repeat(np.arange(len(rows)), lengths), columns), values)
    return rows


def _column(path: str, name: str, file: Any, h5py: Any) -> StoredArray | None:
    """A column of `obs`, for labels: numbers, text, or codes with the names of their categories. None for other kinds."""
    item = file[name]
    if isinstance(item, h5py.Dataset):
        if "categories" in item.attrs:  # AnnData before 0.8: a reference to the names
            return _categories(path, name, item.shape, lambda file: (file[name], file[file[name].attrs["categories"]]))
        if item.dtype.names or item.shape is None:
            return None
        return dataset_array(path, name, item, h5py)
    if _is_inside(item, "codes", h5py) and _is_inside(item, "categories", h5py):
        shape = item["codes"].shape
        return _categories(path, name, shape, lambda file: (file[name]["codes"], file[name]["categories"]))
    return None


def _categories(path: str, name: str, shape: tuple[int, ...], parts: Callable[[Any], tuple[Any, Any]]) -> StoredArray:
    import h5py

    def read(start: int, stop: int) -> np.ndarray:
        with h5py.File(path, "r") as file:
            codes, categories = (_checked(part, name) for part in parts(file))
            is_text = h5py.check_string_dtype(categories.dtype) is not None
            names = (categories.asstr() if is_text else categories)[:]
            found = codes[start:stop]
        missing = np.flatnonzero(found < 0)
        if len(missing):
            raise ValueError(f"row {start + missing[0]} of {name} has no category")
        return np.asarray(names)[found]

    return StoredArray(shape, "text", read)
