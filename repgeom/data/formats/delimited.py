"""`.csv` and `.tsv`: text, which pandas parses whole. One file is held at a time, and of it the columns that were chosen."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from repgeom.data.formats.stored import (
    Held,
    StoredArray,
    StoredTable,
    damage_named,
    dtype_name,
    extension_of,
    listing,
)
from repgeom.data.formats.tables import cells_of, dtype_of_lists, first_filled, lists_of, number_row


@dataclasses.dataclass(frozen=True)
class _Column:
    values: np.ndarray
    kind: str  # as in `StoredTable`
    shape: tuple[int, ...]
    dtype: str
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class _Parsed:
    columns: dict[str, _Column]
    notes: tuple[str, ...]


def open_delimited(path: str) -> StoredTable:
    parsed = Held(lambda: _parse(path))
    now = parsed.get()
    kinds = {name: column.kind for name, column in now.columns.items()}
    column = functools.partial(_column_array, parsed)
    return StoredTable(kinds, column, functools.partial(_side_by_side, parsed), now.notes)


def _column_array(parsed: Held[_Parsed], name: str) -> StoredArray:
    column = parsed.get().columns[name]
    if column.kind == "list" and not column.problem:
        return _features(parsed, lambda now: now.columns[name].values)
    return StoredArray(
        column.shape,
        column.dtype,
        lambda start, stop: parsed.get().columns[name].values[start:stop],
        column.problem,
        notes=parsed.get().notes,
        release=parsed.release,
    )


def _side_by_side(parsed: Held[_Parsed], names: Sequence[str]) -> StoredArray:
    def joined(now: _Parsed) -> np.ndarray:
        return np.column_stack([now.columns[name].values for name in names])

    return dataclasses.replace(_features(parsed, joined), columns=tuple(names))


def _features(parsed: Held[_Parsed], choose: Callable[[_Parsed], np.ndarray]) -> StoredArray:
    """Columns that are read as features: they are held alone, and the rest of the table, perhaps long texts, is let go."""

    def load() -> np.ndarray:
        values = choose(parsed.get())
        parsed.release()
        return values

    notes = parsed.get().notes
    held = Held(load)
    values = held.get()
    return StoredArray(
        values.shape,
        dtype_name(values.dtype),
        lambda start, stop: held.get()[start:stop],
        notes=notes,
        release=held.release,
    )


def _parse(path: str) -> _Parsed:
    import pandas

    separator = ","
    if extension_of(path) == ".tsv":
        separator = "\t"
    load = functools.partial(pandas.read_csv, path, sep=separator)
    with damage_named(path):
        # As text, so that an empty cell stays empty and a number can be told from a name.
        first_line = load(header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0].tolist()
        header, notes = _header_of(first_line)
        # Read in parts, a column could change its type between two of them.
        frame = load(header=header, low_memory=False)
        # Of rows that are longer than the first line, pandas makes an index, and shifts the columns.
        if not isinstance(frame.index, pandas.RangeIndex):
            raise ValueError(f"its rows have more cells than its first line, which has {len(first_line)}")
    first_is_unnamed = first_line[0] == "" and header == 0
    if first_is_unnamed and frame.shape[1] > 1 and frame.dtypes.iloc[0].kind == "i":
        notes = (*notes, "left out the first column: it has no name and holds row numbers, as pandas writes them")
        frame = frame.iloc[:, 1:]
    if 0 in frame.shape:
        raise ValueError(f"{path} has {frame.shape[0]} rows and {frame.shape[1]} columns: there is nothing to read.")
    return _Parsed({str(name): _column(str(name), series) for name, series in frame.items()}, notes)


def _header_of(first_line: list[str]) -> tuple[int | None, tuple[str, ...]]:
    """Whether the first line holds names (0) or values (None), as pandas asks for it, and what to note about that."""
    names = first_line
    if first_line[0] == "":
        names = first_line[1:]
    # A data frame without column names is written with the names 0, 1, 2, ...: a header that looks like numbers.
    if len(first_line) > 1 and names == [str(i) for i in range(len(names))]:
        return 0, (f"read the first line ({listing(names, most=3)}) as column names",)
    if any(first_line) and all(_is_value(cell) for cell in first_line if cell):
        return None, ()
    return 0, ()


def _is_value(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.startswith("[")
    return True


def _column(name: str, series: Any) -> _Column:
    cells = cells_of(series)
    if cells.dtype != object:
        kind = "other"
        if cells.dtype.kind in "fiu":
            kind = "number"
        return _Column(cells, kind, cells.shape, dtype_name(cells.dtype))
    first = first_filled(series)
    row = number_row(cells[first])
    if row is None:
        dtype = dtype_name(cells.dtype)
        if isinstance(cells[first], str):
            dtype = "text"
        return _Column(cells, "other", cells.shape, dtype)
    lists = lists_of(cells)
    shape = (len(cells), len(row))
    _, problem = dtype_of_lists([lists], name, first, len(row))
    if problem:
        return _Column(cells, "list", shape, "list", problem)
    values = lists.rows(len(row))
    return _Column(values, "list", shape, dtype_name(values.dtype))
