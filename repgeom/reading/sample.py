"""A sample of rows that does not depend on how the rows are split: over pieces, processes or an interruption."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.reading.hashing import mixed, value_hashes
from repgeom.reading.tally import Piece, State, Tally


class RowSample(Tally):
    """The rows with the `most` smallest random numbers, with what stands beside them.

    A row's number depends on `seed` and its place alone.

    Args:
        most: rows to draw.
        seed: of the numbers.
        n: how many rows there will be, where that is known; rows that are sure not to be drawn are then not copied.
        whole_groups: a row's number depends on its group instead, so that groups are drawn whole. One group larger than
            `most` is kept whole as well.
    """

    def __init__(self, most: int, seed: int, n: int | None = None, *, whole_groups: bool = False) -> None:
        self.most, self.seed, self.whole_groups = most, seed, whole_groups
        # The largest float64 below 2⁶⁴, so that a share of it fits uint64.
        self.limit = 2**64 - 2**11  # numbers above it are sure not to be drawn
        # Of groups, the share of rows that they are is not known beforehand.
        if n is not None and n > 2 * most and not whole_groups:
            share = (most + 6 * most**0.5 + 36) / n  # six standard deviations more than `most`
            self.limit = int(min(share, 1.0) * self.limit)
        self.numbers, self.places = np.empty(0, np.uint64), np.empty(0, np.int64)
        # Per name ("rows", "labels", "groups", "reference", "corrupted") the parts that were kept, in the order of `numbers`.
        self.columns: dict[str, list[Any]] = {}

    def update(self, piece: Piece) -> None:
        """Add the rows of a piece."""
        salt = mixed(np.array([self.seed % (1 << 64)], np.uint64))
        keys = piece.places.astype(np.uint64)
        if self.whole_groups:
            assert piece.groups is not None
            keys = value_hashes(piece.groups)
        numbers = mixed(keys ^ salt)
        drawn = numbers <= np.uint64(self.limit)
        if drawn.any():
            self._add(numbers[drawn], piece.places[drawn], piece.selected(drawn).columns())
        # At twice what is drawn, so that cutting stays cheap beside reading.
        if len(self.numbers) > 2 * self.most:
            self._cut()

    def merge(self, other: RowSample) -> None:
        """Add all rows that `other` has seen."""
        self.limit = min(self.limit, other.limit)
        self._add(other.numbers, other.places, {name: _joined(parts) for name, parts in other.columns.items()})
        if self.whole_groups:
            # Beyond the smaller limit one of the two has dropped rows; what the other holds of those groups is a part.
            self._keep(np.flatnonzero(self.numbers <= np.uint64(self.limit)))
        self._cut()

    def _add(self, numbers: np.ndarray, places: np.ndarray, columns: dict[str, Any]) -> None:
        if not len(numbers):
            return
        self.numbers = np.concatenate([self.numbers, numbers])
        self.places = np.concatenate([self.places, places])
        for name, values in columns.items():
            self.columns.setdefault(name, []).append(values)

    def _cut(self) -> None:
        """Leave the rows drawn, in the order of their places."""
        drawn = self._smallest(self.most)
        if self.whole_groups and len(drawn) < len(self.numbers):
            # A group of which rows beyond this number were dropped must not come back in part.
            self.limit = min(self.limit, int(self.numbers[drawn].max()))
        drawn = drawn[np.argsort(self.places[drawn], kind="stable")]
        if len(drawn) == len(self.numbers) and bool((drawn[1:] > drawn[:-1]).all()):
            # All rows stay, in their order: join the parts, and do not copy them once more.
            self.columns = {name: [_joined(parts)] for name, parts in self.columns.items()}
            return
        self._keep(drawn)

    def _keep(self, rows: np.ndarray) -> None:
        """Leave these rows, by their place among those that are held."""
        self.numbers, self.places = self.numbers[rows], self.places[rows]
        self.columns = {name: [_chosen(_joined(parts), rows)] for name, parts in self.columns.items()}

    def _smallest(self, most: int) -> np.ndarray:
        """Which rows have the smallest numbers: `most`, or whole groups of no more rows than that (one at least)."""
        order = np.argsort(self.numbers, kind="stable")
        if not self.whole_groups or len(order) <= most:
            return np.asarray(order[:most])
        ordered = self.numbers[order]
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(ordered))
        fitting = ends[ends <= most]
        return np.asarray(order[: fitting[-1] if len(fitting) else ends[0]])

    def drawn(self, most: int | None = None) -> Drawn:
        """All rows drawn, or those of the `most` smallest numbers among them, in the order of their places."""
        self._cut()
        columns = {name: _joined(parts) for name, parts in self.columns.items()}
        if most is None or most >= len(self.numbers):
            return Drawn(self.places, columns)
        chosen = np.sort(np.argsort(self.numbers, kind="stable")[:most])
        return Drawn(self.places[chosen], {name: _chosen(values, chosen) for name, values in columns.items()})

    def state(self) -> State:
        columns = {name: _joined(parts) for name, parts in self.columns.items()}
        return {
            "most": self.most, "seed": self.seed, "limit": self.limit, "whole_groups": self.whole_groups,
            "numbers": self.numbers, "places": self.places, "columns": columns,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> RowSample:
        made = cls(state["most"], state["seed"], whole_groups=state["whole_groups"])
        made.limit = state["limit"]
        made._add(state["numbers"], state["places"], state["columns"])
        return made


class Drawn:
    """Rows of a sample: `places` (k,), ascending, and by name what stands in each row."""

    def __init__(self, places: np.ndarray, columns: dict[str, Any]) -> None:
        self.places, self._columns = places, columns

    def __len__(self) -> int:
        return len(self.places)

    @property
    def rows(self) -> Tensor:
        found: Tensor = self._columns["rows"]
        return found

    def column(self, name: str) -> Any:
        """What stands beside the rows under this name; None if nothing does."""
        return self._columns.get(name)


def _joined(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts) if isinstance(parts[0], Tensor) else np.concatenate(parts)


def _chosen(values: Any, rows: np.ndarray) -> Any:
    return values[torch.from_numpy(rows).to(values.device)] if isinstance(values, Tensor) else values[rows]
