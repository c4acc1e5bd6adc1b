"""`.arrow` and `.feather`: record batches one after the other, with an index at the end of the file or as a stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
EXTENSIONS = (".arrow", ".feather")


@dataclasses.dataclass(frozen=True)
class _Group:
    num_rows: int


class _Metadata:
    """Rows of each batch, in the form in which Parquet tells those of its groups. Of columns it knows no statistics."""

    num_columns = 0

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self.num_row_groups = len(sizes)

    def row_group(self, i: int) -> _Group:
        return _Group(self._sizes[i])


class ArrowFile:
    """The batches of an Arrow file, with the methods of `pyarrow.parquet.ParquetFile` that reading a table needs.

    A stream has no index: all of it is one group, from whose beginning it is read.
    """

    def __init__(self, path: str) -> None:
        import pyarrow

        self._path = path
        # Not mapped: a file that is shortened while its pages are mapped ends the process.
        self._file = pyarrow.OSFile(path)
        try:
            magic = self._file.read(6)
            if magic[:4] == b"FEA1":
                raise ValueError("it is of Feather's first version; write it again with a pyarrow of today")
            self._is_stream = magic != b"ARROW1"
            if self._is_stream:
                self._check_end()
            self._reader = self._opened([])
            self.schema_arrow = self._reader.schema
        except BaseException:
            self._file.close()
            raise

    def _check_end(self) -> None:
        """Raise ValueError where a stream breaks off between two batches, which reading it would not notice."""
        self._file.seek(max(self._file.size() - len(END_OF_STREAM), 0))
        if self._file.read(len(END_OF_STREAM)) != END_OF_STREAM:
            raise ValueError("its stream of batches has no end: it was cut off, or is still being written")

    def _opened(self, columns: Sequence[int]) -> Any:
        from pyarrow import ipc

        self._file.seek(0)
        options = ipc.IpcReadOptions(included_fields=list(columns)) if columns else None
        if self._is_stream:
            return ipc.open_stream(self._file, options=options)
        return ipc.open_file(self._file, options=options)

    def __enter__(self) -> ArrowFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def num_row_groups(self) -> int:
        if self._is_stream:
            return 1
        return int(self._reader.num_record_batches)

    @property
    def metadata(self) -> _Metadata:
        """How many rows each group has. They are counted: only the batches themselves say it."""
        first = [0] if len(self.schema_arrow) else []
        sizes = [batch.num_rows for batch in self._batches(range(self.num_row_groups), first)]
        return _Metadata([sum(sizes)] if self._is_stream else sizes)

    def iter_batches(self, size: int, row_groups: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Some columns, or all, of the rows of some groups, at most `size` rows at a time."""
        places: list[int] = []
        if columns is not None:
            places = sorted(self.schema_arrow.get_all_field_indices(name)[-1] for name in columns)
            if not places:
                return
        for batch in self._batches(row_groups, places):
            # Offsets and lengths in a damaged file may lead outside of its values.
            batch.validate(full=True)
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)

    def _batches(self, groups: Sequence[int], columns: Sequence[int]) -> Iterator[Any]:
        reader = self._opened(columns)
        if self._is_stream:
            yield from reader
            return
        for i in groups:
            yield reader.get_batch(i)
