"""The one loop over rows: each piece is read once and given to every tally."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from repgeom.data.processes import ALONE, Processes
from repgeom.reading.checkpoint import Checkpoint, Kept, between_pieces
from repgeom.reading.dask_arrays import DaskRows
from repgeom.reading.pieces import PairedRows, StreamedRows
from repgeom.reading.tally import Piece, Tally, from_bytes, to_bytes

T = TypeVar("T", bound=Tally)


def read(
    rows: PairedRows | StreamedRows | DaskRows,
    tally: T,
    *,
    name: str = "features",
    processes: Processes = ALONE,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
) -> T:
    """Give every piece of the rows to the tally, once.

    Args:
        rows: what to read.
        tally: what adds the rows up; of several things at once see `Tallies`.
        name: heading of the progress bar and of checkpoints.
        processes: each reads its part of the rows; the first one ends with the sum of all, the others with their own part.
        checkpoint: keeps what was read of files, and goes on from there.
        progress: show a bar on standard error where that is a terminal.

    Returns:
        The tally; another object of its kind where a checkpoint or another process had one.
    """
    if isinstance(rows, DaskRows):
        return rows.fold(tally)
    if isinstance(rows, StreamedRows):
        pieces = rows.pieces()
        first = next(pieces)
        tally.prepare(first)
        # The bar of a stream counts batches where they are made; how many rows there will be is not known.
        for piece in itertools.chain([first], pieces):
            tally.update(piece)
        return tally
    begun = processes.agreed(functools.partial(_begin, rows, tally, name, processes, checkpoint, progress))
    if processes.size > 1:
        # All add up as the first process chose by the first rows of all, so that their sums are alike.
        plan = processes.from_first(to_bytes(begun.tally.plan()))
        # Sums from a checkpoint were begun by such a plan already.
        if processes.rank > 0 and not begun.done:
            begun.tally.follow(from_bytes(plan))
    tally = processes.agreed(functools.partial(_finish, begun, name, progress and processes.rank == 0))
    return _merged(tally, processes)


@dataclasses.dataclass
class _Begun(Generic[T]):
    """A pass of one process before its first rows are added: its tally, and the pieces that are still to come."""

    tally: T
    pieces: Iterator[Piece]
    done: int  # rows that a checkpoint had
    total: int
    kept: Kept | None


def _begin(
    rows: PairedRows, tally: T, name: str, processes: Processes, checkpoint: Checkpoint | None, progress: bool
) -> _Begun[T]:
    """Find what a checkpoint has, and let the tally of the first process look at its first rows."""
    start, stop = rows.part(processes)
    kept, done = None, 0
    if checkpoint is not None:
        kept = checkpoint.open(rows, name, tally, start)
    if kept is not None:
        done = kept.rows
        _say_what_was_kept(kept, stop - start, progress and processes.rank == 0)
        if kept.state is not None:
            tally = kept.restored(type(tally))
    pieces = rows.pieces(start + done, stop)
    if not done and processes.rank == 0 and stop > start:
        first = next(pieces)
        tally.prepare(first)
        pieces = itertools.chain([first], pieces)
    return _Begun(tally, pieces, done, stop - start, kept)


def _finish(begun: _Begun[T], name: str, shown: bool) -> T:
    """Read the rest of this process's part of the rows."""
    tally, kept = begun.tally, begun.kept
    pieces = _with_bar(begun.pieces, name, begun.done, begun.total, shown)
    if kept is None:
        for piece in pieces:
            tally.update(piece)
        return tally
    with between_pieces() as signals:
        for piece in pieces:
            tally.update(piece)
            kept.add(piece)
            kept.save(tally, now=bool(signals))
            signals.stop_if_told()
        # Also when all is read: a later pass may be interrupted, and must not cause this one again.
        kept.save(tally, now=True)
    return tally


def _merged(tally: T, processes: Processes) -> T:
    """Add the tallies of all processes up in the first, two by two, so that no process holds more than two."""
    step = 1
    while step < processes.size:
        if processes.rank % (2 * step) == step:
            processes.send(to_bytes(tally.state()), processes.rank - step)
        elif processes.rank % (2 * step) == 0 and processes.rank + step < processes.size:
            tally.merge(type(tally).from_state(from_bytes(processes.receive(processes.rank + step))))
        step *= 2
    return tally


def _say_what_was_kept(kept: Kept, total: int, shown: bool) -> None:
    if kept.state is not None:
        text = f"going on after {kept.rows:,} of {total:,} rows, kept in {kept.path.parent}"
    else:
        text = (
            f"{kept.path.parent} holds what another command kept (other files, options or number of processes); reading from "
            "the start"
        )
    if shown and (kept.others or kept.state is not None):
        print(f"repgeom: {text}.", file=sys.stderr)


def _with_bar(pieces: Iterable[Piece], name: str, done: int, total: int, shown: bool) -> Iterator[Piece]:
    """The pieces, with a bar of rows and the time left."""
    from tqdm import tqdm

    # disable=None switches the bar off where standard error is not a terminal; short audits never show one.
    off = None if shown else True
    with tqdm(
        desc=name, initial=done, total=total, unit=" rows", unit_scale=True, leave=False, delay=1.0, disable=off
    ) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))
