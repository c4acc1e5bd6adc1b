"""What an audit takes from all rows: sums, counts and a sample, in memory that does not grow with the rows.

All of it adds up: over pieces of a file, over processes, and over an interruption.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import Source
from repgeom.data.saving import write_whole
from repgeom.data.processes import Team
from repgeom.measures.cloud import CloudAccumulator, Moments, Thinned, mixed, row_hashes
from repgeom.spectral.accumulator import RUNGS, Apart, SpectrumAccumulator
from repgeom.spectral.decompose import Sums, Wanted, begun, empty_sums

SAVE_SECONDS = 20.0  # at least between two times that what was read is written down
_VERSION = b"repgeom checkpoint 1 "


class RowSample:
    """The rows with the `most` smallest random numbers, which depend on `seed` and the row's place alone.

    So the same rows are drawn in any split and order. `n`: how many rows there will be, where that is known; rows that
    are sure not to be drawn are then not kept on the way.
    """

    def __init__(self, most: int, seed: int, n: int | None = None) -> None:
        self.most = most
        self._salt = mixed(np.array([seed % (1 << 64)], np.uint64))
        # Six standard deviations more than `most`, as a share of all numbers.
        share = 1.0 if n is None or n <= 2 * most else (most + 6 * most**0.5 + 36) / n
        self._limit = int(min(share, 1.0) * (2**64 - 2**11))
        self._numbers, self._places = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._rows: list[Tensor] = []

    def update(self, start: int, rows: Tensor) -> None:
        """Adds rows (n, n_features), of which the first is row `start` of all."""
        places = np.arange(start, start + len(rows))
        numbers = mixed(places.astype(np.uint64) ^ self._salt)
        drawn = numbers <= np.uint64(self._limit)
        self._add(numbers[drawn], places[drawn], [rows[torch.from_numpy(drawn)]])
        if len(self._numbers) > 2 * self.most:
            self._cut()

    def merge(self, other: RowSample) -> None:
        """Adds all rows that `other` has seen."""
        self._add(other._numbers, other._places, other._rows)
        self._cut()

    def _add(self, numbers: np.ndarray, places: np.ndarray, rows: list[Tensor]) -> None:
        self._numbers = np.concatenate([self._numbers, numbers])
        self._places = np.concatenate([self._places, places])
        self._rows += rows

    def _cut(self) -> None:
        """Leaves the rows drawn, in their order."""
        if len(self._rows) == 1 and len(self._numbers) <= self.most:
            return
        drawn = np.argsort(self._numbers, kind="stable")[: self.most]
        drawn = drawn[np.argsort(self._places[drawn])]
        self._numbers, self._places = self._numbers[drawn], self._places[drawn]
        if self._rows:
            self._rows = [torch.cat(self._rows)[torch.from_numpy(drawn)]]

    def drawn(self, most: int | None = None) -> tuple[np.ndarray, Tensor]:
        """Places (k,), ascending, and rows (k, n_features) of all drawn, or of the `most` first drawn of them."""
        self._cut()
        if most is None or most >= len(self._numbers):
            return self._places, self._rows[0]
        first = np.sort(np.argsort(self._numbers, kind="stable")[:most])
        return self._places[first], self._rows[0][torch.from_numpy(first)]


class Collected:
    """What the rows read so far add up to: sums by name, and on the first pass the cloud and the sample."""

    def __init__(self, cloud: CloudAccumulator | None, sample: RowSample | None) -> None:
        self.sums: Sums = {}
        self.cloud, self.sample = cloud, sample
        self.rows = 0
        self.checksum = 0  # of the rows and their places

    def update(self, rows: Tensor, start: int, *, checked: bool = False) -> None:
        """Adds rows, of which the first is row `start` of all, to sums that have begun."""
        for acc in self.sums.values():
            acc._absorb(rows)
        self.note(rows, start, checked=checked)

    def note(self, rows: Tensor, start: int, *, checked: bool = False) -> None:
        """The same of rows that the sums hold already."""
        if self.cloud is not None:
            self.cloud.update(rows, start)
        if self.sample is not None:
            self.sample.update(start, rows)
        if checked:
            self.checksum = (self.checksum + checksum(rows, start)) % (1 << 64)
        self.rows += len(rows)

    @property
    def rungs(self) -> dict[str, str]:
        return {name: acc.rung for name, acc in self.sums.items()}


def checksum(rows: Tensor, start: int) -> int:
    """Of rows and their places; those of pieces add up modulo 2⁶⁴."""
    places = np.arange(start, start + len(rows), dtype=np.uint64)
    return int(mixed(row_hashes(rows) ^ mixed(places)).sum(dtype=np.uint64))


class Checkpoint:
    """What an interrupted audit had read: a file for each pass in a folder, with the checksum of its own content.

    A pass is found again by what was asked: the files, the rows and array of them, every option that its sums depend on. Where
    a file has another date, what was read of it is compared by its checksum.
    """

    def __init__(self, folder: str | os.PathLike[str], team: Team) -> None:
        self.folder, self.team = Path(folder), team
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"`checkpoint` must be a folder, and {self.folder} is a file.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._used: set[Path] = set()
        self._saved = time.monotonic()

    def path(self, source: Source, name: str, *asked: Any) -> Path:
        """The file of a pass over this source."""
        if not source.paths:
            raise ValueError(f"`checkpoint` keeps what was read of files, and `{name}` lies in memory.")
        what = repr(([os.path.abspath(path) for path in source.paths], source.reads, source.n_samples, asked))
        digest = hashlib.sha256(what.encode()).hexdigest()[:16]
        found = self.folder / f"{name}-{digest}-{self.team.rank + 1}-of-{self.team.size}.checkpoint"
        self._used.add(found)
        return found

    def save(self, collected: Collected, source: Source, path: Path, *, now: bool = False) -> None:
        """Writes it down, if the last time was long enough ago or `now`."""
        if not now and time.monotonic() - self._saved < SAVE_SECONDS:
            return
        content = io.BytesIO()
        torch.save({"files": _dates(source), "collected": collected}, content)
        body = content.getvalue()
        write_whole(path, _VERSION + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        self._saved = time.monotonic()

    def load(self, source: Source, path: Path, start: int) -> Collected | None:
        """What was read before, of the rows from `start` on; None if nothing was."""
        if not path.exists():
            return None
        head, _, body = path.read_bytes().partition(b"\n")
        way_out = f"Delete {path} to read everything again."
        if head != _VERSION + hashlib.sha256(body).hexdigest().encode():
            raise ValueError(f"{path} is damaged or no checkpoint of this version. {way_out}")
        with torch.serialization.safe_globals(_STORED):
            found = torch.load(io.BytesIO(body), weights_only=True)
        collected: Collected = found["collected"]
        if found["files"] != _dates(source) and _read_again(source, start, collected.rows) != collected.checksum:
            raise ValueError(f"{source.name} has changed since {path} was written. {way_out}")
        return collected

    def remove(self) -> None:
        """Once the audit is done: what it wrote, and the folder if nothing else lies there."""
        for path in self._used:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds something else, or another process was quicker
            self.folder.rmdir()


def _dates(source: Source) -> list[tuple[str, int, int]]:
    stats = [(path, os.stat(path)) for path in source.paths]
    return [(os.path.abspath(path), s.st_size, s.st_mtime_ns) for path, s in stats]


def _read_again(source: Source, start: int, rows: int) -> int:
    total, step = 0, source.chunk_rows
    for i, piece in enumerate(source.part(start, start + rows, step)):
        total += checksum(piece, start + i * step)
    return total % (1 << 64)


@contextlib.contextmanager
def _stopping_between_pieces() -> Iterator[list[int]]:
    """The signals to stop that came, held back: within a piece, sums hold rows that are not yet counted."""
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield told
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda came, _: told.append(came))
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_STORED: list[Any] = [
    Collected, SpectrumAccumulator, Apart, CloudAccumulator, Thinned, Moments, RowSample,
    bytes, np.empty(0).__reduce__()[0], np.ndarray, np.dtype, *(type(np.dtype(t)) for t in (np.uint64, np.int64, np.float64)),
]  # fmt: skip


class Passes:
    """Passes over the rows of one source; the first one collects the sample too, and the cloud if asked for.

    `wanted`: spectra, by name. `most`: rows of the sample.
    """

    def __init__(
        self,
        source: Source,
        wanted: Mapping[str, Wanted],
        name: str,
        *,
        cloud: bool,
        team: Team,
        most: int,
        seed: int,
        progress: bool = False,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.source, self.wanted, self.name, self.team, self.progress = source, wanted, name, team, progress
        self._cloud, self._most, self._seed = cloud, most, seed
        self.checkpoint = checkpoint
        self.first: Collected | None = None

    def __call__(self, rungs: Mapping[str, str]) -> Sums:
        """One pass, by methods at least these; all processes take part, and all hold the whole sums."""
        mine: Collected | None = None
        path = self._path(rungs)
        while True:
            # The first rows may call for a more exact method in one process; then all take the most exact of theirs.
            mine = self.team.agreed(functools.partial(self._begun, rungs, mine, path))
            theirs = [found for found in self.team.everyone(mine.rungs) if found]
            rungs = {name: max((found[name] for found in theirs), key=RUNGS.index) for name in rungs}
            if all(found == rungs for found in theirs):
                break
        self.team.agreed(functools.partial(self._rest, mine, path))
        return self._joined(mine, rungs)

    def _path(self, rungs: Mapping[str, str]) -> Path:
        if self.checkpoint is None:
            return Path()
        asked = (
            sorted(rungs.items()),
            sorted(self.wanted.items()),
            self.first is None,
            self._cloud,
            self._most,
            self._seed,
        )
        return self.team.agreed(functools.partial(self.checkpoint.path, self.source, self.name, *asked))

    def _begun(self, rungs: Mapping[str, str], mine: Collected | None, path: Path) -> Collected:
        """What was kept from before, or the first rows of this process."""
        if mine is not None and mine.rungs in ({}, rungs):
            return mine
        start, stop = self.team.part(self.source.n_samples)
        kept = None if mine is not None or self.checkpoint is None else self.checkpoint.load(self.source, path, start)
        if kept is not None:
            self._say(f"going on after {kept.rows:,} of {stop - start:,} rows, kept in {path.parent}")
            return kept
        if mine is None and self.checkpoint is not None and any(path.parent.glob(f"{self.name}-*.checkpoint")):
            self._say(
                f"{path.parent} holds what another command kept (other files, options or number of processes); reading from "
                "the start"
            )
        found = Collected(None, None)
        if self.first is None:
            sample = RowSample(self._most, self._seed, self.source.n_samples)
            found = Collected(CloudAccumulator() if self._cloud else None, sample)
        if start < stop:
            rows = self.source.read(start, min(start + self.source.chunk_rows, stop))
            found.sums = begun(rungs, self.wanted, True)(rows)
            found.note(rows, start, checked=self.checkpoint is not None)
        return found

    def _rest(self, collected: Collected, path: Path) -> None:
        start, stop = self.team.part(self.source.n_samples)
        pieces = self._shown(self.source.part(start + collected.rows, stop), collected.rows, stop - start)
        if self.checkpoint is None:
            for rows in pieces:
                collected.update(rows, start + collected.rows)
            return
        with _stopping_between_pieces() as told:
            for rows in pieces:
                collected.update(rows, start + collected.rows, checked=True)
                self.checkpoint.save(collected, self.source, path, now=bool(told))
                if told:
                    break
            else:
                self.checkpoint.save(collected, self.source, path, now=True)
        if told:
            signal.raise_signal(told[0])

    def _say(self, text: str) -> None:
        if self.progress and self.team.rank == 0:
            print(f"repgeom: {text}.", file=sys.stderr)

    def _shown(self, pieces: Iterable[Tensor], done: int, total: int) -> Iterator[Tensor]:
        """The pieces, with a bar of rows and the time left."""
        from tqdm import tqdm

        # disable=None switches the bar off where standard error is not a terminal; short audits never show one.
        off = None if self.progress and self.team.rank == 0 else True
        with tqdm(
            desc=self.name,
            initial=done,
            total=total,
            unit=" rows",
            unit_scale=True,
            leave=False,
            delay=1.0,
            disable=off,
        ) as bar:
            for rows in pieces:
                yield rows
                bar.update(len(rows))

    def _joined(self, mine: Collected, rungs: Mapping[str, str]) -> Sums:
        if self.team.size > 1:
            for name, rung in rungs.items():
                if name not in mine.sums:  # this process had no rows
                    mine.sums[name] = empty_sums(self.wanted[name].normalize, rung)
                mine.sums[name].all_reduce()
        if self.first is None:
            self.first = mine
            for other in self.team.to_first((mine.cloud, mine.sample))[1:]:
                for own, more in zip((mine.cloud, mine.sample), other, strict=True):
                    if own is not None:
                        own.merge(more)
        return mine.sums
