"""What is done to rows before anything is read from them: columns and repeats are left out, columns are standardised."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.columns import Columns
from repgeom.reading.hashing import row_hashes
from repgeom.reading.moments import Moments
from repgeom.reading.tally import Piece, State, Tally

KEEP, DROP, GROUP = "keep", "drop", "group"
_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?")


@dataclasses.dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to each piece of rows.

    Attributes:
        dropped_columns: numbers of columns of the features, and of their corrupted version, that are left out, ascending.
        repeats: places of rows that repeat an earlier one and are left out, ascending.
        equal_are_groups: whether rows that are equal form a group.
        means, spreads: by kind of rows ("rows", "reference"), of each column that is left; empty where nothing is standardised.
    """

    dropped_columns: tuple[int, ...] = ()
    repeats: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    equal_are_groups: bool = False
    means: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)
    spreads: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)

    def grouped(self, piece: Piece) -> Piece:
        """The piece with equal rows as groups, where that is asked."""
        if not self.equal_are_groups:
            return piece
        return dataclasses.replace(piece, groups=row_hashes(self._chosen(piece.rows)).view(np.int64))

    def is_kept(self, places: np.ndarray) -> np.ndarray:
        """Which rows at these places are no repeats, (n,) bool."""
        return ~np.isin(places, self.repeats)

    def applied(self, piece: Piece) -> Piece:
        """The piece with the columns that are left, standardised where that is asked."""
        if not self.dropped_columns and not self.means:
            return piece
        reference, corrupted = piece.reference, piece.corrupted
        if reference is not None:
            reference = self._standardised(reference, "reference")
        if corrupted is not None:
            # By the clean features' own means and spreads: the model is the same.
            corrupted = self._standardised(self._chosen(corrupted), "rows")
        rows = self._standardised(self._chosen(piece.rows), "rows")
        return dataclasses.replace(piece, rows=rows, reference=reference, corrupted=corrupted)

    def input_column(self, column: int) -> int:
        """The number, in the input, of a column of those that are left."""
        for dropped in self.dropped_columns:
            column += dropped <= column
        return column

    def _chosen(self, rows: Tensor) -> Tensor:
        if not self.dropped_columns:
            return rows
        return rows[:, self.is_left(rows.shape[1]).to(rows.device)]

    def columns_left(self, kind: str, n_columns: int) -> Tensor:
        """Which of so many columns of a kind of rows are left, (d,) bool: a reference keeps all of its own."""
        if kind == "reference":
            return torch.ones(n_columns, dtype=torch.bool)
        return self.is_left(n_columns)

    def is_left(self, n_columns: int) -> Tensor:
        """Which of so many columns are left. Raises ValueError where one is not there, or none is left."""
        left = torch.ones(n_columns, dtype=torch.bool)
        if self.dropped_columns and self.dropped_columns[-1] >= n_columns:
            raise ValueError(
                f"`drop_columns` names column {self.dropped_columns[-1]} and `features` has {n_columns}, numbered from 0."
            )
        left[list(self.dropped_columns)] = False
        if not left.any():
            raise ValueError(f"`drop_columns` names all {n_columns} columns: none is left to be audited.")
        return left

    def _standardised(self, rows: Tensor, kind: str) -> Tensor:
        if kind not in self.means:
            return rows
        wide = rows.double()
        wide = (wide - self.means[kind].to(wide.device)) / self.spreads[kind].to(wide.device)
        # In the rows' own type, but for half precision, which would round what was spread out.
        return wide if rows.dtype == torch.float64 else wide.float()

    def state(self) -> State:
        return {
            "dropped_columns": list(self.dropped_columns), "repeats": self.repeats, "equal_are_groups": self.equal_are_groups,
            "means": dict(self.means), "spreads": dict(self.spreads),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> Preparation:
        return cls(**state | {"dropped_columns": tuple(state["dropped_columns"])})


NOTHING = Preparation()


# What is asked ------------------------------------------------------------------------------------------------------


def check_duplicates(duplicates: Any, groups: Any) -> str:
    """The choice. Raises ValueError for another, and for groups that are given twice."""
    if duplicates not in (KEEP, DROP, GROUP):
        raise ValueError(
            '`duplicates` must be "keep", "drop" (one of each set of equal rows is kept) or "group" (equal rows form a group), got '
            f"{duplicates!r}."
        )
    if duplicates == GROUP and groups is not None:
        raise ValueError(
            '`duplicates="group"` makes groups of equal rows, and `groups` is given as well: give one of them.'
        )
    return str(duplicates)


def column_numbers(asked: Any, names: Sequence[str] | None) -> tuple[int, ...]:
    """Numbers of columns, ascending, from numbers, ranges such as "20-25" and names, in a list or one text with commas.

    `names`: of the columns, where they have any; a name is taken before a number.
    """
    if asked is None:
        return ()
    if isinstance(asked, str):
        asked = [part.strip() for part in asked.split(",") if part.strip()]
    if isinstance(asked, (int, np.integer)):
        asked = [asked]
    if not isinstance(asked, Iterable):
        raise TypeError(f"`drop_columns` must be numbers or names of columns, got {type(asked).__name__}.")
    found: set[int] = set()
    for one in asked:
        found.update(_numbers_of(one, names))
    return tuple(sorted(found))


def _numbers_of(one: Any, names: Sequence[str] | None) -> Iterable[int]:
    if isinstance(one, (int, np.integer)) and not isinstance(one, bool) and one >= 0:
        return [int(one)]
    if isinstance(one, str):
        if names is not None and one in names:
            return [names.index(one)]
        written = _NUMBERS.fullmatch(one)
        if written is not None:
            first, last = int(written[1]), int(written[2] or written[1])
            if first <= last:
                return range(first, last + 1)
    known = "`features` has no names of columns"
    if names is not None:
        known = f"the columns are {', '.join(names[:8])}" + ", ..." * (len(names) > 8)
    raise ValueError(
        f"`drop_columns` names {one!r}, which is no column: give numbers from 0, ranges such as '20-25', or names; {known}."
    )


def without_columns(columns: Columns | None, dropped: Sequence[int]) -> Columns | None:
    """What was decided about a table's columns, with those that were dropped by number among the others."""
    if columns is None or not dropped:
        return columns
    left_out = dict(columns.left_out) | {columns.used[i]: "drop_columns" for i in dropped if i < len(columns.used)}
    used = tuple(name for i, name in enumerate(columns.used) if i not in set(dropped))
    return Columns(used, left_out)


# What must be known of all rows first -------------------------------------------------------------------------------


class RepeatTally(Tally):
    """Hashes and places of all rows, 16 bytes a row, by which rows that repeat an earlier one are known."""

    def __init__(self, dropped_columns: tuple[int, ...] = ()) -> None:
        self._rows = Preparation(dropped_columns, equal_are_groups=True)
        self._hashes: list[np.ndarray] = []
        self._places: list[np.ndarray] = []

    def update(self, piece: Piece) -> None:
        hashes = self._rows.grouped(piece).groups
        assert hashes is not None
        self._hashes.append(hashes)
        self._places.append(piece.places)

    def merge(self, other: RepeatTally) -> None:
        self._hashes += other._hashes
        self._places += other._places

    def repeats(self) -> np.ndarray:
        """Places of the rows that repeat one at a smaller place, ascending."""
        hashes, places = _joined(self._hashes), _joined(self._places)
        order = np.lexsort((places, hashes))
        hashes, places = hashes[order], places[order]
        return np.sort(places[1:][hashes[1:] == hashes[:-1]])

    def state(self) -> State:
        return {
            "dropped_columns": list(self._rows.dropped_columns), "hashes": _joined(self._hashes), "places": _joined(self._places),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: State) -> RepeatTally:
        made = cls(tuple(state["dropped_columns"]))
        made._hashes, made._places = [state["hashes"]], [state["places"]]
        return made


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *parts])


class ScaleTally(Tally):
    """Mean and spread of each column of one kind of rows."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._moments = Moments()
        self._low: Tensor | None = None
        self._high: Tensor | None = None

    def update(self, piece: Piece) -> None:
        rows = getattr(piece, self.kind).detach().cpu().double()
        self._moments.merge(Moments.of(rows))
        self._between(rows.amin(0), rows.amax(0))

    def _between(self, low: Tensor, high: Tensor) -> None:
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def merge(self, other: ScaleTally) -> None:
        self._moments.merge(other._moments)
        if other._low is not None and other._high is not None:
            self._between(other._low, other._high)

    def mean_and_spread(self) -> tuple[Tensor, Tensor]:
        """The mean of each column, and its standard deviation over n; 1 where it is constant, which leaves zeros."""
        assert self._low is not None
        assert self._high is not None
        constant = self._low == self._high
        # A mean that was rounded would leave more than zeros.
        mean = torch.where(constant, self._low, self._moments.mean)
        spread = (self._moments.squares / self._moments.n).sqrt()
        return mean, torch.where(constant, 1.0, spread)

    def state(self) -> State:
        return {"kind": self.kind, "moments": self._moments.state(), "low": self._low, "high": self._high}

    @classmethod
    def from_state(cls, state: State) -> ScaleTally:
        made = cls(state["kind"])
        made._moments = Moments.from_state(state["moments"])
        made._low, made._high = state["low"], state["high"]
        return made


def prepared(
    asked: Preparation,
    *,
    drop_repeats: bool,
    standardized: Sequence[str],
    given: Callable[..., Any],
    tally_of: Callable[[Preparation, Mapping[str, Tally]], Any],
    check: Callable[[Any], None],
    by_first: Callable[[Callable[[], Any]], Any],
) -> Preparation:
    """The preparation, with what must be read of all rows for it: places of repeats, then means and spreads.

    Args:
        asked: columns that are left out, and whether equal rows are groups.
        drop_repeats: leave out rows that repeat an earlier one.
        standardized: kinds of rows whose columns are standardised.
        given: gives every piece to a tally, as `read` does.
        tally_of: the tally that leaves out rows with NaN, around others.
        check: raises an error for rows that cannot be audited.
        by_first: what the first process works out, for all.
    """
    if drop_repeats:
        repeats: RepeatTally = given(RepeatTally(asked.dropped_columns), name="features-repeats")
        asked = dataclasses.replace(asked, repeats=by_first(repeats.repeats))
    if standardized:
        scales = given(tally_of(asked, {kind: ScaleTally(kind) for kind in standardized}), name="features-scales")
        means, spreads = by_first(functools.partial(_scales, scales, check, standardized))
        asked = dataclasses.replace(asked, means=means, spreads=spreads)
    return asked


def _scales(
    scales: Any, check: Callable[[Any], None], kinds: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    check(scales)
    found = {kind: scales.tallies[kind].mean_and_spread() for kind in kinds}
    return {kind: mean for kind, (mean, _) in found.items()}, {kind: spread for kind, (_, spread) in found.items()}
