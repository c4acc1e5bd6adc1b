"""`.h5` and `.hdf5`: named arrays, also within groups, read in pieces by h5py. Values outside the file are never read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from repgeom.data.formats.forked import check_survival
from repgeom.data.formats.stored import StoredArray, damage_named, dtype_name, needed, read_nothing

MOST_CHUNK_BYTES = 1 << 30  # a chunk is decompressed whole


def open_hdf5(path: str) -> dict[str, StoredArray]:
    h5py = needed("h5py", path, "'repgeom[hdf5]'")
    arrays: dict[str, StoredArray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            arrays[name] = dataset_array(path, name, item, h5py)

    def visit_link(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            problem = f"is a link to another file ({link.filename}), which is never followed; open that file itself."
            arrays[name] = StoredArray((), "link", read_nothing, problem)

    def look_through() -> None:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
            file.visititems_links(visit_link)

    with damage_named(path):
        check_survival(look_through, "HDF5's library")
        look_through()
    return arrays


def dataset_array(path: str, name: str, header: Any, h5py: Any) -> StoredArray:
    """A data set of a file: numbers, or text."""
    is_text = h5py.check_string_dtype(header.dtype) is not None
    dtype = dtype_name(header.dtype)
    if is_text:
        dtype = "text"

    def read(start: int, stop: int) -> np.ndarray:
        with h5py.File(path, "r") as file:
            values = file[name]
            # The file may have been replaced by another since it was looked at.
            if problem := problem_of(values):
                raise ValueError(f"{name} {problem}")
            if is_text:
                values = values.asstr()
            return np.asarray(values[start:stop])

    return StoredArray(header.shape, dtype, read, problem_of(header))


def problem_of(values: Any) -> str:
    """Why a data set is never read; nothing where it is."""
    if values.is_virtual:
        files = sorted({source.file_name for source in values.virtual_sources()})
        return (
            f"is virtual: its rows lie elsewhere ({', '.join(files[:3])}), and where they are missing HDF5 gives zeros. "
            "Copy them into one file: `new['x'] = old['x'][:]`."
        )
    if values.external:
        outside = ", ".join(str(name) for name, _, _ in values.external[:3])
        return f"keeps its values outside the file ({outside}), and what is missing there reads as zeros. Copy them into it."
    if values.dtype.itemsize == 0:
        return f"holds values of no bytes (dtype {values.dtype}): there is nothing to read."
    if values.chunks is None:
        if values.size and not values.id.get_storage_size():
            return "was made and never written: HDF5 would give zeros for its values."
        return ""
    if math.prod(values.chunks) * values.dtype.itemsize > MOST_CHUNK_BYTES:
        return f"has chunks of shape {values.chunks}, each to be held whole. Write it again with smaller chunks."
    expected = math.prod(-(-n // chunk) for n, chunk in zip(values.shape, values.chunks, strict=True))
    written = values.id.get_num_chunks()
    if written < expected:
        return f"has {expected:,} chunks, of which {written:,} were written: HDF5 would give zeros for the others."
    return ""
