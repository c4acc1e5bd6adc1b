"""`.csv` and `.tsv`: text, which pandas parses whole."""

from __future__ import annotations

from typing import Any

from repgeom.data.formats.dialect import Dialect, dialect_of
from repgeom.data.formats.held_table import Parsed, parsed_frame, table_in_memory
from repgeom.data.formats.stored import StoredTable, damage_named


def open_delimited(path: str, *, header: bool | None = None, delimiter: str | None = None) -> StoredTable:
    return table_in_memory(lambda: _parse(path, header, delimiter))


def _parse(path: str, header: bool | None, delimiter: str | None) -> Parsed:
    import pandas

    usual = "\t" if ".tsv" in path.lower()[-8:] else ","
    dialect = dialect_of(path, usual, header, delimiter)
    with damage_named(path):
        frame = _frame(path, dialect)
        # Of rows that are longer than the first line, pandas makes an index, and shifts the columns.
        if not isinstance(frame.index, pandas.RangeIndex):
            raise ValueError(f"its rows have more cells than its first line, which has {len(dialect.first_line)}")
    first = str(frame.columns[0])
    if dialect.has_names and first.startswith("# ") and first[2:] not in frame.columns:
        frame = frame.rename(columns={frame.columns[0]: first[2:]})  # as `numpy.savetxt` writes a line of names
    if 0 in frame.shape:
        raise ValueError(f"{path} has {frame.shape[0]} rows and {frame.shape[1]} columns: there is nothing to read.")
    return parsed_frame(frame, path, dialect.notes)


def _frame(path: str, dialect: Dialect) -> Any:
    import pandas

    return pandas.read_csv(
        path,
        sep=dialect.delimiter,
        decimal=dialect.decimal,
        header=0 if dialect.has_names else None,
        skipinitialspace=True,  # "f0, f1"
        low_memory=False,  # read in parts, a column could change its type between two of them
    )
