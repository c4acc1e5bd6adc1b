"""Numbers of ever more rows in bounded memory: all of them at first, then a known share."""

from __future__ import annotations

import numpy as np

from repgeom.reading.tally import State

# Rows that repeats and the median length are read from: 24 MB, twice that for a moment.
KEPT_ROWS = 1 << 20


class Thinned:
    """Numbers, uint64 and as good as random, with values: all up to `KEPT_ROWS`, then the smaller half of them, and so on."""

    def __init__(self) -> None:
        self.halvings = 0
        self._pieces = [(np.empty(0, np.uint64), np.empty(0))]

    def add(self, numbers: np.ndarray, values: np.ndarray | None = None) -> None:
        """Adds numbers (n,), and values (n,) if any."""
        small = numbers <= self._limit
        self._pieces.append((numbers[small], np.empty(0) if values is None else values[small]))
        if self.is_full():
            self.settled()

    def is_full(self, more: int = 0) -> bool:
        """Whether `more` numbers would be too many to go on without dropping some."""
        return sum(len(numbers) for numbers, _ in self._pieces) + more > 2 * KEPT_ROWS

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and values that are kept at the moment."""
        numbers, values = (np.concatenate(parts) for parts in zip(*self._pieces, strict=True))
        self._pieces = [(numbers, values)]
        return numbers, values

    def replace(self, numbers: np.ndarray, values: np.ndarray | None = None) -> None:
        """Keeps these numbers alone, with these values if any."""
        self._pieces = [(numbers, np.empty(0) if values is None else values)]

    def settled(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and values, no more than `KEPT_ROWS`."""
        # Equal numbers stay together however often they are halved, hence the bound.
        while len(self.all()[0]) > KEPT_ROWS and self.halvings < 40:
            self.thin(self.halvings + 1)
        return self.all()

    def thin(self, halvings: int) -> None:
        """Halves until so many times."""
        self.halvings = max(self.halvings, halvings)
        numbers, values = self.all()
        small = numbers <= self._limit
        self._pieces = [(numbers[small], values[small] if len(values) else values)]

    def merge(self, other: Thinned) -> None:
        """Adds all that `other` keeps, with their values."""
        self.thin(other.halvings)
        self.add(*other.all())

    def state(self) -> State:
        numbers, values = self.all()
        return {"halvings": self.halvings, "numbers": numbers, "values": values}

    @classmethod
    def from_state(cls, state: State) -> Thinned:
        made = cls()
        made.halvings = state["halvings"]
        made._pieces = [(state["numbers"], state["values"])]
        return made

    @property
    def _limit(self) -> np.uint64:
        return np.uint64((1 << (64 - self.halvings)) - 1)
