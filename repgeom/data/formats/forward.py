"""Rows of files that can only be read forward, or from a few places on."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np


class ForwardRows:
    """Rows of a stream of pieces. It runs forward once; reading backwards begins it again.

    Args:
        pieces: gives the rows from the n-th place on at which the stream can begin.
        places: the rows of those places, ascending, the first being 0.
        no_rows: zero rows of the shape and dtype that all pieces are brought to.
    """

    def __init__(
        self, pieces: Callable[[int], Iterator[np.ndarray]], places: Sequence[int], no_rows: np.ndarray
    ) -> None:
        self._begin, self._places, self._no_rows = pieces, places, no_rows
        self._lock = threading.Lock()  # two threads must not move one stream at the same time
        self._drop()

    def read(self, start: int, stop: int) -> np.ndarray:
        if start >= stop:
            return self._no_rows
        with self._lock:
            try:
                self._go_near(start)
                return self._taken(start, stop)
            except BaseException:
                self._drop()
                raise

    def release(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._pieces: Iterator[np.ndarray] | None = None
        self._ahead = self._no_rows  # what the last piece holds beyond the rows that were read
        self._at = 0  # the row that comes next

    def _go_near(self, start: int) -> None:
        """Begin the stream where it would otherwise have to go back, or can leave out what lies between."""
        nearest = bisect.bisect_right(self._places, start) - 1
        if self._pieces is None or start < self._at or self._at < self._places[nearest]:
            self._drop()
            self._pieces = self._begin(nearest)
            self._at = self._places[nearest]

    def _taken(self, start: int, stop: int) -> np.ndarray:
        taken = [self._no_rows]
        while self._at < stop:
            if not len(self._ahead):
                assert self._pieces is not None
                self._ahead = next(self._pieces, self._no_rows)
                if not len(self._ahead):
                    raise ValueError("it became shorter while it was read")
            used = min(len(self._ahead), stop - self._at)
            taken.append(self._ahead[max(start - self._at, 0) : used])
            self._ahead = self._ahead[used:]
            self._at += used
        rows = np.concatenate(taken)
        return rows.astype(self._no_rows.dtype, copy=False)
