"""Rows that belong together, read piece by piece: features, and beside them labels, groups, a reference, corrupted rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.processes import Processes
from repgeom.data.sources import Source
from repgeom.reading.tally import Piece


@dataclasses.dataclass(frozen=True)
class PairedRows:
    """Features whose row i belongs to row i of everything beside them. All of it can be read again.

    Attributes:
        source: the features.
        labels, groups: (n_samples,), one value per row.
        reference, corrupted: sources of as many rows.
        first, total: where these are one process's own rows, the place of the first among those of all processes, and how many
            all hold; `total` is None where every process holds all rows.
    """

    source: Source
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    reference: Source | None = None
    corrupted: Source | None = None
    first: int = 0
    total: int | None = None

    @property
    def n_samples(self) -> int:
        return self.source.n_samples

    @property
    def n_of_all(self) -> int:
        """Rows of all processes together."""
        return self.n_samples if self.total is None else self.total

    def part(self, processes: Processes) -> tuple[int, int]:
        """The rows start..stop-1 of these that this process reads: its part of them, or all where they are its own."""
        if self.total is not None:
            return 0, self.n_samples
        return processes.part(self.n_samples, self.step)

    @property
    def sources(self) -> tuple[Source, ...]:
        found = (self.source, self.reference, self.corrupted)
        return tuple(source for source in found if source is not None)

    def on_cpu(self) -> PairedRows:
        """The same, with all rows read onto the CPU."""
        named = {name: getattr(self, name) for name in ("source", "reference", "corrupted")}
        return dataclasses.replace(
            self, **{name: source.on_cpu() for name, source in named.items() if source is not None}
        )

    @functools.cached_property
    def step(self) -> int:
        """Rows of a piece, few enough for the widest of the sources."""
        return min(source.chunk_rows for source in self.sources)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Rows start..stop-1 in order."""
        beside = [source.part(start, stop, self.step) for source in self.sources[1:]]
        names = [name for name in ("reference", "corrupted") if getattr(self, name) is not None]
        for rows in self.source.part(start, stop, self.step):
            here = np.arange(start, start + len(rows))
            columns = dict(zip(names, (next(other) for other in beside), strict=True))
            labels, groups = (None if x is None else x[here] for x in (self.labels, self.groups))
            yield Piece(rows, self.first + here, labels, groups, **columns)
            start += len(rows)


@dataclasses.dataclass(frozen=True)
class StreamedRows:
    """Rows that can be read once, in order: pieces, made by `batches`, and what stands beside them in memory or files.

    Attributes:
        name: what to call the features.
        batches: makes the pieces; their `places` count from 0.
        columns: names of everything that the pieces will hold.
        labels, groups, reference, corrupted: as in `PairedRows`, where they do not come with the batches.
    """

    name: str
    batches: Callable[[], Iterator[Piece]]
    columns: frozenset[str]
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    reference: Source | None = None
    corrupted: Source | None = None

    def pieces(self) -> Iterator[Piece]:
        """All rows in order. Raises ValueError where what stands beside them is shorter or longer."""
        given = {name: getattr(self, name) for name in ("labels", "groups", "reference", "corrupted")}
        given = {name: values for name, values in given.items() if values is not None}
        count = 0
        for piece in self.batches():
            count += len(piece)
            beside: dict[str, Any] = {}
            for name, values in given.items():
                self._check_length(name, values, count, at_least=True)
                beside[name] = _rows_of(values, piece.places)
            yield dataclasses.replace(piece, **beside)
        for name, values in given.items():
            self._check_length(name, values, count, at_least=False)

    def _check_length(self, name: str, values: Any, count: int, *, at_least: bool) -> None:
        length = values.n_samples if isinstance(values, Source) else len(values)
        if length < count or (not at_least and length != count):
            more = "at least " if at_least else ""
            raise ValueError(
                f"`{name}` has {length:,} rows and the stream {more}{count:,}: there must be one for each row of the stream."
            )


def _rows_of(values: Any, places: np.ndarray) -> Any:
    if isinstance(values, Source):
        return values.read(int(places[0]), int(places[-1]) + 1)
    return values[places]


def finite_rows_of(rows: Tensor) -> np.ndarray | None:
    """Which rows hold neither NaN nor infinity, (n,) bool; None if all do."""
    # A finite sum says that all values are finite, in a tenth of the time that looking at each takes.
    if bool(torch.isfinite(rows.sum(dtype=torch.float64 if rows.dtype == torch.float64 else torch.float32))):
        return None
    finite = torch.isfinite(rows).all(-1)
    if bool(finite.all()):
        return None
    found: np.ndarray = finite.cpu().numpy()
    return found
