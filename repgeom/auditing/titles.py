"""What a report calls the rows and what stands beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from repgeom.auditing.options import Options
from repgeom.auditing.preparation import GROUP, without_columns
from repgeom.data.columns import Columns
from repgeom.reading.dask_arrays import DaskRows
from repgeom.reading.pieces import PairedRows, StreamedRows

BESIDE = ("labels", "groups", "reference", "corrupted")


@dataclasses.dataclass(frozen=True)
class Titles:
    """What a report calls the features and what stands beside them, and what readers should know of how they came."""

    name: str = "features"
    reference: str = "reference"
    corrupted: str = "corrupted"
    notes: tuple[str, ...] = ()
    columns: Columns | None = None  # of a table: which of its columns are the features
    place_of: Callable[[int], str] = lambda row: (
        ""
    )  # the file that a row lies in, and its number there, of several files

    @property
    def of_rows(self) -> dict[str, str]:
        """What errors call each kind of rows."""
        kinds = {
            "rows": ("features", self.name),
            "reference": ("reference", self.reference),
            "corrupted": ("corrupted", self.corrupted),
        }
        return {kind: f"`{what}`" + (f" ({title})" if title != what else "") for kind, (what, title) in kinds.items()}


def titles_of(rows: PairedRows | StreamedRows | DaskRows, options: Options) -> Titles:
    if isinstance(rows, DaskRows):
        return Titles()
    name = rows.source.name if isinstance(rows, PairedRows) else rows.name
    names = {"reference": "reference", "corrupted": "corrupted"}
    for kind in names:
        source = getattr(rows, kind)
        if source is not None:
            names[kind] = source.name
    if isinstance(rows, StreamedRows):
        notes: tuple[str, ...] = ("The rows came as a stream and were read once.",)
        return Titles(name, names["reference"], names["corrupted"], notes)
    columns = without_columns(rows.source.columns, options.drop_columns)
    notes = rows.source.notes
    if columns is not None:
        notes = (columns.sentence(), *notes)
    titles = Titles(name, names["reference"], names["corrupted"], notes, columns)
    # Of rows of other processes the files are not known here.
    if rows.total is not None:
        return titles
    return dataclasses.replace(titles, place_of=rows.source.place_of)


def beside_of(rows: PairedRows | StreamedRows | DaskRows, options: Options) -> tuple[str, ...]:
    """What stands beside the rows, groups of equal rows among it."""
    given = set(_given_beside(rows))
    if options.duplicates == GROUP:
        given.add("groups")
    return tuple(name for name in BESIDE if name in given)


def _given_beside(rows: PairedRows | StreamedRows | DaskRows) -> tuple[str, ...]:
    names = BESIDE
    if isinstance(rows, DaskRows):
        return tuple(name for name in names if name in rows.beside)
    if isinstance(rows, StreamedRows):
        return tuple(name for name in names if name in rows.columns)
    return tuple(name for name in names if getattr(rows, name) is not None)
