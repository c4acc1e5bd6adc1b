"""Tables that are held in memory whole, of one file at a time, and of it the columns that were chosen."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from repgeom.data.columns import NUMBER, VECTOR, Column, require_distinct
from repgeom.data.formats.cells import (
    cells_of,
    dtype_of_vectors,
    facts_of_numbers,
    facts_of_objects,
    first_filled,
    numbers_of,
    vector_of,
    vectors_of,
)
from repgeom.data.formats.stored import Held, StoredArray, StoredTable, dtype_name


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A table in memory: what is known of its columns, and their cells."""

    facts: dict[str, Column]
    cells: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def table_in_memory(load: Callable[[], Parsed]) -> StoredTable:
    """A table of a file that can only be read whole. It is let go when the next file is begun."""
    parsed = Held(load)
    now = parsed.get()
    return StoredTable(
        now.facts, functools.partial(_column_array, parsed), functools.partial(_side_by_side, parsed), now.notes
    )


def parsed_frame(frame: Any, where: str, notes: tuple[str, ...] = ()) -> Parsed:
    """The columns of a pandas data frame, looked through. Raises ValueError where two of them have one name."""
    require_distinct(map(str, frame.columns), where)
    cells, facts = {}, {}
    for i, label in enumerate(frame.columns):
        name, values = str(label), cells_of(frame.iloc[:, i])
        facts[name] = facts_of_objects(values) if values.dtype.kind not in "biuf" else facts_of_numbers(values)
        cells[name] = numbers_of(values) if facts[name].kind == NUMBER and values.dtype.kind == "O" else values
    return Parsed(facts, cells, notes)


def _column_array(parsed: Held[Parsed], name: str) -> StoredArray:
    now = parsed.get()
    cells = now.cells[name]
    if now.facts[name].kind != VECTOR:
        dtype = dtype_name(cells.dtype)
        if cells.dtype == object and len(cells) and isinstance(cells[_first(cells)], str):
            dtype = "text"
        return StoredArray(
            cells.shape,
            dtype,
            lambda start, stop: parsed.get().cells[name][start:stop],
            notes=now.notes,
            release=parsed.release,
        )
    first = _first(cells)
    row = vector_of(cells[first])
    width = len(row)
    vectors = vectors_of(cells)
    _, problem = dtype_of_vectors([vectors], name, first, width)
    if problem:
        return StoredArray(
            (len(cells), width), "list", lambda start, stop: parsed.get().cells[name][start:stop], problem
        )
    return _features(parsed, lambda now: vectors_of(now.cells[name]).rows(width), vectors.rows(width))


def _first(cells: np.ndarray) -> int:
    import pandas

    return first_filled(pandas.Series(cells))


def _side_by_side(parsed: Held[Parsed], names: Sequence[str]) -> StoredArray:
    def joined(now: Parsed) -> np.ndarray:
        return np.column_stack([now.cells[name] for name in names])

    return dataclasses.replace(_features(parsed, joined), columns=tuple(names))


def _features(
    parsed: Held[Parsed], choose: Callable[[Parsed], np.ndarray], values: np.ndarray | None = None
) -> StoredArray:
    """Columns that are read as features: they are held alone, and the rest of the table, perhaps long texts, is let go."""

    def load() -> np.ndarray:
        chosen = choose(parsed.get())
        parsed.release()
        return chosen

    notes = parsed.get().notes
    held = Held(load)
    if values is not None:
        held.keep(values)
        parsed.release()
    values = held.get()
    return StoredArray(
        values.shape,
        dtype_name(values.dtype),
        lambda start, stop: held.get()[start:stop],
        notes=notes,
        release=held.release,
    )
