"""`.jsonl` (an object or a list a line) and `.json` (all in one): records, which are held whole, one file at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from repgeom.data.columns import require_distinct
from repgeom.data.formats.held_table import Parsed, parsed_frame, table_in_memory
from repgeom.data.formats.stored import StoredTable, damage_named, listing
from repgeom.data.formats.text_lines import lines_of, opened_bytes

UNNAMED = "row"  # the column of rows that are lists without names


def open_json_lines(path: str) -> StoredTable:
    return table_in_memory(lambda: _parsed(path, _columns_of_records(_records_of_lines(path), "line")))


def open_json(path: str) -> StoredTable:
    return table_in_memory(lambda: _parsed(path, _columns_of(_content(path))))


def _parsed(path: str, columns: Iterable[tuple[str, list[Any]]]) -> Parsed:
    import pandas

    with damage_named(path):
        columns = list(columns)
        require_distinct((name for name, _ in columns), path)
        series = {name: pandas.Series(cells, dtype=_dtype(cells)) for name, cells in columns}
        frame = pandas.DataFrame(series)
    if 0 in frame.shape:
        raise ValueError(f"{path} has {frame.shape[0]} rows and {frame.shape[1]} columns: there is nothing to read.")
    return parsed_frame(frame, path)


def _dtype(cells: list[Any]) -> Any:
    """Objects where any cell is more than a number: pandas would make columns of text and dates in forms of its own."""
    if all(cell is None or isinstance(cell, (bool, int, float)) for cell in cells):
        return None
    return object


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of two values with one name, `json` would keep the last."""
    require_distinct((name for name, _ in pairs), "an object")
    return dict(pairs)


# ---- lines ----


def _records_of_lines(path: str) -> Iterator[Any]:
    for number, line in enumerate(lines_of(path), 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            yield _compact(json.loads(line, object_pairs_hook=_object))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"line {number} is no JSON: {error}") from None
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None


def _compact(record: Any) -> Any:
    """A record whose lists of numbers are arrays, which take a quarter of the memory."""
    if isinstance(record, dict):
        return {name: _array_of(cell) for name, cell in record.items()}
    return _array_of(record)


def _array_of(cell: Any) -> Any:
    if isinstance(cell, list) and cell and all(isinstance(value, (int, float)) for value in cell):
        return np.array(cell)
    return cell


def _columns_of_records(records: Iterable[Any], what: str) -> Iterator[tuple[str, list[Any]]]:
    """The cells of each column, with None where a record does not have it."""
    columns: dict[str, list[Any]] = {}
    for i, record in enumerate(records):
        if not isinstance(record, dict):
            if not isinstance(record, (list, np.ndarray)):
                raise ValueError(f"{what} {i + 1} is {record!r:.40}, and each must be an object or a list of numbers")
            record = {UNNAMED: record}
        for name, cell in record.items():
            columns.setdefault(name, [None] * i).append(cell)
        for cells in columns.values():
            if len(cells) == i:
                cells.append(None)
    yield from columns.items()


# ---- one value ----


def _content(path: str) -> Any:
    with damage_named(path), opened_bytes(path) as file:
        return json.loads(file.read().decode("utf-8-sig"), object_pairs_hook=_object)


def _columns_of(content: Any) -> Iterable[tuple[str, list[Any]]]:
    """Columns from the forms in which tables are written: a list of records or rows, an object of columns, or pandas' own."""
    if isinstance(content, list):
        return _columns_of_records(map(_compact, content), "element")
    if not isinstance(content, dict):
        raise ValueError(f"it holds {content!r:.40}, and must hold a list of records or an object of columns")
    if content.keys() <= {"columns", "index", "data"} and "data" in content:  # pandas' orient="split"
        names = map(str, content.get("columns", ()))
        return zip(names, map(list, zip(*content["data"], strict=True)), strict=True)
    return _columns_of_object(content)


def _columns_of_object(content: Mapping[str, Any]) -> Iterable[tuple[str, list[Any]]]:
    columns = {}
    for name, cells in content.items():
        if isinstance(cells, dict):  # as pandas writes a column: each cell with the name of its row
            cells = list(cells.values())
        columns[name] = cells
    if not all(isinstance(cells, list) for cells in columns.values()) or len(set(map(len, columns.values()))) > 1:
        seen = listing(f"{name} ({_described(cells)})" for name, cells in columns.items())
        raise ValueError(f"its object needs columns of one length, and holds {seen}")
    return [(name, [_array_of(cell) for cell in cells]) for name, cells in columns.items()]


def _described(cells: Any) -> str:
    if isinstance(cells, list):
        return f"{len(cells):,} cells"
    return type(cells).__name__
