"""The first few of many row numbers, as they come from any piece, process or machine."""

from __future__ import annotations

import numpy as np

SHOWN = 10  # numbers that a finding names


class FirstPlaces:
    """The ten smallest of the row numbers that were added."""

    def __init__(self, places: np.ndarray | None = None) -> None:
        self.places = np.empty(0, np.int64) if places is None else places

    def add(self, places: np.ndarray) -> None:
        """Add row numbers (n,)."""
        if len(places):
            self.places = np.sort(np.concatenate([self.places, places.astype(np.int64)]))[:SHOWN]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(self.places.tolist())
