"""How rows are audited: everything that a caller chooses, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from repgeom.auditing.preparation import KEEP, Preparation, column_numbers
from repgeom.auditing.purposes import TRANSFER


@dataclasses.dataclass(frozen=True)
class Options:
    """How rows are audited; see `audit`."""

    normalize: str | None = None
    k: int = 10
    max_pair_rows: int = 4096
    seed: int = 0
    drop_nonfinite: bool = False
    thresholds: Mapping[str, Any] | None = None
    purpose: str = TRANSFER
    duplicates: str = KEEP
    standardize: bool = False
    drop_columns: tuple[int, ...] = ()

    def without(self, columns: Any, width: int | None = None, names: Sequence[str] | None = None) -> Options:
        """The same without these columns, of so many. Raises ValueError where one is not there."""
        # One column of a table may hold many features; names then say nothing of their numbers.
        numbers = column_numbers(columns, names if names is not None and len(names) == width else None)
        if width is not None:
            Preparation(numbers).is_left(width)
        return dataclasses.replace(self, drop_columns=numbers)

    def of_sums(self) -> tuple[Any, ...]:
        """What the sums over rows depend on."""
        drawn = self.normalize, self.seed, self.max_pair_rows, self.drop_nonfinite
        return (*drawn, self.duplicates, self.standardize, self.drop_columns)

    def convention(self) -> dict[str, Any]:
        """What a report says was done to the rows first."""
        return {
            "standardized": self.standardize,
            "duplicates": self.duplicates,
            "dropped_columns": list(self.drop_columns),
        }
