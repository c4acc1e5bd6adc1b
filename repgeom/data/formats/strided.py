"""Rows of a tensor that lies in a file at known places, as `.pt` and `.safetensors` hold them, read without mapping it.

The pages of a mapped file count as this process's memory, and where the file becomes shorter, touching them ends the process.
"""

from __future__ import annotations

import dataclasses
import math
from typing import IO

import torch
from torch import Tensor

BLOCK_BYTES = 1 << 25  # read at once where rows lie apart, 32 MB


@dataclasses.dataclass(frozen=True)
class Strided:
    """Where the values of a tensor lie.

    Attributes:
        begin: the byte of the file at which the first value lies.
        dtype: of the values.
        size, stride: as a tensor's, in values.
    """

    begin: int
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def n_values(self) -> int:
        return math.prod(self.size)

    @property
    def span(self) -> int:
        """Values from the first to the last one, with those that lie between."""
        return _span(self.size, self.stride)

    def read(self, path: str, start: int, stop: int) -> Tensor:
        """Rows start..stop-1."""
        size = (stop - start, *self.size[1:])
        if not math.prod(size):
            return torch.empty(size, dtype=self.dtype)
        with open(path, "rb") as file:
            if len(size) == 2 and self.stride[0] < _span(size[1:], self.stride[1:]):
                return self._columns(file, start, stop)
            return self._rows(file, start, stop)

    def _rows(self, file: IO[bytes], start: int, stop: int) -> Tensor:
        """Rows that follow one another, in blocks, because something else may lie between them."""
        row_bytes = max(1, self.stride[0] * self.dtype.itemsize)
        step = max(1, BLOCK_BYTES // row_bytes)
        if self.stride == _contiguous(self.size):
            step = stop - start
        blocks = []
        for first in range(start, stop, step):
            size = (min(step, stop - first), *self.size[1:])
            values = self._values(file, first * self.stride[0], _span(size, self.stride))
            # A view of rows with gaps would keep the gaps in memory.
            blocks.append(values.as_strided(size, self.stride).contiguous())
        if len(blocks) == 1:
            return blocks[0]
        return torch.cat(blocks)

    def _columns(self, file: IO[bytes], start: int, stop: int) -> Tensor:
        """Rows of a transposed matrix, column by column."""
        rows = torch.empty((stop - start, self.size[1]), dtype=self.dtype)
        n_values = _span((stop - start,), self.stride[:1])
        for column in range(self.size[1]):
            at = start * self.stride[0] + column * self.stride[1]
            rows[:, column] = self._values(file, at, n_values)[:: self.stride[0]]
        return rows

    def _values(self, file: IO[bytes], at: int, n_values: int) -> Tensor:
        file.seek(self.begin + at * self.dtype.itemsize)
        content = torch.empty(n_values * self.dtype.itemsize, dtype=torch.uint8)
        if file.readinto(content.numpy()) != len(content):  # type: ignore[attr-defined]
            raise ValueError("it became shorter while it was read")
        if self.dtype is torch.bool:
            return content != 0  # a byte that is neither 0 nor 1 is no bool
        return content.view(self.dtype)


def contiguous(begin: int, dtype: torch.dtype, size: tuple[int, ...]) -> Strided:
    """Values that lie row by row without gaps."""
    return Strided(begin, dtype, size, _contiguous(size))


def _contiguous(size: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(size[i + 1 :]) for i in range(len(size)))


def _span(size: tuple[int, ...], stride: tuple[int, ...]) -> int:
    if not math.prod(size):
        return 0
    return 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
