"""Tables in memory: data frames of pandas and polars, Arrow tables, Hugging Face data sets and their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from repgeom.data.column_choice import choose, settled_in_python
from repgeom.data.columns import VECTOR, Columns, Selection, require_distinct
from repgeom.data.formats.cells import vectors_of
from repgeom.data.formats.held_table import Parsed, parsed_frame


def is_table(values: Any) -> bool:
    """Whether this is a table with named columns, or a column of a Hugging Face data set."""
    return _kind(values) != ""


def table_rows(table: Any, name: str, key: str | None = None) -> tuple[np.ndarray, Columns]:
    """Rows (n_samples, n_features) of the columns that are features, and what was decided about all columns.

    Args:
        table: a table of any kind that `is_table` knows.
        name: what errors call it.
        key: its column of vectors, or its columns, separated by commas; by default those that can be nothing else.

    Raises ValueError and TypeError as `repgeom.data.columns.choose`, and ValueError for vectors of different lengths.
    """
    parsed = _parsed(table, name, key)
    chosen = choose(parsed.facts, Selection(key=key), f"`{name}`", settled_in_python)
    if parsed.facts[chosen.used[0]].kind == VECTOR:
        return _vectors(parsed.cells[chosen.used[0]], chosen.used[0], name), chosen
    if _kind(table) == "pandas" and not chosen.left_out and all(isinstance(t, np.dtype) for t in table.dtypes):
        return np.asarray(table), chosen  # without a copy where all columns are of one dtype
    return np.column_stack([parsed.cells[column] for column in chosen.used]), chosen


def whole_table(table: Any, name: str) -> np.ndarray:
    """The rows of a table of which every column is a feature. Raises TypeError where one is not: nobody would be told."""
    rows, chosen = table_rows(table, name)
    if chosen.left_out:
        names = list(chosen.left_out)
        reasons = ", ".join(f"{column} ({chosen.left_out[column]})" for column in names[:5])
        raise TypeError(
            f"`{name}` has columns that are no features: {reasons}. Leave them out: `frame.drop(columns={names[:5]})`, or "
            "select the features (`repgeom.audit` leaves them out and says so)."
        )
    return rows


def _kind(values: Any) -> str:
    """The library that a table is of; empty for what is no table."""
    module = type(values).__module__.partition(".")[0]
    if module == "datasets":
        return "datasets" if hasattr(values, "num_rows") or hasattr(values, "column_name") else ""
    if module == "polars":
        return "polars" if hasattr(values, "get_columns") or hasattr(values, "collect") else ""
    if module == "pyarrow":
        return "pyarrow" if hasattr(values, "column_names") else ""
    if hasattr(values, "dtypes") and hasattr(values, "columns") and hasattr(values, "iloc"):
        return "" if hasattr(values, "dask") else "pandas"
    return ""


def _parsed(table: Any, name: str, key: str | None) -> Parsed:
    kind = _kind(table)
    if kind == "pandas":
        return parsed_frame(table, f"`{name}`")
    if kind == "polars":
        return parsed_frame(_of_polars(table), f"`{name}`")
    if kind == "datasets":
        table = _of_datasets(table, name, key)
    import pandas

    require_distinct(table.column_names, f"`{name}`")
    columns = [table.column(i).to_pandas() for i in range(table.num_columns)]
    return parsed_frame(_side_by_side(pandas, dict(zip(table.column_names, columns, strict=True))), f"`{name}`")


def _side_by_side(pandas: Any, columns: Mapping[str, Any]) -> Any:
    return pandas.concat(
        [pandas.Series(c).reset_index(drop=True) for c in columns.values()], axis=1, keys=list(columns)
    )


def _of_polars(frame: Any) -> Any:
    """A pandas frame of the same columns. Polars' own conversion needs pyarrow."""
    import pandas

    if hasattr(frame, "collect"):
        frame = frame.collect()
    columns = {}
    for series in frame.get_columns():
        if str(series.dtype).startswith(("List", "Array")):
            cells = np.empty(len(series), object)
            cells[:] = [cell.to_numpy() if hasattr(cell, "to_numpy") else cell for cell in series]
            columns[series.name] = pandas.Series(cells)
        elif series.dtype.is_numeric() or str(series.dtype) == "Boolean":
            columns[series.name] = pandas.Series(series.to_numpy())
        else:
            columns[series.name] = pandas.Series(series.to_list(), dtype=object)
    return _side_by_side(pandas, columns)


def _of_datasets(table: Any, name: str, key: str | None) -> Any:
    """An Arrow table of a data set, or of one of its columns."""
    if hasattr(table, "column_name"):
        table = table.source.select_columns([table.column_name])
    if isinstance(table.num_rows, dict):
        raise TypeError(
            f"`{name}` holds the splits {', '.join(table)}; pass one of them, such as `dataset[{next(iter(table))!r}]`."
        )
    if key is not None:
        wanted = [key] if key in table.column_names else [part.strip() for part in key.split(",")]
        if set(wanted) <= set(table.column_names):  # else the error names the columns that there are
            table = table.select_columns(wanted)
    return table.with_format("arrow")[:]


def _vectors(cells: np.ndarray, column: str, name: str) -> np.ndarray:
    vectors = vectors_of(cells)
    widths = np.unique(vectors.lengths)
    if len(widths) > 1 or widths[0] < 0:
        row = int(np.flatnonzero(vectors.lengths != np.bincount(vectors.lengths[vectors.lengths >= 0]).argmax())[0])
        raise ValueError(
            f"`{name}`: the vectors of column {column!r} have different lengths; row {row} holds {cells[row]!r:.60}. Pad or drop "
            "such rows."
        )
    return vectors.rows(int(widths[0]))
