"""`.npy`: a header and then the values, read by their place in the file."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

import numpy as np

from repgeom.data.formats.stored import StoredArray, damage_named, dtype_name


@dataclasses.dataclass(frozen=True)
class NpyHeader:
    """What stands before the values: shape, order and dtype. `size` is the number of bytes that it takes itself."""

    shape: tuple[int, ...]
    column_major: bool
    dtype: np.dtype
    size: int

    @property
    def n_bytes(self) -> int:
        """Bytes of header and values together."""
        return self.size + math.prod(self.shape) * self.dtype.itemsize


def open_npy(path: str) -> dict[str, StoredArray]:
    with damage_named(path), open(path, "rb") as file:
        header = read_header(file)
    found = os.path.getsize(path)
    problem = unreadable(header.dtype)
    if found != header.n_bytes and not problem:
        expected = (
            f"{header.n_bytes:,} bytes expected for shape {header.shape} ({dtype_name(header.dtype)}), {found:,} found"
        )
        if found < header.n_bytes:
            raise ValueError(f"{path} is truncated: {expected}. Copy or write it again.")
        # Two arrays that were saved to one open file are a usual cause: only the first would be read.
        raise ValueError(f"{path} holds more than its header says: {expected}. Write it again, one array to a file.")

    def read(start: int, stop: int) -> np.ndarray:
        return read_rows(path, header, header.size, start, stop)

    return {"": StoredArray(header.shape, dtype_name(header.dtype), read, problem)}


def read_header(file: Any) -> NpyHeader:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"it is of version {version[0]}.{version[1]}, and known are 1.0, 2.0 and 3.0")
    # Version 3 differs from 2 only in how names of fields are encoded, and records are never read.
    read = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    shape, column_major, dtype = read(file)
    if min(shape, default=0) < 0 or any(isinstance(n, bool) for n in shape):
        raise ValueError(f"its header gives the shape {shape}")
    return NpyHeader(shape, column_major and len(shape) > 1, dtype, file.tell())


def read_rows(path: str, header: NpyHeader, offset: int, start: int, stop: int) -> np.ndarray:
    """Rows start..stop-1 of values that begin at the byte `offset` of an uncompressed file."""
    # Plain reads, not a mapping: the pages of a mapped file count as this process's memory until they are let go.
    n_rows, width = header.shape[0], math.prod(header.shape[1:])
    if header.column_major:
        strips = np.empty((width, stop - start), header.dtype)
        places = [column * n_rows + start for column in range(width)]
    else:
        strips = np.empty((1, (stop - start) * width), header.dtype)
        places = [start * width]
    with open(path, "rb") as file:
        for place, strip in zip(places, strips, strict=True):
            file.seek(offset + place * header.dtype.itemsize)
            if file.readinto(strip.view(np.uint8)) != strip.nbytes:
                raise ValueError("it became shorter while it was read")
    if header.column_major:
        # Columns of a stack of matrices lie in its first index, as those of a matrix do.
        return strips.T.reshape(stop - start, *header.shape[1:], order="F")
    return strips.reshape(stop - start, *header.shape[1:])


def unreadable(dtype: np.dtype) -> str:
    """Why values of this dtype are never read, for `StoredArray.problem`; nothing where they are."""
    if dtype.hasobject:
        return (
            "is pickled (dtype object) and is never loaded, because a pickle can run code. "
            "Save it again as numbers: `np.save(path, x.astype(float), allow_pickle=False)`."
        )
    if dtype.names is not None:
        return (
            f"holds records with the fields {', '.join(dtype.names[:5])}. Save those that are features as an array: "
            "`np.save(path, numpy.lib.recfunctions.structured_to_unstructured(x[[...]]))`."
        )
    if dtype.itemsize == 0:
        return f"holds values of no bytes (dtype {dtype}): there is nothing to read."
    if dtype.kind == "V":
        return (
            f"holds values that NumPy has no name for (dtype {dtype}): bfloat16 and the like saved by JAX. "
            "Save it again as floats: `np.save(path, x.astype(np.float32))`."
        )
    return ""
