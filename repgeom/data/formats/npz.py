"""`.npz`: a zip archive of `.npy` members. Stored members are read by their place, compressed ones as a stream."""

from __future__ import annotations

import functools
import math
import os
import threading
import zipfile
from typing import IO

import numpy as np

from repgeom.data.formats.npy import NpyHeader, read_header, read_rows, unreadable
from repgeom.data.formats.stored import Held, StoredArray, damage_named, dtype_name, read_nothing
from repgeom.data.formats.zips import begin_of, members_of

PIECE_BYTES = 1 << 18  # what NumPy itself takes from a zip archive at a time
MOST_HELD_BYTES = 1 << 30  # of an array that must be held whole, where the file is not large itself


def open_npz(path: str) -> dict[str, StoredArray]:
    with damage_named(path), zipfile.ZipFile(path) as archive:
        members = members_of(archive)
        for name in members:
            if not name.endswith(".npy") and f"{name}.npy" in members:
                raise ValueError(f"it has two members for one name, {name!r} and '{name}.npy'")
        return {name.removesuffix(".npy"): _member(path, archive, info) for name, info in members.items()}


def _member(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredArray:
    with archive.open(info) as file:
        header = read_header(file)
    array = functools.partial(
        StoredArray,
        header.shape,
        dtype_name(header.dtype),
        problem=unreadable(header.dtype),
        check=functools.partial(_check, path, info, header),
    )
    if info.compress_type == zipfile.ZIP_STORED:
        offset = begin_of(path, info) + header.size
        return array(read=functools.partial(read_rows, path, header, offset))
    if header.column_major:
        size = os.path.getsize(path)
        if header.n_bytes > max(MOST_HELD_BYTES, 4 * size):
            return array(read=read_nothing, problem=_too_large(header))
        # The rows of a column-major array lie all over the stream: it is held whole, until the next file is begun.
        whole = Held(functools.partial(_load, path, info, header))
        return array(read=lambda start, stop: whole.get()[start:stop], release=whole.release)
    rows = _CompressedRows(path, info, header)
    return array(read=rows.read, release=rows.release)


def _check(path: str, info: zipfile.ZipInfo, header: NpyHeader) -> None:
    """Read a member once from beginning to end, which compares its checksum: rows read by place would not notice."""
    n_bytes = 0
    with zipfile.ZipFile(path) as archive, archive.open(info) as file:
        # No further than one piece behind what the header says: a few bytes can be compressed zeros without end.
        while n_bytes <= header.n_bytes and (piece := file.read(PIECE_BYTES)):
            n_bytes += len(piece)
    if n_bytes != header.n_bytes:
        more = "at least " if n_bytes > header.n_bytes else ""
        raise ValueError(
            f"its member {info.filename} has {more}{n_bytes:,} bytes where its header needs {header.n_bytes:,}"
        )


def _too_large(header: NpyHeader) -> str:
    return (
        f"is column-major and compressed: it would be held whole, {header.n_bytes:,} bytes. "
        "Save it again by rows: `np.savez_compressed(path, x=np.ascontiguousarray(x))`."
    )


def _load(path: str, info: zipfile.ZipInfo, header: NpyHeader) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, archive.open(info) as file:
        file.seek(header.size)
        values = np.empty(math.prod(header.shape), header.dtype)
        _fill(file, values)
    return values.reshape(header.shape, order="F")


class _CompressedRows:
    """Rows of a compressed member. It is decompressed forward once; reading backwards begins it again."""

    def __init__(self, path: str, info: zipfile.ZipInfo, header: NpyHeader) -> None:
        self._header = header
        self._row_bytes = math.prod(header.shape[1:]) * header.dtype.itemsize
        self._file: Held[IO[bytes]] = Held(lambda: zipfile.ZipFile(path).open(info))  # noqa: SIM115, it stays open
        self._lock = threading.Lock()  # two threads must not move one stream at the same time

    def read(self, start: int, stop: int) -> np.ndarray:
        rows = np.empty((stop - start, *self._header.shape[1:]), self._header.dtype)
        if rows.size:
            with self._lock:
                file = self._file.get()
                file.seek(self._header.size + start * self._row_bytes)  # decompresses and drops what lies between
                _fill(file, rows)
        return rows

    def release(self) -> None:
        with self._lock:
            self._file.release()


def _fill(file: IO[bytes], values: np.ndarray) -> None:
    """Fill a contiguous array from a stream in small pieces, so that the bytes are not held twice."""
    rest = values.reshape(-1).view(np.uint8)
    while len(rest):
        n_bytes = file.readinto(rest[:PIECE_BYTES])  # type: ignore[attr-defined]
        if not n_bytes:
            raise ValueError("it became shorter while it was read")
        rest = rest[n_bytes:]
