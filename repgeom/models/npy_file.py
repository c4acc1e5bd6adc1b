"""A `.npy` to which rows are appended, batch by batch."""

from __future__ import annotations

import os

import numpy as np
from torch import Tensor

_HEADER_BYTES = 128  # of a .npy whose number of rows is written at the end


class NpyFile:
    """Rows appended to a `.npy` beside its target, which takes its name once it is whole.

    Raises ValueError for a target that is no file, such as a device: it would be replaced.
    """

    def __init__(self, path: str) -> None:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError(f"{path} is no file: a .npy cannot be written to it. Name a file, such as features.npy.")
        self._path, self._part = path, f"{path}.{os.getpid()}.part"
        self._file = open(self._part, "wb")  # noqa: SIM115, it stays open from batch to batch
        self._shape = (0, 0)
        self._dtype = np.dtype(np.float32)

    def add(self, rows: Tensor) -> None:
        values = rows.cpu().numpy()
        if not self._shape[1]:
            self._dtype = values.dtype
            self._file.write(bytes(_HEADER_BYTES))
        self._shape = (self._shape[0] + len(values), values.shape[1])
        self._file.write(np.ascontiguousarray(values, self._dtype).tobytes())

    def result(self) -> str:
        self._file.seek(0)
        self._file.write(self._header())
        self._file.close()
        os.replace(self._part, self._path)
        return self._path

    def _header(self) -> bytes:
        words = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": self._shape}
        text = repr(words).encode("latin-1")
        start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
        return start + text + b" " * (_HEADER_BYTES - len(start) - len(text) - 1) + b"\n"

    def discard(self) -> None:
        self._file.close()
        if os.path.exists(self._part):
            os.unlink(self._part)
