"""`.h5` and `.hdf5`: named arrays, also within groups, read in pieces by h5py."""

from __future__ import annotations

from typing import Any

import numpy as np

from repgeom.data.formats.stored import StoredArray, damage_named, dtype_name, needed


def open_hdf5(path: str) -> dict[str, StoredArray]:
    h5py = needed("h5py", path, "'repgeom[hdf5]'")
    arrays: dict[str, StoredArray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            arrays[name] = _member(path, name, item, h5py)

    with damage_named(path), h5py.File(path, "r") as file:
        file.visititems(visit)
    return arrays


def _member(path: str, name: str, header: Any, h5py: Any) -> StoredArray:
    is_text = h5py.check_string_dtype(header.dtype) is not None
    dtype = dtype_name(header.dtype)
    if is_text:
        dtype = "text"

    def read(start: int, stop: int) -> np.ndarray:
        with h5py.File(path, "r") as file:
            values = file[name]
            if is_text:
                values = values.asstr()
            return np.asarray(values[start:stop])

    return StoredArray(header.shape, dtype, read)
