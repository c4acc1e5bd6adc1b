"""Do several processes hold what they are said to hold: all the same rows, or each its own?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from repgeom.data.processes import Processes
from repgeom.data.sources import Source
from repgeom.reading.hashing import mixed, row_hashes, value_hashes
from repgeom.reading.pieces import PairedRows

SAME, OWN = "same", "own"
_RANGES = 8  # places at which rows of files are compared
_ROWS = 16  # rows at each


@dataclasses.dataclass(frozen=True)
class _Held:
    """What one process holds under one name: rows, a kind of values, and a checksum of them."""

    n: int
    kind: str
    checksum: int

    def __str__(self) -> str:
        return f"{self.n:,} x {self.kind}"


def mode_of(distributed: Any) -> str | None:
    """How processes share rows: "same" (also True), "own", or None for one process alone. Raises ValueError."""
    if distributed is False or distributed is None:
        return None
    if distributed is True:
        return SAME
    if distributed not in (SAME, OWN):
        raise ValueError(
            f'`distributed` must be "same" (every process gives all rows, and reads its part of them), "own" (every process gives '
            f'its own rows), True (as "same") or False, got {distributed!r}.'
        )
    return str(distributed)


def shared_rows(rows: PairedRows, mode: str | None, processes: Processes) -> PairedRows:
    """The rows as this process is to read them. Raises ValueError, on every process, where they are not as `mode` says."""
    if mode is None or processes.size == 1:
        return rows
    rows = rows.on_cpu()  # what processes send each other arrives there
    held = processes.everyone(processes.agreed(lambda: _held(rows)))
    if mode == SAME:
        _refuse_others(held)
        return rows
    _refuse_unlike(held)
    _refuse_copies(held)
    counts = [of_one["features"].n for of_one in held]
    return dataclasses.replace(rows, first=sum(counts[: processes.rank]), total=sum(counts))


def _held(rows: PairedRows) -> dict[str, _Held]:
    found = {}
    for name, source in (("features", rows.source), ("reference", rows.reference), ("corrupted", rows.corrupted)):
        if source is not None:
            kind = f"{source.n_features:,} {str(source.dtype).removeprefix('torch.')}"
            found[name] = _Held(source.n_samples, kind, _checksum(source))
    for name, values in (("labels", rows.labels), ("groups", rows.groups)):
        if values is not None:
            kind = "text" if values.dtype.kind in "US" else "numbers"
            found[name] = _Held(len(values), kind, _summed(value_hashes(values), 0))
    return found


def _checksum(source: Source) -> int:
    """Of all rows in memory; of files of some, since reading them all is what processes share."""
    n, total = source.n_samples, 0
    if not source.paths:
        start = 0
        for rows in source.chunks():
            total += _summed(row_hashes(rows), start)
            start += len(rows)
        return total % (1 << 64)
    for start in np.unique(np.linspace(0, max(0, n - _ROWS), _RANGES).astype(int)).tolist():
        total += _summed(row_hashes(source.read(start, min(n, start + _ROWS))), start)
    return total % (1 << 64)


def _summed(hashes: np.ndarray, start: int) -> int:
    """A sum that changes with any of the hashes and with their order."""
    places = mixed(np.arange(start, start + len(hashes), dtype=np.uint64))
    return int(mixed(hashes ^ places).sum(dtype=np.uint64))


def _refuse_others(held: list[Mapping[str, _Held]]) -> None:
    """Raises ValueError unless every process holds the same."""
    _refuse_other_names(held)
    for name, first in held[0].items():
        for rank, other in enumerate(of_one[name] for of_one in held):
            if other == first:
                continue
            what = f"{first} in process 0 and {other} in process {rank}"
            if (other.n, other.kind) == (first.n, first.kind):
                what = f"{first} in both processes 0 and {rank}, with other values or in another order"
            raise ValueError(
                f'`{name}` is {what}. With `distributed="same"` every process gives all rows and reads its part of them. Does each '
                'process hold its own rows? Then say `distributed="own"`.'
            )


def _refuse_unlike(held: list[Mapping[str, _Held]]) -> None:
    """Raises ValueError where rows of processes cannot be of one set."""
    _refuse_other_names(held)
    for name, first in held[0].items():
        for rank, other in enumerate(of_one[name] for of_one in held):
            if other.kind != first.kind:
                raise ValueError(
                    f"`{name}` is {first} in process 0 and {other} in process {rank}: rows of one set have one width and one type."
                )


def _refuse_copies(held: list[Mapping[str, _Held]]) -> None:
    """Raises ValueError where two processes hold the same rows, which would count twice."""
    seen: dict[_Held, int] = {}
    for rank, of_one in enumerate(held):
        mine = of_one["features"]
        if mine in seen:
            raise ValueError(
                f"processes {seen[mine]} and {rank} hold the same `features`, {mine}, which would count twice. With "
                '`distributed="own"` every process gives its own rows; if all hold all rows, say `distributed="same"`.'
            )
        seen[mine] = rank


def _refuse_other_names(held: list[Mapping[str, _Held]]) -> None:
    for rank, of_one in enumerate(held):
        if of_one.keys() != held[0].keys():
            raise ValueError(
                f"process 0 gives {', '.join(held[0])} and process {rank} {', '.join(of_one)}: every process must give the same."
            )
