"""What an interrupted reading leaves: a file for each pass in a folder, with a checksum of its own content."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from repgeom.data.processes import Processes
from repgeom.data.saving import write_whole
from repgeom.data.sources import Source
from repgeom.data.unchanged import OpenedFile
from repgeom.reading.hashing import mixed, row_hashes, value_hashes
from repgeom.reading.locks import Lock
from repgeom.reading.pieces import PairedRows
from repgeom.reading.tally import Piece, State, Tally, from_bytes, to_bytes

T = TypeVar("T", bound=Tally)

SAVE_SECONDS = 20.0  # at least between two times that what was read is written down
_VERSION = b"repgeom checkpoint 3 "


class Checkpoint:
    """A folder that keeps what was read of files.

    A pass is found again by what was asked: the files, the rows and array of them, and every option that its sums depend
    on. Where a file has another date, what was read of it is compared by its checksum.
    """

    def __init__(self, folder: str | os.PathLike[str], processes: Processes, *asked: Any) -> None:
        self.folder, self.processes, self.asked = Path(folder), processes, asked
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"`checkpoint` must be a folder, and {self.folder} is a file.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._locks: dict[Path, Lock] = {}  # of the files that this run writes

    def open(self, rows: PairedRows, name: str, tally: Tally, start: int) -> Kept | None:
        """What was kept of this pass, if anything was, of the rows from `start` on.

        None where another run of the same audit is writing it: the audit then goes on without.
        """
        for what, source in _named_sources(rows).items():
            if source is not None and not source.paths:
                raise ValueError(f"`checkpoint` keeps what was read of files, and `{what}` cannot be read again.")
        path = self._path(rows, name, type(tally).__name__)
        others = any(self.folder.glob("*.checkpoint"))
        if path not in self._locks:
            lock = Lock(path.with_suffix(".lock"))
            if not lock.take():
                warnings.warn(
                    f"another run of this audit is writing {path}; this one goes on without a checkpoint.", stacklevel=2
                )
                return None
            self._locks[path] = lock
        kept = Kept(path, rows, others)
        kept.load(start)
        return kept

    def _path(self, rows: PairedRows, name: str, kind: str) -> Path:
        files = {}
        for what, source in _named_sources(rows).items():
            if source is not None:
                files[what] = [os.path.abspath(path) for path in source.paths], source.reads, source.n_samples
        beside = [None if values is None else _ordered_hash(values) for values in (rows.labels, rows.groups)]
        digest = hashlib.sha256(repr((files, beside, kind, self.asked)).encode()).hexdigest()[:16]
        part = f"{self.processes.rank + 1}-of-{self.processes.size}"
        return self.folder / f"{name}-{digest}-{part}.checkpoint"

    def remove(self) -> None:
        """Remove what this command wrote, and the folder if nothing else lies there."""
        for path in self._locks:
            with contextlib.suppress(OSError):  # whatever happened to the folder, the report is there
                path.unlink(missing_ok=True)
        self.close()
        with contextlib.suppress(OSError):  # it holds something else, or another process was quicker
            self.folder.rmdir()

    def close(self) -> None:
        """Let other runs write what this one wrote."""
        for lock in self._locks.values():
            lock.give_back()
        self._locks.clear()


def _named_sources(rows: PairedRows) -> dict[str, Source | None]:
    return {"features": rows.source, "reference": rows.reference, "corrupted": rows.corrupted}


def _ordered_hash(values: np.ndarray) -> int:
    """A number that changes with any of the values and with their order."""
    places = mixed(np.arange(len(values), dtype=np.uint64))
    return int(mixed(value_hashes(values) ^ places).sum(dtype=np.uint64))


class Kept:
    """One pass of one process: how many rows it has seen, their checksum, and the state of the tally."""

    def __init__(self, path: Path, rows: PairedRows, others: bool) -> None:
        self.path, self.others = path, others
        self.state: State | None = None
        self.rows = 0
        self._source = rows
        self._checksum = 0
        self._saved = time.monotonic()
        self._failed = False  # whether it could not be written

    def add(self, piece: Piece) -> None:
        """Count the rows of a piece."""
        self._checksum = (self._checksum + checksum(piece)) % (1 << 64)
        self.rows += len(piece)

    def save(self, tally: Tally, *, now: bool = False) -> None:
        """Write the tally down, if the last time was long enough ago or `now`."""
        if not now and time.monotonic() - self._saved < SAVE_SECONDS:
            return
        self._saved = time.monotonic()
        body = to_bytes(
            {
                "of": self.path.name,
                "files": [list(date) for date in _dates(self._source)],
                "rows": self.rows,
                "checksum": str(self._checksum),
                "tally": tally.state(),
            }
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, _VERSION + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        except OSError as error:
            # A full disk costs what was kept, and not what is being measured.
            if not self._failed:
                warnings.warn(f"the checkpoint was not written, and the audit goes on: {error}", stacklevel=2)
            self._failed = True

    def load(self, start: int) -> None:
        """Read what was written down before, if anything was.

        Raises ValueError where it is damaged or of something else, and where the files have changed since.
        """
        if not os.path.lexists(self.path):
            return
        OpenedFile.of(str(self.path))
        with self.path.open("rb") as file:
            head = file.readline(len(_VERSION) + 65).rstrip(b"\n")
            body = file.read() if head.startswith(_VERSION) else b""
        if head != _VERSION + hashlib.sha256(body).hexdigest().encode():
            raise ValueError(f"{self.path} is damaged or no checkpoint of this version. {self.way_out}")
        try:
            found = _checked(from_bytes(body), self._source.n_samples - start)
        # Whatever stands in a foreign file, it is refused.
        except Exception as error:
            raise self._foreign(error) from None
        if found["of"] != self.path.name:
            raise ValueError(f"{self.path} holds what was kept of another audit ({found['of']}). {self.way_out}")
        self.rows, self._checksum = found["rows"], int(found["checksum"])
        # A file that was copied has another date and may hold the same rows.
        if found["files"] != [list(date) for date in _dates(self._source)]:
            again = sum(checksum(piece) for piece in self._source.pieces(start, start + self.rows)) % (1 << 64)
            if again != self._checksum:
                raise ValueError(
                    f"{self._source.source.name} has changed since {self.path} was written. {self.way_out}"
                )
        self.state = found["tally"]

    def restored(self, kind: type[T]) -> T:
        """The tally that was kept. Raises ValueError where its state is none of this kind."""
        assert self.state is not None
        try:
            return kind.from_state(self.state)
        except Exception as error:
            raise self._foreign(error) from None

    @property
    def way_out(self) -> str:
        return f"Delete {self.path} to read everything again."

    def _foreign(self, error: Exception) -> ValueError:
        reason = f"{type(error).__name__}: {error}"
        return ValueError(f"{self.path} does not hold what an audit keeps ({reason:.200}). {self.way_out}")


def _checked(found: State, most_rows: int) -> State:
    """What a checkpoint holds. Raises ValueError or KeyError where it is something else."""
    kinds = {"of": str, "files": list, "rows": int, "checksum": str, "tally": dict}
    for name, kind in kinds.items():
        if type(found[name]) is not kind:
            raise ValueError(f"its {name} are a {type(found[name]).__name__}")
    if not 0 <= found["rows"] <= most_rows:
        raise ValueError(f"it speaks of {found['rows']:,} rows of {most_rows:,}")
    if not found["checksum"].isdecimal():
        raise ValueError("its checksum is none")
    return found


def checksum(piece: Piece) -> int:
    """Of rows and their places; those of pieces add up modulo 2⁶⁴."""
    places = mixed(piece.places.astype(np.uint64))
    total = 0
    for factor, rows in enumerate((piece.rows, piece.reference, piece.corrupted), 1):
        if rows is not None:
            # The factors tell the three apart: features and reference in each other's place give another sum.
            total += factor * int(mixed(row_hashes(rows) ^ places).sum(dtype=np.uint64))
    return total % (1 << 64)


def _dates(rows: PairedRows) -> list[tuple[str, int, int]]:
    found = []
    for path in _paths(*rows.sources):
        if not os.path.exists(path):  # it lies elsewhere, and its name here tells its version
            found.append((path, 0, 0))
            continue
        stat = os.stat(path)
        found.append((os.path.abspath(path), stat.st_size, stat.st_mtime_ns))
    return found


def _paths(*sources: Source) -> list[str]:
    return [path for source in sources for path in source.paths]


@dataclasses.dataclass
class Signals:
    """Signals to stop that came and were held back."""

    came: list[int]

    def __bool__(self) -> bool:
        return bool(self.came)

    def stop_if_told(self) -> None:
        """Let a signal that was held back do its work."""
        if self.came:
            raise _Stopped


class _Stopped(Exception):
    """Leaves the loop over pieces, so that the handlers are back before the signal is raised again."""


@contextlib.contextmanager
def between_pieces() -> Iterator[Signals]:
    """Hold signals to stop back until a piece is done: within it, sums hold rows that are not yet counted."""
    signals = Signals([])
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda came, _: signals.came.append(came))
    try:
        with contextlib.suppress(_Stopped):
            yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals.came:
        # The handlers of before are back, so the signal does what it would have done at once.
        signal.raise_signal(signals.came[0])
