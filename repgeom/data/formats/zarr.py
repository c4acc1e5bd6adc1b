"""`.zarr`: arrays in chunks, in a folder or a zip archive, read in pieces by the format's own library."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from repgeom.data.formats.npy import unreadable
from repgeom.data.formats.stored import StoredArray, damage_named, dtype_name, needed


def open_zarr(path: str) -> dict[str, StoredArray]:
    zarr = needed("zarr", path, "'repgeom[zarr]'")
    with damage_named(path), _opened(path) as node:
        if isinstance(node, zarr.Array):
            return {"": _member(path, "", node)}
        arrays = {name: item for name, item in node.members(max_depth=None) if isinstance(item, zarr.Array)}
        return {name: _member(path, name, array) for name, array in sorted(arrays.items())}


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The array or group at the root of a store."""
    import zarr

    store: Any = zarr.storage.LocalStore(path, read_only=True)
    if not os.path.isdir(path):
        store = zarr.storage.ZipStore(path, mode="r")
    try:
        yield _root(zarr, store)
    finally:
        store.close()


def _root(zarr: Any, store: Any) -> Any:
    try:
        return zarr.open(store, mode="r")
    except FileNotFoundError:  # what it says names a place in the store, not the file
        raise ValueError("it holds neither an array nor a group of Zarr") from None


def _member(path: str, name: str, array: Any) -> StoredArray:
    def read(start: int, stop: int) -> np.ndarray:
        with _opened(path) as node:
            values = node[name] if name else node
            return np.asarray(values[start:stop])

    is_text = array.dtype.kind in "TO"
    dtype = "text" if is_text else dtype_name(array.dtype)
    problem = ""
    if not is_text:
        problem = unreadable(array.dtype)
    if _runs_code(array):
        problem = "is pickled and is never loaded, because a pickle can run code. Save it again as numbers."
    return StoredArray(array.shape, dtype, read, problem or _missing_chunks(array))


def _runs_code(array: Any) -> bool:
    """Whether a filter of the array is a pickle, which would run what the file says."""
    filters = [*(getattr(array, "filters", None) or ()), *(getattr(array, "compressors", None) or ())]
    names = [str(getattr(codec, "codec_id", type(codec).__name__)) for codec in filters]
    return any("pickle" in name.lower() for name in names)


def _missing_chunks(array: Any) -> str:
    """Why an array is not read of which chunks are missing; nothing where all are there."""
    missing = array.nchunks - array.nchunks_initialized
    if missing <= 0:
        return ""
    return (
        f"has {array.nchunks:,} chunks, of which {missing:,} are not stored: they were never written, or hold {array.fill_value} "
        "alone. Write those too (`zarr.create_array(..., config={'write_empty_chunks': True})`), or cut the rows off."
    )
