"""`.npz`: a zip archive of `.npy` members. Stored members are read by their place, compressed ones as a stream."""

from __future__ import annotations

import functools
import math
import struct
import threading
import zipfile
from typing import IO

import numpy as np

from repgeom.data.formats.npy import NpyHeader, read_header, read_rows, unreadable
from repgeom.data.formats.stored import Held, StoredArray, damage_named, dtype_name

PIECE_BYTES = 1 << 18  # what NumPy itself takes from a zip archive at a time


def open_npz(path: str) -> dict[str, StoredArray]:
    with damage_named(path), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        return {name: _member(path, archive, info) for name, info in members.items()}


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
        offset = _begin_of(path, info) + header.size
        return array(read=functools.partial(read_rows, path, header, offset))
    if header.column_major:
        # The rows of a column-major array lie all over the stream: it is held whole, until the next file is begun.
        whole = Held(functools.partial(_load, path, info, header))
        return array(read=lambda start, stop: whole.get()[start:stop], release=whole.release)
    rows = _CompressedRows(path, info, header)
    return array(read=rows.read, release=rows.release)


def _begin_of(path: str, info: zipfile.ZipInfo) -> int:
    """Where in the file the content of a member begins: behind its local header of 30 bytes, its name and extra fields."""
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        # The archive's directory has lengths too, but its extra fields may differ from these.
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
    return info.header_offset + 30 + name_length + extra_length


def _check(path: str, info: zipfile.ZipInfo, header: NpyHeader) -> None:
    """Read a member once from beginning to end, which compares its checksum: rows read by place would not notice."""
    n_bytes = 0
    with zipfile.ZipFile(path) as archive, archive.open(info) as file:
        while piece := file.read(PIECE_BYTES):
            n_bytes += len(piece)
    if n_bytes < header.n_bytes:
        raise ValueError(f"its member {info.filename} has {n_bytes:,} bytes where its header needs {header.n_bytes:,}")


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
