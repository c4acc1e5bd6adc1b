"""`.parquet`, `.arrow` and `.feather`: columns in groups of rows, read in batches that run forward."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from repgeom.data.columns import NUMBER, VECTOR, Column, require_distinct
from repgeom.data.formats import arrow_batches
from repgeom.data.formats.cells import (
    Vectors,
    cells_of,
    dtype_of_vectors,
    facts_of_numbers,
    facts_of_objects,
    first_filled,
    numbers_of,
    vector_of,
    vectors_of,
)
from repgeom.data.formats.forward import ForwardRows
from repgeom.data.formats.stored import (
    StoredArray,
    StoredTable,
    damage_named,
    dtype_name,
    extension_of,
    listing,
    needed,
)

BATCH_ROWS = 1024  # 3 MB at 768 features of float32
READ_BUFFER = 1 << 16  # bytes; without a buffer Arrow reads the whole column of a row group at once


def open_parquet(path: str) -> StoredTable:
    needed("pyarrow", path, "'repgeom[parquet]'")
    with damage_named(path):
        layout = _Layout.of(path)
    require_distinct(layout.names, path)
    if not layout.n_rows or not layout.names:
        raise ValueError(f"{path} has {layout.n_rows} rows and {len(layout.names)} columns: there is nothing to read.")
    with damage_named(path):
        columns = _Columns.of(path, layout)
    return StoredTable(columns.facts, columns.one, columns.side_by_side, layout.notes)


@dataclasses.dataclass(frozen=True)
class _FirstVector:
    """The first vector of a column: its row, and how many numbers it holds."""

    row: int
    width: int


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Columns and rows of a file: `group_starts` are the rows at which its groups begin, from which reading can begin."""

    names: tuple[str, ...]
    n_rows: int
    group_starts: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str) -> _Layout:
        with _opened(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            # pandas stores the index of a data frame as further columns, and names them beside the schema.
            index = (schema.pandas_metadata or {}).get("index_columns", [])
            names = tuple(name for name in schema.names if name not in index)
            stored = [name for name in index if isinstance(name, str) and name in schema.names]
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        starts = [0, *np.cumsum(sizes).tolist()]
        notes = (f"The index of the data frame is no feature: {listing(stored, most=5)}.",) if stored else ()
        return cls(names, starts[-1], tuple(starts[:-1]), notes)


@dataclasses.dataclass(frozen=True)
class _Columns:
    """What is known of the columns before their rows are read."""

    path: str
    layout: _Layout
    dtypes: dict[str, np.dtype]
    facts: dict[str, Column]
    firsts: dict[str, _FirstVector]  # of the columns of vectors

    @classmethod
    def of(cls, path: str, layout: _Layout) -> _Columns:
        dtypes = _dtypes(path, layout.names)
        facts: dict[str, Column] = {}
        firsts: dict[str, _FirstVector] = {}
        # All columns of numbers in one read: a read of each alone would open the file as often as it has columns.
        numbers = [name for name in layout.names if dtypes[name].kind in "biuf"]
        first_rows = next(_batches(path, numbers), None)
        for name in layout.names:
            if first_rows is not None and name in numbers:
                facts[name] = _facts_of_numbers(path, name, _flat(first_rows, name, dtypes[name]))
                continue
            start, cells = _first_cells(path, name)
            facts[name] = facts_of_objects(cells)
            if facts[name].kind == VECTOR:
                i = next(i for i, cell in enumerate(cells) if isinstance(vector_of(cell), np.ndarray))
                firsts[name] = _FirstVector(start + i, len(vector_of(cells[i])))
            elif facts[name].kind == NUMBER:
                dtypes[name] = np.dtype(np.float64)
        return cls(path, layout, dtypes, facts, firsts)

    def one(self, name: str) -> StoredArray:
        """The array of one column. Vectors are looked through once: whether all have one length is not in the header."""
        if name not in self.firsts:
            return self._cells(name)
        first = self.firsts[name]
        batches = _batches(self.path, [name])
        with damage_named(self.path):
            dtype, problem = dtype_of_vectors((_vectors(b, name) for b in batches), name, first.row, first.width)
        shape = (self.layout.n_rows, first.width)
        if problem:
            return dataclasses.replace(self._cells(name), shape=shape, dtype="list", problem=problem)

        def rows_of(batch: Any) -> np.ndarray:
            return _vectors(batch, name).rows(shape[1])

        return self._array([name], rows_of, np.empty((0, shape[1]), dtype), dtype_name(dtype))

    def side_by_side(self, names: Sequence[str]) -> StoredArray:
        """Several columns of numbers, promoted to one dtype."""
        dtypes = [self.dtypes[name] for name in names]
        dtype = np.result_type(*dtypes)

        def rows_of(batch: Any) -> np.ndarray:
            cells = [_flat(batch, name, of) for name, of in zip(names, dtypes, strict=True)]
            return np.column_stack(cells)

        array = self._array(names, rows_of, np.empty((0, len(names)), dtype), dtype_name(dtype))
        return dataclasses.replace(array, columns=tuple(names))

    def _cells(self, name: str) -> StoredArray:
        dtype = self.dtypes[name]
        shown = dtype_name(dtype)
        if dtype.kind == "O" and self.facts[name].first[:1] and self.facts[name].first[0][:1] in "'\"":
            shown = "text"
        return self._array([name], lambda batch: _flat(batch, name, dtype), np.empty(0, dtype), shown)

    def _array(
        self, names: Sequence[str], rows_of: Callable[[Any], np.ndarray], no_rows: np.ndarray, dtype: str
    ) -> StoredArray:
        path, columns = self.path, list(dict.fromkeys(names))

        def pieces(group: int) -> Iterator[np.ndarray]:
            return (rows_of(batch) for batch in _batches(path, columns, group))

        rows = ForwardRows(pieces, self.layout.group_starts, no_rows)
        shape = (self.layout.n_rows, *no_rows.shape[1:])
        return StoredArray(shape, dtype, rows.read, notes=self.layout.notes, release=rows.release)


def _opened(path: str) -> Any:
    if extension_of(path) in arrow_batches.EXTENSIONS:
        return arrow_batches.ArrowFile(path)
    from pyarrow import parquet

    return parquet.ParquetFile(path, buffer_size=READ_BUFFER)


def _batches(path: str, names: Sequence[str], group: int = 0) -> Iterator[Any]:
    """Record batches of some columns, from the first row of a group of rows on."""
    with _opened(path) as file:
        groups = range(group, file.num_row_groups)
        yield from file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(names))


def _column(table: Any, name: str) -> Any:
    return table.column(table.schema.get_all_field_indices(name)[-1])


def _series(table: Any, name: str) -> Any:
    """One column as pandas reads it, which turns what the file says of pandas' own types into them."""
    return table.select([table.schema.get_all_field_indices(name)[-1]]).to_pandas().iloc[:, 0]


def _dtypes(path: str, names: Sequence[str]) -> dict[str, np.dtype]:
    """The dtype that holds every cell of a column, the empty ones too."""
    from pyarrow import types

    with _opened(path) as file:
        schema = file.schema_arrow
        _check_groups(file, names)
        with_empty_cells = _with_empty_cells(path, file.metadata, names)
    dtypes: dict[str, np.dtype] = {}
    others = {}
    for name in names:
        field = schema.field(schema.get_all_field_indices(name)[-1])
        if types.is_integer(field.type) and name in with_empty_cells:
            dtypes[name] = np.dtype(np.float64)  # whole numbers have no NaN
        elif types.is_integer(field.type) or (types.is_floating(field.type) and name not in with_empty_cells):
            dtypes[name] = np.dtype(field.type.to_pandas_dtype())
        else:
            others[name] = field
    # What pandas makes of the other types, and of an empty cell among them, is asked of pandas by an example.
    for empty_cells in (0, 1):
        fields = {name: field for name, field in others.items() if (name in with_empty_cells) == bool(empty_cells)}
        dtypes |= _dtypes_by_example(fields, schema.metadata, empty_cells)
    return dtypes


def _dtypes_by_example(fields: dict[str, Any], metadata: Any, empty_cells: int) -> dict[str, np.dtype]:
    import pyarrow

    examples = [pyarrow.nulls(empty_cells, field.type) for field in fields.values()]
    schema = pyarrow.schema(list(fields.values()), metadata)
    frame = pyarrow.Table.from_arrays(examples, schema=schema).to_pandas()
    return {name: cells_of(frame.iloc[:, i]).dtype for i, name in enumerate(fields)}


def _check_groups(file: Any, names: Sequence[str]) -> None:
    """Raise an error where what the file says of a column in a group of rows is damaged.

    Arrow says so where rows are read; where its metadata is looked at, as for statistics, it ends the process.
    """
    for group in range(file.num_row_groups):
        next(file.iter_batches(1, row_groups=range(group, group + 1), columns=list(names)), None)


def _with_empty_cells(path: str, metadata: Any, names: Sequence[str]) -> set[str]:
    """The columns that have empty cells: as their statistics say, or as looking through them shows."""
    places: dict[str, list[int]] = {}
    for i in range(metadata.num_columns):
        places.setdefault(metadata.schema.column(i).path, []).append(i)
    found = set()
    for name in names:
        counts: list[int | None] = [None]
        if len(places.get(name, [])) == 1:
            counts = [
                _empty_cells(metadata.row_group(g).column(places[name][0])) for g in range(metadata.num_row_groups)
            ]
        if None in counts:
            counts = [_column(batch, name).null_count for batch in _batches(path, [name])]
        if any(counts):
            found.add(name)
    return found


def _empty_cells(chunk: Any) -> int | None:
    """How many cells of a column in a group of rows are empty; None where the file does not say."""
    statistics = chunk.statistics
    if statistics is None or not statistics.has_null_count:
        return None
    return int(statistics.null_count)


def _first_cells(path: str, name: str) -> tuple[int, np.ndarray]:
    """The first batch of a column that has a cell which is not empty, and the row that it begins with."""
    start = 0
    for batch in _batches(path, [name]):
        series = _series(batch, name)
        if series.notna().iloc[first_filled(series)]:
            return start, cells_of(series)
        start += len(series)
    return 0, np.empty(0, object)


def _facts_of_numbers(path: str, name: str, first_rows: np.ndarray) -> Column:
    """What the first rows show. A column that begins with one whole number is looked through: labels are often sorted."""
    facts = facts_of_numbers(first_rows)
    finite = first_rows[np.isfinite(first_rows)]
    if not facts.whole or facts.counts_rows or (finite != finite[0]).any():
        return facts
    for batch in _batches(path, [name]):
        cells = _flat(batch, name, first_rows.dtype)
        other = cells[np.isfinite(cells) & (cells != finite[0])]
        if len(other):
            return dataclasses.replace(facts, whole=bool((other == np.round(other)).all()), all_zero=False)
    return facts


def _flat(batch: Any, name: str, dtype: np.dtype) -> np.ndarray:
    """The cells of a column that are no lists, in the dtype that holds all of them."""
    from pyarrow import types

    column = _column(batch, name)
    if column.null_count and dtype.kind in "iub":
        raise ValueError(f"column {name!r} has empty cells where its statistics say that it has none")
    if types.is_integer(column.type) or types.is_floating(column.type):
        cells = column.to_numpy(zero_copy_only=False)
    else:
        cells = cells_of(_series(batch, name))
        if cells.dtype == object and dtype.kind == "f":
            cells = numbers_of(cells)
    return np.asarray(cells.astype(dtype, copy=False))


def _vectors(batch: Any, name: str) -> Vectors:
    """The vectors of a column. Arrow keeps their numbers in one array, so that no list need be looked at by itself."""
    from pyarrow import compute, types

    column = _column(batch, name)
    if types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        numbers = column.type.value_type
        if types.is_integer(numbers) or types.is_floating(numbers):
            lengths = compute.fill_null(compute.list_value_length(column), -1).to_numpy(zero_copy_only=False)
            values = column.flatten().to_numpy(zero_copy_only=False)
            return Vectors(lengths, values, lambda i: cells_of(_series(batch, name))[i])
    return vectors_of(cells_of(_series(batch, name)))
