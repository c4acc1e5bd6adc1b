"""Rows that can be read piece by piece, from memory or from files, and what is a stream of batches instead."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, as_tensor, chunk_rows, flattened, nonfinite_error_in, shape_of
from repgeom.data.columns import Columns
from repgeom.data.frames import is_table, table_rows

GAP_VALUES = 1 << 14  # values that are read over rather than beginning again behind them


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows that can be read piece by piece: a tensor in memory, a file, or many shards."""

    name: str
    n_samples: int
    n_features: int
    dtype: torch.dtype
    read: Callable[[int, int], Tensor]  # (start, stop) -> rows start..stop-1, float
    notes: tuple[str, ...] = ()  # what a reader of the report should know about how the rows were read
    paths: tuple[str, ...] = ()  # files that the rows lie in
    reads: str = ""  # which array and rows of them, where that is not all
    device: str = "cpu"  # where `read` puts the rows
    columns: Columns | None = None  # of a table: which of its columns these are, and why others were left out
    parts: tuple[tuple[str, int], ...] = ()  # names of the files that were joined, and how many rows each holds

    def chunks(self, step: int | None = None) -> Iterator[Tensor]:
        """All rows in order, `step` at a time."""
        return self.part(0, self.n_samples, step)

    def part(self, start: int, stop: int, step: int | None = None) -> Iterator[Tensor]:
        """Rows start..stop-1 in order. From files, the next piece is read while one is worked on."""
        step = step or self.chunk_rows
        spans = [(at, min(at + step, stop)) for at in range(start, stop, step)]
        if not self.paths or len(spans) < 2:
            yield from (self.read(*span) for span in spans)
            return
        # One thread keeps the rows in order, and one piece ahead bounds the memory.
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self.read, *spans[0])
            for span in spans[1:]:
                rows = ahead.result()
                ahead = reader.submit(self.read, *span)
                yield rows
            yield ahead.result()

    @property
    def chunk_rows(self) -> int:
        return chunk_rows(self.n_features, self.device.partition(":")[0])

    def on_cpu(self) -> Source:
        """The same rows, brought to the CPU piece by piece."""
        if self.device == "cpu":
            return self
        return dataclasses.replace(self, read=lambda start, stop: self.read(start, stop).cpu(), device="cpu")

    def place_of(self, row: int) -> str:
        """The file that a row lies in, and its number there; "" where the rows lie in one file or in memory."""
        if len(self.parts) < 2 or not 0 <= row < self.n_samples:
            return ""
        ends = np.cumsum([n_rows for _, n_rows in self.parts])
        part = int(np.searchsorted(ends, row, side="right"))
        name, n_rows = self.parts[part]
        return f"{name} row {row - int(ends[part]) + n_rows:,}"

    def rows(self, indices: np.ndarray) -> Tensor:
        """The rows at `indices` (ascending), read run by run so that a file is never read whole."""
        near = max(1, GAP_VALUES // self.n_features)  # reading over a short gap is cheaper than beginning again
        # A run ends before a wide gap, and with each piece, so that what is read at once stays bounded.
        breaks = (np.diff(indices) > near) | (np.diff(indices // self.chunk_rows) > 0)
        runs = np.split(indices, np.flatnonzero(breaks) + 1)
        return torch.cat([self.read(int(run[0]), int(run[-1]) + 1)[run - run[0]] for run in runs])

    def select(self, keep: np.ndarray) -> Source:
        """The same source without the rows where `keep` is False."""
        kept = np.flatnonzero(keep)
        reads = f"{self.reads} rows {hashlib.sha256(np.packbits(keep).tobytes()).hexdigest()}"
        return dataclasses.replace(
            self, n_samples=len(kept), read=lambda start, stop: self.rows(kept[start:stop]), reads=reads, parts=()
        )


def as_source(features: Any, name: str = "features") -> Source:
    """A single (n_samples, n_features) array as a `Source`; NaN and infinity are let through to be counted."""
    if isinstance(features, Source):
        return features
    x = as_tensor(features, name).detach()
    if x.ndim > 2:
        raise ValueError(
            f"`{name}` must be one array of n_samples x n_features, got shape {shape_of(x)}. {flattened(shape_of(x))}"
        )
    x = as_features(x, name)
    if not (x.is_cpu or x.is_cuda):
        x = x.cpu()  # other devices lack float64
    return source_of(x, name)


def table_source(table: Any, name: str, key: str | None = None) -> Source:
    """The features of a table in memory as a `Source`, which says which columns it left out; see `table_rows`."""
    rows, chosen = table_rows(table, name, key)
    return dataclasses.replace(as_source(rows, name), columns=chosen)


def source_of(x: Tensor, name: str) -> Source:
    """The same of a checked tensor (n_samples, n_features), whose rows stay on their device."""
    n_samples, n_features = x.shape
    return Source(name, n_samples, n_features, x.dtype, lambda start, stop: x[start:stop], device=str(x.device))


def nonfinite_error_of(source: Source, name: str) -> ValueError | None:
    """The error for NaN or infinity in a source: how many, and where the first one is. None if there are none."""
    where = f" ({source.name})" if source.name != name else ""
    shape = (source.n_samples, source.n_features)
    return nonfinite_error_in(source.chunks(), shape, source.dtype, f"`{name}`{where}")


def is_stream(features: Any) -> bool:
    """Whether this is an iterable of batches (a generator, a DataLoader, a list of matrices), not an array or a list of rows."""
    arrays = ("__array__", "__dlpack__", "shape", "toarray", "dtypes", "dask")
    if isinstance(features, (list, tuple)):
        return bool(features) and getattr(features[0], "ndim", 0) == 2
    if is_table(features):
        return False
    if isinstance(features, (str, bytes, dict, set, Source)) or any(hasattr(features, a) for a in arrays):
        return False
    if isinstance(features, torch.utils.data.Dataset) and not hasattr(features, "__iter__"):
        raise TypeError(
            f"`features` is a {type(features).__name__}, which gives one sample at a time; wrap it: "
            "`torch.utils.data.DataLoader(dataset, batch_size=1024)`."
        )
    return hasattr(features, "__iter__")
