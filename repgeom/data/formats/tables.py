"""Cells of tables: columns of numbers with empty cells, and columns whose cells are lists of numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Lists:
    """Cells that hold lists: how many numbers each has (−1 where it is no list of numbers), and all numbers in a row."""

    lengths: np.ndarray
    numbers: np.ndarray
    cell: Callable[[int], Any]  # a cell as it stands in the table, for a message

    def rows(self, width: int) -> np.ndarray:
        return self.numbers.reshape(len(self.lengths), width)


def cells_of(series: Any) -> np.ndarray:
    """The cells of a pandas column. An empty cell among whole numbers makes all of them floats, as in pandas."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype) or dtype.kind not in "iufb":
        return np.asarray(series.to_numpy())
    # What remains is one of pandas' own nullable types.
    if not series.hasnans:
        return np.asarray(series.to_numpy(f"{dtype.kind}{dtype.itemsize}"))
    if dtype.kind == "b":
        return np.asarray(series.to_numpy())
    return np.asarray(series.to_numpy("f8", na_value=np.nan))


def first_filled(series: Any) -> int:
    """The place of the first cell that is not empty, or 0 where all are."""
    return int(series.notna().to_numpy().argmax())


def number_row(cell: Any) -> np.ndarray | None:
    """A cell that holds a list of numbers, perhaps as text "[0.1, 0.2]"; None for anything else."""
    try:
        if isinstance(cell, str) and cell.startswith("["):
            cell = json.loads(cell)
        if not isinstance(cell, (list, tuple, np.ndarray)):
            return None
        row = np.asarray(cell)
    except (ValueError, RecursionError):
        return None
    if row.ndim != 1 or row.dtype.kind not in "fiu":
        return None
    return row


def lists_of(cells: np.ndarray) -> Lists:
    """Lists from cells of any kind, looked at one by one."""
    rows = [number_row(cell) for cell in cells]
    lengths = np.array([-1 if row is None else len(row) for row in rows])
    numbers = [row for row in rows if row is not None]
    return Lists(lengths, np.concatenate(numbers or [np.empty(0)]), lambda i: cells[i])


def dtype_of_lists(pieces: Iterable[Lists], name: str, first: int, width: int) -> tuple[np.dtype, str]:
    """The dtype that holds the numbers of all lists of a column, and, where lengths differ, the sentence on the first that does.

    Args:
        pieces: the lists of the column, from its first row on.
        first, width: the row that the others are compared with, and how many numbers it has.
    """
    dtypes: list[np.dtype] = []
    start = 0
    for piece in pieces:
        others = np.flatnonzero(piece.lengths != width)
        if len(others):
            i = int(others[0])
            found = f"{piece.lengths[i]} numbers"
            if piece.lengths[i] < 0:
                found = f"{piece.cell(i)!r:.60}"
            found += f" in row {start + i}, {width} in row {first}"
            problem = f"has lists of different lengths: column {name!r} has {found}. Pad or drop those rows."
            return np.dtype(object), problem
        dtypes.append(piece.numbers.dtype)
        start += len(piece.lengths)
    return np.result_type(*dtypes), ""
